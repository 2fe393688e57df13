// SPDX-License-Identifier: Apache-2.0
// The endpoints of one service port: merged from its EndpointSlices, then chosen by readiness,
// topology and traffic policy. What kube-proxy does, see docs/ARCHITECTURE.md.
#pragma once

#include <map>
#include <span>
#include <string_view>
#include <tuple>
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

// Slices by the service that they belong to. Refers to the ClusterState that it was made from.
class SliceIndex {
 public:
  explicit SliceIndex(const ClusterState& cluster);

  // Sorted by address and port, each once. A slice may give the port another number than the
  // next: they are matched by name and protocol.
  [[nodiscard]] std::vector<PortEndpoint> endpoints(const ObjectKey& service, Family family,
                                                    const ServicePort& port,
                                                    std::string_view node) const;

 private:
  using Key = std::tuple<std::string_view, std::string_view, Family>;  // namespace, name, family
  std::map<Key, std::vector<const EndpointSlice*>> slices_;
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
