// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "source/manifests/readers.hpp"

namespace weir::manifests {
namespace {

enum class AddressType : std::uint8_t { ipv4, ipv6, fqdn };
constexpr std::array<Choice<AddressType>, 3> kAddressTypes{
    {{"IPv4", AddressType::ipv4}, {"IPv6", AddressType::ipv6}, {"FQDN", AddressType::fqdn}}};

void read_slice_ports(const Field& root, EndpointSlice& slice) {
  const Field list = root["ports"].list();
  if (list.size() > kMostPorts) {
    list.expected(fmt::format("at most {} ports", kMostPorts));
    return;
  }
  std::set<std::string> names;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Field item = list.item(i);
    const Field field = item.map();
    // No number means every port, which no Service can use.
    if (!field.present() || !field["port"].present()) continue;
    EndpointPort port;
    port.name = read_port_name(field["name"]);
    port.protocol = field["protocol"].choice(kProtocols, Protocol::tcp);
    port.port = static_cast<std::uint16_t>(field["port"].number(1, 65'535).value_or(0));
    if (!names.insert(port.name).second)
      field["name"].expected("a name that no other port of the slice has");
    slice.ports.push_back(std::move(port));
  }
}

std::vector<std::string> read_hints(const Field& hints, std::string_view name) {
  std::vector<std::string> names;
  const Field list = hints[name].list();
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Field item = list.item(i);
    const Field hint = item.map();
    if (!hint.present()) continue;
    const Field of = hint["name"];
    names.push_back(of.text());
    if (names.back().empty()) of.expected("a name");
  }
  return names;
}

void read_endpoint(const Field& field, EndpointSlice& slice) {
  const Field addresses = field["addresses"].list();
  if (addresses.size() == 0) return;  // as the proxy: nothing to send to
  Endpoint endpoint;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const Field item = addresses.item(i);
    const auto address = item.address(slice.family);
    if (i == 0 && address) endpoint.address = *address;  // the others mean the same endpoint
  }
  const Field conditions = field["conditions"].map();
  endpoint.ready = conditions["ready"].boolean(true);
  endpoint.serving = conditions["serving"].boolean(true);
  endpoint.terminating = conditions["terminating"].boolean(false);
  endpoint.node = field["nodeName"].text();
  const Field hints = field["hints"].map();
  endpoint.zone_hints = read_hints(hints, "forZones");
  endpoint.node_hints = read_hints(hints, "forNodes");
  slice.endpoints.push_back(std::move(endpoint));
}

void read_container_ports(const Field& spec, std::string_view name, bool sidecars,
                          PodManifest& pod) {
  const Field containers = spec[name].list();
  for (std::size_t i = 0; i < containers.size(); ++i) {
    const Field item = containers.item(i);
    const Field container = item.map();
    // Of the init containers, only those run beside the others that are always restarted.
    if (sidecars && container["restartPolicy"].text() != "Always") continue;
    const Field ports = container["ports"].list();
    for (std::size_t j = 0; j < ports.size(); ++j) {
      const Field entry = ports.item(j);
      const Field field = entry.map();
      if (!field.present()) continue;
      ContainerPort port;
      port.name = field["name"].text();
      port.protocol = field["protocol"].choice(kProtocols, Protocol::tcp);
      port.port = static_cast<std::uint16_t>(field["containerPort"].number(1, 65'535).value_or(0));
      if (!port.name.empty()) pod.ports.push_back(std::move(port));
    }
  }
}

void add_address(const Field& field, PodManifest& pod) {
  if (!field.present()) return;
  const auto address = field.address();
  if (!address) return;
  const bool known =
      std::any_of(pod.addresses.begin(), pod.addresses.end(),
                  [&](const Address& other) { return other.family() == address->family(); });
  if (!known) pod.addresses.push_back(*address);
}

void read_pod_addresses(const Field& status, PodManifest& pod) {
  const Field list = status["podIPs"].list();
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Field item = list.item(i);
    const Field entry = item.map();
    add_address(entry["ip"], pod);
  }
  if (list.size() == 0 && status["podIP"].text("-") != "") add_address(status["podIP"], pod);
}

// A Pod that was written by hand has an address and no conditions at all: it counts as ready,
// since nobody is there to say otherwise. One with conditions is ready if they say so.
bool read_readiness(const Field& status) {
  const Field list = status["conditions"].list();
  if (list.size() == 0) return true;
  bool ready = false;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Field item = list.item(i);
    const Field condition = item.map();
    if (condition["type"].text() == "Ready") ready = condition["status"].text() == "True";
  }
  return ready;
}

constexpr std::array<Choice<bool>, 3> kTaintEffects{
    {{"NoSchedule", true}, {"PreferNoSchedule", true}, {"NoExecute", true}}};

void read_taints(const Field& spec, Node& node) {
  const Field list = spec["taints"].list();
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Field item = list.item(i);
    const Field taint = item.map();
    if (!taint.present()) continue;
    const Field effect = taint["effect"];
    if (!effect.choice(kTaintEffects, false) && !effect.present())
      effect.expected("one of NoSchedule, PreferNoSchedule, NoExecute");
    std::string key = taint["key"].text();
    if (key.empty()) taint["key"].expected("the name of the taint");
    node.taints.push_back(std::move(key));
  }
}

}  // namespace

SliceManifest read_slice(const Field& root, const ObjectKey& key) {
  SliceManifest manifest;
  EndpointSlice slice;
  slice.key = key;
  const Field metadata = root["metadata"].map();
  const Labels labels = metadata["labels"].labels();
  const AddressType type = root["addressType"].choice(kAddressTypes, AddressType::ipv4);
  if (!root["addressType"].present()) root["addressType"].expected("one of IPv4, IPv6, FQDN");
  manifest.unserved = is_for_another_proxy(labels) || type == AddressType::fqdn;
  if (manifest.unserved) return manifest;
  const auto service = labels.find("kubernetes.io/service-name");
  if (service == labels.end() || service->second.empty())
    metadata["labels"].expected("kubernetes.io/service-name with the name of a Service");
  else
    slice.service = service->second;
  slice.family = type == AddressType::ipv4 ? Family::ipv4 : Family::ipv6;
  read_slice_ports(root, slice);
  const Field endpoints = root["endpoints"].list();
  slice.endpoints.reserve(endpoints.size());
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    const Field item = endpoints.item(i);
    const Field endpoint = item.map();
    if (endpoint.present()) read_endpoint(endpoint, slice);
  }
  manifest.slice = std::move(slice);
  return manifest;
}

PodManifest read_pod(const Field& root) {
  PodManifest pod;
  const Field metadata = root["metadata"].map();
  const Field spec = root["spec"].map();
  const Field status = root["status"].map();
  pod.labels = metadata["labels"].labels();
  pod.terminating = metadata["deletionTimestamp"].present();
  pod.node = spec["nodeName"].text();
  const std::string phase = status["phase"].text();
  pod.finished = phase == "Succeeded" || phase == "Failed";
  read_container_ports(spec, "containers", false, pod);
  read_container_ports(spec, "initContainers", true, pod);
  read_pod_addresses(status, pod);
  pod.ready = read_readiness(status);
  return pod;
}

Node read_node(const Field& root) {
  Node node;
  const Field metadata = root["metadata"].map();
  const Labels labels = metadata["labels"].labels();
  const auto zone = labels.find("topology.kubernetes.io/zone");
  if (zone != labels.end()) node.zone = zone->second;
  node.deleted = !metadata["deletionTimestamp"].text().empty();
  const Field spec = root["spec"].map();
  read_taints(spec, node);
  const Field status = root["status"].map();
  const Field list = status["addresses"].list();
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Field item = list.item(i);
    const Field entry = item.map();
    const std::string type = entry["type"].text();
    if (type != "InternalIP" && type != "ExternalIP") continue;  // Hostname, DNS names
    if (const auto address = entry["address"].address()) node.addresses.push_back(*address);
  }
  return node;
}

}  // namespace weir::manifests
