// SPDX-License-Identifier: Apache-2.0
// The connected UDP sockets of this network namespace, and ending their connections (sock_diag).
#pragma once

#include <linux/inet_diag.h>

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "model/address.hpp"

namespace weir::node {

// Which socket, and where it is connected to.
struct UdpConnection {
  std::uint64_t cookie = 0;  // the kernel's name for the socket, as BPF programs know it
  Address remote;
  std::uint16_t port = 0;  // host order
  friend auto operator<=>(const UdpConnection&, const UdpConnection&) = default;
};

struct UdpSocket {
  UdpConnection connection;
  std::uint8_t family = 0;  // of the socket; IPv4 may be spoken by an IPv6 one
  inet_diag_sockid id{};    // for the kernel
};

// Of one answer of the kernel.
UdpSocket udp_socket(const inet_diag_msg& message);

// Those that are connected as one of `wanted` says. `wanted` is sorted.
std::vector<UdpSocket> select_sockets(std::span<const UdpSocket> sockets,
                                      std::span<const UdpConnection> wanted);

Result<std::vector<UdpSocket>> connected_udp_sockets();

// Ends the connections: the socket is as before connect(), and whoever waits on it gets
// ECONNABORTED. One that has gone by itself is no error. EOPNOTSUPP: the kernel was built without
// CONFIG_INET_DIAG_DESTROY.
Result<> end_connections(std::span<const UdpSocket> sockets);

}  // namespace weir::node
