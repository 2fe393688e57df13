// SPDX-License-Identifier: Apache-2.0
// What load balancers outside are to know of this node, from the cluster's state: pure functions.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/cluster.hpp"

namespace weir::serve {

// One Service with a healthCheckNodePort.
struct HealthCheck {
  ObjectKey service;
  std::uint16_t port = 0;
  std::uint32_t local_endpoints = 0;
  friend bool operator==(const HealthCheck&, const HealthCheck&) = default;
};

// In the order of names. An endpoint is a distinct address of this node that is ready on some port
// of the Service; what is terminating may still get traffic and does not count. As kube-proxy,
// which is one proxy for each family, this counts each family by itself: of the two numbers, the
// greater, so that a dual-stack Pod is one endpoint.
std::vector<HealthCheck> health_checks(const ClusterState& cluster, std::string_view node);

// False: the node is being deleted or scaled away, and new connections should go elsewhere. A
// node that no source knows is as good as any.
bool node_eligible(const ClusterState& cluster, std::string_view node);

}  // namespace weir::serve
