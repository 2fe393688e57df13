// SPDX-License-Identifier: Apache-2.0
#include "agent/health.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "node/classify.hpp"

namespace weir::agent {

Result<Health> Health::start(const Options& options) {
  auto server = serve::HealthServer::start(options.healthz);
  if (!server) return std::unexpected{std::move(server.error())};
  return Health{options, std::move(*server)};
}

void Health::begin(const ClusterState& cluster) {
  server_->queued();
  server_->set_eligible(serve::node_eligible(cluster, options_->node_name));
}

void Health::done(const ClusterState& cluster, const node::NodeNetwork& network) {
  server_->updated();
  server_->serve(serve::health_checks(cluster, options_->node_name), addresses(network));
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
