// SPDX-License-Identifier: Apache-2.0
#include "serve/health.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include "plan/endpoints.hpp"

namespace weir::serve {
namespace {

constexpr std::string_view kToBeDeleted = "ToBeDeletedByClusterAutoscaler";

std::uint32_t local_endpoints(const ClusterState& cluster, const Service& service, Family family,
                              const SliceIndex& slices, std::string_view node) {
  std::set<Address> ready;
  for (const auto& port : service.ports)
    for (const auto& endpoint : slices.endpoints(cluster, service.key, family, port, node))
      if (endpoint.local && endpoint.ready()) ready.insert(endpoint.id.address);
  return static_cast<std::uint32_t>(ready.size());
}

}  // namespace

std::vector<HealthCheck> health_checks(const ClusterState& cluster, std::string_view node) {
  std::vector<HealthCheck> checks;
  std::optional<SliceIndex> slices;  // of use only if some Service asks
  for (const auto& [key, service] : cluster.services) {
    if (!needs_health_check(service) || service.health_check_node_port == 0) continue;
    if (!slices) slices.emplace(cluster);
    HealthCheck check{.service = key, .port = service.health_check_node_port, .local_endpoints = 0};
    for (const auto& ip : service.cluster_ips)
      check.local_endpoints = std::max(
          check.local_endpoints, local_endpoints(cluster, service, ip.family(), *slices, node));
    checks.push_back(std::move(check));
  }
  return checks;
}

bool node_eligible(const ClusterState& cluster, std::string_view node) {
  const auto self = cluster.nodes.find(std::string{node});
  if (self == cluster.nodes.end()) return true;
  return !self->second.deleted &&
         std::ranges::find(self->second.taints, kToBeDeleted) == self->second.taints.end();
}

}  // namespace weir::serve
