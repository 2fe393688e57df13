// SPDX-License-Identifier: Apache-2.0
#include "plan/endpoints.hpp"

#include <algorithm>

namespace weir {
namespace {

enum class Topology { none, zone, node };

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// The hints of one level count only if every ready endpoint has some and one of them means us:
// a single endpoint without hints says that whoever writes them has not finished.
Topology topology_of(std::span<const PortEndpoint> endpoints, const Viewpoint& view) {
  bool all_node = true, all_zone = true, this_node = false, this_zone = false;
  for (const auto& endpoint : endpoints) {
    if (!endpoint.ready()) continue;
    const Endpoint& source = *endpoint.source;
    all_node = all_node && !source.node_hints.empty();
    all_zone = all_zone && !source.zone_hints.empty();
    this_node = this_node || contains(source.node_hints, view.node);
    this_zone = this_zone || contains(source.zone_hints, view.zone);
  }
  if (all_node && this_node && !view.node.empty()) return Topology::node;
  if (all_zone && this_zone && !view.zone.empty()) return Topology::zone;
  return Topology::none;
}

bool in_reach(const PortEndpoint& endpoint, Topology topology, const Viewpoint& view) {
  switch (topology) {
    case Topology::none:
      return true;
    case Topology::zone:
      return contains(endpoint.source->zone_hints, view.zone);
    case Topology::node:
      return contains(endpoint.source->node_hints, view.node);
  }
  return true;
}

template <class Predicate>
std::vector<BackendIdentity> ids_of(std::span<const PortEndpoint> endpoints, Predicate wanted) {
  std::vector<BackendIdentity> ids;
  for (const auto& endpoint : endpoints)
    if (wanted(endpoint)) ids.push_back(endpoint.id);
  return ids;
}

std::vector<BackendIdentity> cluster_list(std::span<const PortEndpoint> endpoints,
                                          const Viewpoint& view) {
  const Topology topology = topology_of(endpoints, view);
  auto ids = ids_of(endpoints, [&](const PortEndpoint& endpoint) {
    return endpoint.ready() && in_reach(endpoint, topology, view);
  });
  // The level was chosen so that it leaves something: nothing means that nothing is ready.
  if (!ids.empty()) return ids;
  return ids_of(endpoints, [](const PortEndpoint& endpoint) { return endpoint.last_resort(); });
}

std::vector<BackendIdentity> local_list(std::span<const PortEndpoint> endpoints) {
  auto ids = ids_of(
      endpoints, [](const PortEndpoint& endpoint) { return endpoint.local && endpoint.ready(); });
  if (!ids.empty()) return ids;
  return ids_of(endpoints, [](const PortEndpoint& endpoint) {
    return endpoint.local && endpoint.last_resort();
  });
}

}  // namespace

std::size_t HashOfKey::operator()(const ObjectKey& key) const noexcept {
  const std::hash<std::string_view> hash;
  return hash(key.name) * 31 + hash(key.ns);
}

SliceIndex::SliceIndex(const ClusterState& cluster) {
  slices_.reserve(cluster.slices.size());
  for (const auto& [key, slice] : cluster.slices)
    if (!slice->service.empty()) slices_[{key.ns, slice->service}].push_back(key.name);
}

void SliceIndex::add(const ClusterState& cluster, const ObjectKey& slice) {
  const auto found = cluster.slices.find(slice);
  if (found == cluster.slices.end() || found->second->service.empty()) return;
  const ObjectKey service{slice.ns, found->second->service};
  auto& names = slices_[service];
  std::erase_if(names, [&](const std::string& name) {
    const auto other = cluster.slices.find({slice.ns, name});
    return name == slice.name || other == cluster.slices.end() ||
           other->second->service != service.name;
  });
  names.insert(std::ranges::lower_bound(names, slice.name), slice.name);
}

std::vector<PortEndpoint> SliceIndex::endpoints(const ClusterState& cluster,
                                                const ObjectKey& service, Family family,
                                                const ServicePort& port,
                                                std::string_view node) const {
  std::vector<PortEndpoint> found;
  const auto names = slices_.find(service);
  if (names == slices_.end()) return found;
  for (const std::string& name : names->second) {
    const auto at = cluster.slices.find({service.ns, name});
    if (at == cluster.slices.end()) continue;
    const EndpointSlice* const slice = &*at->second;
    if (slice->service != service.name || slice->family != family) continue;
    for (const auto& number : slice->ports) {
      if (number.name != port.name || number.protocol != port.protocol || number.port == 0)
        continue;
      for (const auto& endpoint : slice->endpoints) {
        if (endpoint.address.family() != family) continue;
        const bool local = !node.empty() && endpoint.node == node;
        found.push_back({{endpoint.address, number.port}, local, &endpoint});
      }
    }
  }
  // An endpoint that moves between slices is in both for a while, perhaps with different
  // conditions. Of two, the local one is believed, then the one in better health; between equals
  // the slice whose name comes first, which the stable sort keeps.
  std::ranges::stable_sort(found, [](const PortEndpoint& a, const PortEndpoint& b) {
    const auto rank = [](const PortEndpoint& e) {
      return std::tuple{!e.local, !e.source->ready, !e.source->serving, e.source->terminating};
    };
    return a.id == b.id ? rank(a) < rank(b) : a.id < b.id;
  });
  const auto rest = std::ranges::unique(found, {}, &PortEndpoint::id);
  found.erase(rest.begin(), rest.end());
  return found;
}

Selection select_endpoints(std::span<const PortEndpoint> endpoints, const Viewpoint& view) {
  Selection selection;
  if (view.uses_cluster) selection.cluster = cluster_list(endpoints, view);
  if (view.uses_local) selection.local = local_list(endpoints);
  selection.has_endpoint = std::ranges::any_of(endpoints, &PortEndpoint::usable);
  return selection;
}

}  // namespace weir
