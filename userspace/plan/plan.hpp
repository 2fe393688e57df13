// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <vector>

#include "model/cluster.hpp"
#include "plan/endpoints.hpp"
#include "plan/tables.hpp"

namespace weir {

// This node, as planning needs it: who it is and which of its addresses matter.
struct NodeView {
  std::string name;
  std::vector<Address> addresses;            // every address of every device, loopback excluded
  std::vector<Address> node_port_addresses;  // those on which node ports are served
  std::vector<Address> localhost{};          // of 127.0.0.1 and ::1 likewise, for the host edge
  friend bool operator==(const NodeView&, const NodeView&) = default;
};

// The tables that `node` should have for this state of the cluster. A pure function: no I/O, no
// clock, and the same result for the same input whatever order things arrived in.
WantedTables plan(const ClusterState& cluster, const NodeView& node);
// The same with an index that is there already, of this very state.
WantedTables plan(const ClusterState& cluster, const NodeView& node, const SliceIndex& slices);
// What of it is due to some of the services alone: without the node's addresses, and of conflicts
// only those among themselves.
WantedTables plan_services(const ClusterState& cluster, const NodeView& node,
                           const SliceIndex& slices, const std::set<ObjectKey>& services);

}  // namespace weir
