// SPDX-License-Identifier: Apache-2.0
// Where the cluster's state comes from, as the agent sees it.
#pragma once

#include "model/cluster.hpp"

namespace weir {

class Source {
 public:
  virtual ~Source() = default;

  // Whether everything has been read once. Half a view would take down services that are there.
  [[nodiscard]] virtual bool complete() const = 0;
  // The last good version of everything.
  [[nodiscard]] virtual const ClusterState& state() const = 0;
  // Where state() may be another than when this was asked last; at first, everywhere.
  virtual StateChanges take_changes() = 0;
};

}  // namespace weir
