// SPDX-License-Identifier: Apache-2.0
// Kernel settings of this network namespace that the datapath depends on (/proc/sys/net).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace weir::node {

// Where settings are. In a container that is not privileged it is read-only, and a mount of the
// node's net/ elsewhere is not; what is in it is always the network namespace of whoever opens it.
inline constexpr const char* kSysctlPath = "/proc/sys";

// Both ends included, host order.
struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  friend auto operator<=>(const PortRange&, const PortRange&) = default;
};

// "80,8000-8010" as in ip_local_reserved_ports; the empty list is the empty string.
Result<std::vector<PortRange>> parse_ports(std::string_view text);
std::string format_ports(const std::vector<PortRange>& ports);
// Sorted, overlapping and adjacent ranges joined.
std::vector<PortRange> joined(std::vector<PortRange> ports);
// The ports that are in both. Sorted and joined.
std::vector<PortRange> common(const std::vector<PortRange>& a, const std::vector<PortRange>& b);

struct Reservation {
  std::vector<PortRange> reserved;     // what ip_local_reserved_ports should hold
  std::vector<PortRange> added;        // what was missing; empty: nothing to write
  std::vector<PortRange> contradicts;  // source ports inside the node port range: an error
  friend bool operator==(const Reservation&, const Reservation&) = default;
};

// What must be reserved so that no process of the node is given, for an outgoing connection, a
// port that source NAT draws from. `reserved` is what is reserved already.
Reservation plan_reservation(const std::vector<PortRange>& source_ports, PortRange local_ports,
                             const std::vector<PortRange>& reserved, PortRange node_ports);

// The same with the kernel's settings, and written if anything was missing.
Result<Reservation> reserve_ports(const std::vector<PortRange>& source_ports, PortRange node_ports,
                                  const std::string& root = kSysctlPath);

// net.ipv4.ip_local_port_range; it governs IPv6 too.
Result<PortRange> local_port_range(const std::string& root = kSysctlPath);

struct Forwarding {
  bool ipv4 = false;  // net.ipv4.ip_forward
  bool ipv6 = false;  // net.ipv6.conf.all.forwarding; false also where there is no IPv6
};
Result<Forwarding> forwarding(const std::string& root = kSysctlPath);

// One setting, as <root>/<path> has it, without the newline. "net/ipv4/ip_forward".
Result<std::string> read_sysctl(const std::string& path, const std::string& root = kSysctlPath);
Result<> write_sysctl(const std::string& path, std::string_view value,
                      const std::string& root = kSysctlPath);

}  // namespace weir::node
