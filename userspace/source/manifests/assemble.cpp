// SPDX-License-Identifier: Apache-2.0
#include "source/manifests/assemble.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

namespace weir::manifests {
namespace {

std::string where(const Place& place) {
  return fmt::format("{}, document {}, line {}", printable(*place.file), place.document,
                     place.line);
}

Line warning(Place place, unsigned line, std::string_view text) {
  place.line = line;
  return {log::Level::warning, placed(place, text)};
}

const ServiceManifest& manifest_of(const Object& object) {
  return std::get<ServiceManifest>(object.body);
}

bool same_claims(const ServiceManifest& a, const ServiceManifest& b) {
  const auto claim = [](const auto& port) {
    return std::pair{port.port.protocol, port.port.node_port};
  };
  return a.unserved == b.unserved && a.service.cluster_ips == b.service.cluster_ips &&
         a.service.health_check_node_port == b.service.health_check_node_port &&
         std::ranges::equal(a.ports, b.ports, {}, claim, claim);
}

// What only one service can have. Unserved ones have nothing.
class Claims {
 public:
  // Takes all, or says what another service has already and takes nothing.
  std::vector<Line> claim(const Object& object) {
    std::vector<Line> conflicts;
    const ServiceManifest& manifest = manifest_of(object);
    if (manifest.unserved) return conflicts;
    const auto& ips = manifest.service.cluster_ips;
    for (std::size_t i = 0; i < ips.size(); ++i)
      if (const Object* owner = other(addresses_, ips[i], object))
        conflicts.push_back(warning(
            object.place, manifest.cluster_ip_lines[i],
            fmt::format("spec.clusterIP: expected an address of its own, got {}, which Service {} "
                        "has ({})",
                        ips[i].to_string(), owner->key.to_string(), where(owner->place))));
    for (std::size_t i = 0; i < manifest.ports.size(); ++i) {
      const auto& [port, target, name, line] = manifest.ports[i];
      if (port.node_port == 0) continue;
      if (const Object* owner = other(node_ports_, {port.protocol, port.node_port}, object))
        conflicts.push_back(warning(
            object.place, line,
            fmt::format("spec.ports[{}].nodePort: expected a {} node port of its own, got {}, "
                        "which Service {} has ({})",
                        i, to_string(port.protocol), port.node_port, owner->key.to_string(),
                        where(owner->place))));
    }
    claim_health_check(object, manifest, conflicts);
    if (conflicts.empty()) take(object, manifest);
    return conflicts;
  }

 private:
  void claim_health_check(const Object& object, const ServiceManifest& manifest,
                          std::vector<Line>& conflicts) const {
    const std::uint16_t port = manifest.service.health_check_node_port;
    if (port == 0) return;
    if (const Object* owner = other(node_ports_, {Protocol::tcp, port}, object))
      conflicts.push_back(warning(
          object.place, manifest.health_check_line,
          fmt::format("spec.healthCheckNodePort: expected a TCP node port of its own, got {}, "
                      "which Service {} has ({})",
                      port, owner->key.to_string(), where(owner->place))));
  }

  template <class K>
  static const Object* other(const std::map<K, const Object*>& claims, const K& key,
                             const Object& self) {
    const auto found = claims.find(key);
    return found == claims.end() || found->second->key == self.key ? nullptr : found->second;
  }

  void take(const Object& object, const ServiceManifest& manifest) {
    for (const auto& ip : manifest.service.cluster_ips) addresses_.emplace(ip, &object);
    for (const auto& port : manifest.ports)
      if (port.port.node_port != 0)
        node_ports_.emplace(std::pair{port.port.protocol, port.port.node_port}, &object);
    if (manifest.service.health_check_node_port != 0)
      node_ports_.emplace(std::pair{Protocol::tcp, manifest.service.health_check_node_port},
                          &object);
  }

  std::map<Address, const Object*> addresses_;
  std::map<std::pair<Protocol, std::uint16_t>, const Object*> node_ports_;
};

class Assembler {
 public:
  Assembler(const std::set<ObjectId>& broken, const Services& in_force, const Options& options)
      : broken_{broken}, before_{in_force}, options_{options} {}

  Assembly run(const std::vector<ObjectPtr>& objects) {
    for (const auto& object : objects) admit(object);
    admit_services();
    complete();
    add_slices();
    add_endpoints();
    return std::move(result_);
  }

 private:
  void admit(const ObjectPtr& object) {
    const auto [at, added] = result_.objects.insert(object);
    if (!added) {
      result_.unique = false;
      const std::string name = object->key.ns.empty() ? object->key.name : object->key.to_string();
      result_.lines.push_back(
          warning(object->place, object->name_line,
                  fmt::format("metadata.name: expected a {} that is not there already, got \"{}\", "
                              "which is in {}",
                              to_string(object->kind()), name, where((*at)->place))));
      return;
    }
    if (const auto* node = std::get_if<Node>(&object->body))
      result_.state.nodes.emplace(node->name, *node);
    if (object->kind() == Kind::service) services_.push_back(object);
  }

  // Who is being served with an address keeps it, whatever file claims it next; only between
  // newcomers does the order of the files decide.
  void admit_services() {
    const auto served = [this](const ObjectPtr& object) {
      const auto last = before_.find(object->key);
      return last != before_.end() && same_claims(manifest_of(*last->second), manifest_of(*object));
    };
    std::ranges::stable_partition(services_, served);
    for (const auto& object : services_) admit_service(object);
  }

  void admit_service(const ObjectPtr& object) {
    auto conflicts = claims_.claim(*object);
    if (conflicts.empty()) {
      result_.in_force.emplace(object->key, object);
      return;
    }
    result_.settled = false;
    std::move(conflicts.begin(), conflicts.end(), std::back_inserter(result_.lines));
    const auto last = before_.find(object->key);
    if (last != before_.end() && claims_.claim(*last->second).empty())
      result_.in_force.emplace(*last);
  }

  // A service that cannot be completed goes back to its last version, and out if that is no
  // better: at most two rounds more.
  void complete() {
    std::set<ObjectKey> second_try;
    while (true) {
      Allocation allocation = allocate(result_.in_force, options_);
      for (const auto& [key, line] : allocation.failures) {
        const auto last = before_.find(key);
        const auto now = result_.in_force.find(key);
        const bool first = second_try.insert(key).second;
        if (first) result_.lines.push_back(line);
        if (first && last != before_.end() && last->second != now->second &&
            claims_.claim(*last->second).empty())
          now->second = last->second;
        else
          result_.in_force.erase(now);
      }
      if (!allocation.failures.empty() || !allocation.lines.empty()) result_.settled = false;
      if (!allocation.failures.empty()) continue;
      std::move(allocation.lines.begin(), allocation.lines.end(),
                std::back_inserter(result_.lines));
      result_.state.services = std::move(allocation.services);
      return;
    }
  }

  void add_slices() {
    for (const auto& object : result_.objects) {
      const auto* manifest = std::get_if<SliceManifest>(&object->body);
      if (manifest == nullptr || manifest->unserved) continue;
      result_.state.slices.emplace_hint(result_.state.slices.end(), object->key, manifest->slice);
      const ObjectId service{Kind::service, {object->key.ns, manifest->slice->service}};
      // Of a broken Service, enough is said already.
      if (result_.objects.contains(service) || broken_.contains(service)) continue;
      result_.waiting.emplace(object->key, waits_for_service(*object));
    }
  }

  void add_endpoints() {
    for (const auto& object : result_.objects)
      if (object->kind() == Kind::pod) result_.pods.add(*object);
    for (const auto& [key, service] : result_.state.services) {
      const ServiceManifest& manifest = manifest_of(*result_.in_force.at(key));
      result_.selectors.add(key, manifest.selector);
      for (auto& slice : selected_slices(manifest, service, result_.pods)) {
        ObjectKey slice_key = slice.key;
        result_.state.slices.emplace(std::move(slice_key), std::move(slice));
      }
    }
  }

  const std::set<ObjectId>& broken_;
  const Services& before_;
  const Options& options_;
  Claims claims_;
  std::vector<ObjectPtr> services_;
  Assembly result_;
};

}  // namespace

Line waits_for_service(const Object& slice) {
  const auto& service = std::get<SliceManifest>(slice.body).slice->service;
  return warning(
      slice.place, slice.name_line,
      fmt::format("metadata.labels: expected kubernetes.io/service-name to name a Service that "
                  "is there, got \"{}\"; the EndpointSlice waits for it",
                  printable(ObjectKey{slice.key.ns, service}.to_string())));
}

std::vector<EndpointSlice> selected_slices(const ServiceManifest& manifest, const Service& service,
                                           const PodIndex& pods) {
  if (manifest.selector.empty()) return {};
  std::vector<Family> families;
  families.reserve(service.cluster_ips.size());
  for (const auto& ip : service.cluster_ips) families.push_back(ip.family());
  return make_slices(manifest, families, pods);
}

Assembly assemble(const std::vector<ObjectPtr>& objects, const std::set<ObjectId>& broken,
                  const Services& in_force, const Options& options) {
  return Assembler{broken, in_force, options}.run(objects);
}

}  // namespace weir::manifests
