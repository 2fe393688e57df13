// SPDX-License-Identifier: Apache-2.0
// NETLINK_ROUTE messages read into values (linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h).
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "node/devices.hpp"

namespace weir::node {

// RTM_*LINK. Nothing for a message that is not about a device as such: a bridge speaks of its
// ports in messages of the same type (family AF_BRIDGE), and a port that leaves is RTM_DELLINK.
std::optional<Device> read_link(const nlmsghdr& message);

// RTM_*ADDR, with the ifindex that it is on.
std::optional<std::pair<std::uint32_t, InterfaceAddress>> read_address(const nlmsghdr& message);

// RTM_*ROUTE: its ways, none if it is not a unicast route of the main table that can lead to
// another machine (link-local and multicast prefixes are on every device).
std::vector<Route> read_route(const nlmsghdr& message);

}  // namespace weir::node
