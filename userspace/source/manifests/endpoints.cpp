// SPDX-License-Identifier: Apache-2.0
#include "source/manifests/endpoints.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "source/manifests/hash.hpp"

namespace weir::manifests {
namespace {

// Numbers beside the service's ports; 0: this pod has no port of that name.
using Numbers = std::vector<std::uint16_t>;

std::string label_key(const std::string& ns, const std::string& name, const std::string& value) {
  std::string key;
  key.reserve(ns.size() + name.size() + value.size() + 2);
  return key.append(ns).append(1, '\0').append(name).append(1, '\0').append(value);
}

const PodManifest& pod_of(const Object& object) {
  return std::get<PodManifest>(object.body);
}

std::uint16_t resolve(const ServicePortManifest& port, const PodManifest& pod) {
  if (port.target_name.empty()) return port.target;
  for (const auto& candidate : pod.ports)
    if (candidate.name == port.target_name && candidate.protocol == port.port.protocol)
      return candidate.port;
  return 0;
}

Numbers resolve_all(const ServiceManifest& manifest, const PodManifest& pod) {
  Numbers numbers;
  numbers.reserve(manifest.ports.size());
  for (const auto& port : manifest.ports) numbers.push_back(resolve(port, pod));
  return numbers;
}

// "svc-1:ipv4:8000": the same for the same set of numbers, whatever other sets there are.
std::string slice_name(const std::string& service, Family family, const Numbers& numbers) {
  std::string text;
  for (const auto number : numbers)
    text +=
        fmt::format("{}{}", text.empty() ? "" : ",", number == 0 ? "-" : std::to_string(number));
  if (text.size() > 40) text = fmt::format("{:016x}", fnv1a({text}));
  return fmt::format("{}:{}:{}", service, family == Family::ipv4 ? "ipv4" : "ipv6", text);
}

EndpointSlice empty_slice(const ServiceManifest& manifest, Family family, const Numbers& numbers) {
  const ObjectKey& key = manifest.service.key;
  EndpointSlice slice;
  slice.key = {key.ns, slice_name(key.name, family, numbers)};
  slice.service = key.name;
  slice.family = family;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const ServicePort& port = manifest.ports[i].port;
    if (numbers[i] != 0) slice.ports.push_back({port.name, port.protocol, numbers[i]});
  }
  return slice;
}

Endpoint make_endpoint(const PodManifest& pod, const Address& address, bool publish_not_ready) {
  Endpoint endpoint;
  endpoint.address = address;
  endpoint.node = pod.node;
  endpoint.serving = pod.ready;
  endpoint.terminating = pod.terminating;
  // The controller never calls a terminating pod ready, unless told to publish every address.
  endpoint.ready = publish_not_ready || (pod.ready && !pod.terminating);
  return endpoint;
}

}  // namespace

void PodIndex::add(const Object& pod) {
  for (const auto& [name, value] : pod_of(pod).labels) {
    auto& pods = by_label_[label_key(pod.key.ns, name, value)];
    pods.insert(std::ranges::upper_bound(pods, pod.key, {}, &Object::key), &pod);
  }
}

void PodIndex::remove(const Object& pod) {
  for (const auto& [name, value] : pod_of(pod).labels) {
    const auto found = by_label_.find(label_key(pod.key.ns, name, value));
    std::erase(found->second, &pod);
    if (found->second.empty()) by_label_.erase(found);
  }
}

void SelectorIndex::add(const ObjectKey& service, const Labels& selector) {
  if (selector.empty()) return;
  const auto& [name, value] = *selector.begin();
  by_label_[label_key(service.ns, name, value)].insert(service);
}

void SelectorIndex::remove(const ObjectKey& service, const Labels& selector) {
  if (selector.empty()) return;
  const auto& [name, value] = *selector.begin();
  const auto found = by_label_.find(label_key(service.ns, name, value));
  found->second.erase(service);
  if (found->second.empty()) by_label_.erase(found);
}

void SelectorIndex::find(const Object& pod, std::set<ObjectKey>& services) const {
  for (const auto& [name, value] : pod_of(pod).labels)
    if (const auto found = by_label_.find(label_key(pod.key.ns, name, value));
        found != by_label_.end())
      services.insert(found->second.begin(), found->second.end());
}

std::vector<const Object*> PodIndex::matching(const std::string& ns, const Labels& selector) const {
  // The rarest label of the selector leaves the fewest pods to look at.
  const std::vector<const Object*>* fewest = nullptr;
  for (const auto& [name, value] : selector) {
    const auto found = by_label_.find(label_key(ns, name, value));
    if (found == by_label_.end()) return {};
    if (fewest == nullptr || found->second.size() < fewest->size()) fewest = &found->second;
  }
  std::vector<const Object*> pods;
  if (fewest == nullptr) return pods;
  for (const Object* pod : *fewest) {
    const Labels& labels = pod_of(*pod).labels;
    // Both are sorted.
    if (std::includes(labels.begin(), labels.end(), selector.begin(), selector.end()))
      pods.push_back(pod);
  }
  return pods;
}

std::vector<EndpointSlice> make_slices(const ServiceManifest& manifest,
                                       const std::vector<Family>& families, const PodIndex& pods) {
  std::map<std::pair<Family, Numbers>, EndpointSlice> slices;
  const bool named = std::any_of(manifest.ports.begin(), manifest.ports.end(),
                                 [](const auto& port) { return !port.target_name.empty(); });
  Numbers numbers = named ? Numbers{} : resolve_all(manifest, {});
  for (const Object* object : pods.matching(manifest.service.key.ns, manifest.selector)) {
    const PodManifest& pod = pod_of(*object);
    if (pod.finished) continue;
    if (named) numbers = resolve_all(manifest, pod);
    const bool any = std::any_of(numbers.begin(), numbers.end(), [](auto n) { return n != 0; });
    if (!any) continue;
    for (const Address& address : pod.addresses) {
      if (std::find(families.begin(), families.end(), address.family()) == families.end()) continue;
      const auto [at, made] = slices.try_emplace({address.family(), numbers});
      if (made) at->second = empty_slice(manifest, address.family(), numbers);
      at->second.endpoints.push_back(make_endpoint(pod, address, manifest.publish_not_ready));
    }
  }
  std::vector<EndpointSlice> result;
  result.reserve(slices.size());
  for (auto& [id, slice] : slices) result.push_back(std::move(slice));
  return result;
}

}  // namespace weir::manifests
