// SPDX-License-Identifier: Apache-2.0
// Which devices are edges of the node, and what the node calls itself there. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "node/devices.hpp"

namespace weir::node {

// Patterns are shell globs (fnmatch) over whole device names.
struct Selection {
  std::vector<std::string> pod_interface{"veth*", "cali*", "lxc*", "cni*",
                                         "eni*",  "azv*",  "gke*", "nk*"};
  // Empty: found by themselves. A name without wildcards is an uplink even if it also looks like
  // a pod's; where patterns overlap ("e*" and "eni*"), the pod pattern wins.
  std::vector<std::string> uplink;
};

enum class Edge : std::uint8_t { pod, uplink };

// One device that gets programs.
struct Attachment {
  std::uint32_t ifindex = 0;
  std::string name;
  Edge edge = Edge::pod;
  bool ethernet = true;
  std::uint32_t bridge = 0;        // ifindex of the bridge that it is a port of, or 0
  std::optional<Address> source4;  // what this node calls itself there
  std::optional<Address> source6;
  friend bool operator==(const Attachment&, const Attachment&) = default;
};

// By ifindex. Devices whose frames weir cannot parse (neither Ethernet nor bare IP) are left out.
std::vector<Attachment> classify(const NodeNetwork& network, const Selection& selection);

// The element of the map weir_device (include/weir/abi.h).
weir_device to_abi(const Attachment& attachment);

// Uplink patterns that name no usable device, for a line to the person who wrote them.
std::vector<std::string> unmatched_uplinks(const NodeNetwork& network, const Selection& selection);

// All that this node answers to: every address of every device but loopback, link-local,
// multicast and not yet usable ones. Sorted, each once.
std::vector<Address> node_addresses(const NodeNetwork& network);

// The address of the device that has the best default route, by family; with no default route,
// the first global address of the node.
std::optional<Address> primary_address(const NodeNetwork& network, Family family);

// Where node ports are served. Options are CIDRs, "primary", "localhost", "all"; none means all, as
// in kube-proxy's iptables mode. A family for which CIDRs are given, but none of its own, keeps all
// its addresses (kube-proxy: util/nodeport_addresses.go). Sorted, each once.
Result<std::vector<Address>> node_port_addresses(const NodeNetwork& network,
                                                 const std::vector<std::string>& options);

// 127.0.0.1 and ::1, each if the same options have node ports served there too.
Result<std::vector<Address>> localhost_addresses(const std::vector<std::string>& options);

}  // namespace weir::node
