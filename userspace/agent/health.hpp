// SPDX-License-Identifier: Apache-2.0
// What the health servers are to say, told to them at each publication.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/options.hpp"
#include "base/result.hpp"
#include "model/cluster.hpp"
#include "node/devices.hpp"
#include "serve/health.hpp"
#include "serve/health_server.hpp"

namespace weir::agent {

// Says to the metrics how many objects changed, and passes the changes on.
StateChanges tell(serve::Metrics& metrics, StateChanges changes, const ClusterState& cluster);

class Health {
 public:
  // `metrics` is served too, and outlives this.
  static Result<Health> start(const Options& options, serve::Metrics& metrics);

  // Nothing is programmed, and nothing will be until a source has answered.
  void wait() { server_->set_programmed(false); }
  // Services whose healthCheckNodePort something else on the node has, and why.
  [[nodiscard]] std::map<ObjectKey, std::string> unopened() const { return server_->unopened(); }
  // A publication of this state begins. Where it fails, the checks stay as they are, as do the
  // tables, and the next one begins where this one did.
  void begin(const ClusterState& cluster);
  // What began is in force; `changes` are those since the last that was.
  void done(const ClusterState& cluster, const StateChanges& changes,
            const node::NodeNetwork& network);

 private:
  Health(const Options& options, std::unique_ptr<serve::HealthServer> server)
      : options_{&options}, server_{std::move(server)} {}
  [[nodiscard]] std::vector<Address> addresses(const node::NodeNetwork& network) const;
  [[nodiscard]] bool concerned(const ClusterState& cluster, const StateChanges& changes) const;

  const Options* options_;
  std::unique_ptr<serve::HealthServer> server_;
  std::optional<std::vector<serve::HealthCheck>> checks_;  // those that are served
};

}  // namespace weir::agent
