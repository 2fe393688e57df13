// SPDX-License-Identifier: Apache-2.0
// What a device's driver can do with XDP. Asks the kernel: netdev generic netlink (6.3+) and
// ethtool.
#pragma once

#include <string>

#include "base/result.hpp"
#include "node/devices.hpp"

namespace weir::node {

struct XdpSupport {
  bool native = false;    // a program can be attached in native mode and will see what it should
  bool redirect = false;  // frames redirected *into* the device are sent (it may be in the devmap)
  std::string driver;     // "veth", "mlx5_core"; "" if it does not say
  std::string why_not_native;    // one clause, empty if native
  std::string why_not_redirect;  // one clause, empty if redirect
  friend bool operator==(const XdpSupport&, const XdpSupport&) = default;
};

// `redirect` may change later without any netlink event of rtnetlink: a veth takes frames only
// while its peer has an XDP program or GRO. Ask again before relying on it.
Result<XdpSupport> xdp_support(const NodeNetwork& network, const Device& device);

}  // namespace weir::node
