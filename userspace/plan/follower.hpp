// SPDX-License-Identifier: Apache-2.0
// From one state of the cluster to the next: plan() and reconcile(), of that only which changed.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "model/cluster.hpp"
#include "plan/plan.hpp"
#include "plan/reconciler.hpp"

namespace weir {

class Follower {
 public:
  Follower(ProgrammedTables tables, const Limits& limits)
      : reconciler_{std::move(tables), limits} {}

  struct Step {
    std::vector<Operation> operations;
    std::vector<Refused> refused;
    std::vector<FrontendConflict> conflicts;
    bool whole = false;                // everything was planned anew
    std::size_t touched = 0;           // services that were looked at
    std::chrono::nanoseconds plan{0};  // how long each half took
    std::chrono::nanoseconds reconcile{0};
  };

  // The first step is always to the whole. `changes`: since the step before. The operations have
  // been carried out when the next step is asked for; if they could not, this follower is of no
  // more use.
  Step to(const ClusterState& cluster, const NodeView& node, const StateChanges& changes,
          const LiveFlows& live);

  [[nodiscard]] const ProgrammedTables& tables() const { return reconciler_.tables(); }
  [[nodiscard]] bool waits() const { return reconciler_.waits(); }
  [[nodiscard]] bool can_reclaim(const LiveFlows& live) const {
    return reconciler_.can_reclaim(live);
  }

 private:
  // What one change in part is about.
  struct Part {
    WantedTables wanted;
    std::vector<ServiceIdentity> touched;
  };

  [[nodiscard]] bool needs_whole(const ClusterState& cluster, const NodeView& node,
                                 const StateChanges& changes) const;
  // Nothing if others have, or want, what it wants.
  std::optional<Part> part(const ClusterState& cluster, const StateChanges& changes);
  [[nodiscard]] std::vector<ServiceIdentity> programmed(const std::set<ObjectKey>& services) const;
  [[nodiscard]] bool independent(const Part& part) const;

  Reconciler reconciler_;
  SliceIndex slices_;
  NodeView node_;
  std::string zone_;
  bool settled_ = false;  // the last step left nothing refused and no conflict
};

}  // namespace weir
