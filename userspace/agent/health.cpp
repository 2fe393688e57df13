// SPDX-License-Identifier: Apache-2.0
#include "agent/health.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "node/classify.hpp"

namespace weir::agent {

StateChanges tell(serve::Metrics& metrics, StateChanges changes, const ClusterState& cluster) {
  if (changes.whole)
    metrics.changed(cluster.services.size(), cluster.slices.size());
  else if (!changes.services.empty() || !changes.slices.empty())
    metrics.changed(changes.services.size(), changes.slices.size());
  return changes;
}

Result<Health> Health::start(const Options& options, serve::Metrics& metrics) {
  auto server =
      serve::HealthServer::start({.healthz = options.healthz, .metrics = options.metrics}, metrics);
  if (!server) return std::unexpected{std::move(server.error())};
  return Health{options, std::move(*server)};
}

void Health::begin(const ClusterState& cluster) {
  server_->queued();
  server_->set_eligible(serve::node_eligible(cluster, options_->node_name));
}

// Whether a check, or the number of endpoints that it tells, may be another than before.
bool Health::concerned(const ClusterState& cluster, const StateChanges& changes) const {
  if (!checks_ || changes.whole) return true;
  return std::ranges::any_of(changes.services, [&](const ObjectKey& key) {
    const auto service = cluster.services.find(key);
    return (service != cluster.services.end() && needs_health_check(service->second)) ||
           std::ranges::binary_search(*checks_, key, {}, &serve::HealthCheck::service);
  });
}

void Health::done(const ClusterState& cluster, const StateChanges& changes,
                  const node::NodeNetwork& network) {
  server_->updated();
  server_->set_programmed(true);
  if (concerned(cluster, changes)) checks_ = serve::health_checks(cluster, options_->node_name);
  server_->serve(*checks_, addresses(network));
}

// Those that serve node ports. Without a restriction one socket takes all, as kube-proxy has it:
// it needs no change when an address comes, and loopback is among them.
std::vector<Address> Health::addresses(const node::NodeNetwork& network) const {
  const auto& wanted = options_->node_port_addresses;
  if (wanted.empty() || std::ranges::find(wanted, "all") != wanted.end()) return {Address{}};
  auto addresses = node::node_port_addresses(network, wanted);
  if (addresses) return std::move(*addresses);
  log::error("{}", addresses.error().message());
  return {};
}

}  // namespace weir::agent
