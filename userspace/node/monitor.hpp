// SPDX-License-Identifier: Apache-2.0
// Follows a network namespace by NETLINK_ROUTE.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "node/devices.hpp"
#include "node/netlink.hpp"

namespace weir::node {

class Monitor {
 public:
  // Of the calling thread's network namespace, for the life of the object. network() is complete
  // on return.
  static Result<Monitor> open();

  // Readable when something may have changed: watch it, and call refresh().
  [[nodiscard]] int fd() const { return events_.fd(); }
  // Takes in all that has been reported; never blocks for more. True if network() changed. Lost
  // reports (ENOBUFS) are made good by reading everything again.
  [[nodiscard]] Result<bool> refresh();
  [[nodiscard]] const NodeNetwork& network() const { return network_; }

 private:
  struct Stale {
    bool links = false;
    bool addresses = false;
    bool routes = false;
  };

  Monitor(NetlinkSocket events, NetlinkSocket requests)
      : events_{std::move(events)}, requests_{std::move(requests)} {}

  void take(const nlmsghdr& message, NodeNetwork& next);
  Result<> read_again(NodeNetwork& next);

  NetlinkSocket events_;    // multicast groups only, non-blocking
  NetlinkSocket requests_;  // dumps
  NodeNetwork network_;
  Stale stale_;  // to be read again; kept over a failure
};

}  // namespace weir::node
