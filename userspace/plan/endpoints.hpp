// SPDX-License-Identifier: Apache-2.0
// The endpoints of one service port: merged from its EndpointSlices, then chosen by readiness,
// topology and traffic policy. What kube-proxy does, see docs/ARCHITECTURE.md.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/cluster.hpp"
#include "plan/tables.hpp"

namespace weir {

// One address and port that some slice gives for the service port.
struct PortEndpoint {
  BackendIdentity id;
  bool local = false;                // on this node
  const Endpoint* source = nullptr;  // conditions and hints; of the ClusterState

  [[nodiscard]] bool ready() const { return source->ready; }
  // Still answers, and is used if no ready endpoint is left.
  [[nodiscard]] bool last_resort() const {
    return !source->ready && source->serving && source->terminating;
  }
  [[nodiscard]] bool usable() const { return ready() || last_resort(); }
};

struct HashOfKey {
  std::size_t operator()(const ObjectKey& key) const noexcept;
};

// Which slices belong to a service.
class SliceIndex {
 public:
  SliceIndex() = default;
  explicit SliceIndex(const ClusterState& cluster);

  // This slice may be new in `cluster`, or another's than before. Those that are gone, or are no
  // longer this service's, are left out by endpoints().
  void add(const ClusterState& cluster, const ObjectKey& slice);

  // Sorted by address and port, each once. A slice may give the port another number than the
  // next: they are matched by name and protocol. They refer to `cluster`.
  [[nodiscard]] std::vector<PortEndpoint> endpoints(const ClusterState& cluster,
                                                    const ObjectKey& service, Family family,
                                                    const ServicePort& port,
                                                    std::string_view node) const;

 private:
  // Names of slices in order, each in the namespace of its service; more than there are, perhaps.
  std::unordered_map<ObjectKey, std::vector<std::string>, HashOfKey> slices_;
};

// Which lists a service port uses, and from where it is looked at.
struct Viewpoint {
  bool uses_cluster = true;
  bool uses_local = false;
  std::string_view node;
  std::string_view zone;  // empty: none
};

struct Selection {
  std::vector<BackendIdentity> cluster;  // empty if not in use
  std::vector<BackendIdentity> local;
  bool has_endpoint = false;  // some usable endpoint exists, if only for other nodes
};

Selection select_endpoints(std::span<const PortEndpoint> endpoints, const Viewpoint& view);

}  // namespace weir
