// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace weir::test {

using Bytes = std::vector<std::uint8_t>;
using Mac = std::array<std::uint8_t, 6>;

enum class Link : std::uint8_t { kEthernet, kNone };

// A packet as it lies in memory. Made by Packet::frame() or by a program under test.
struct Frame {
  Bytes bytes;
  Link link{Link::kEthernet};

  [[nodiscard]] Frame cut(std::size_t length) const;  // the first `length` bytes
  [[nodiscard]] Frame with_byte(std::size_t at, std::uint8_t value) const;

  // Bytes alone: a program may add or remove the link header.
  friend bool operator==(const Frame& a, const Frame& b) { return a.bytes == b.bytes; }
};

// What an IP packet of the frame says, as far as it can be read.
struct Parsed {
  Mac dmac{};
  Mac smac{};
  int tags{};  // VLAN tags in the frame
  std::uint16_t ethertype{};
  std::size_t l3{};  // offsets
  std::size_t l4{};
  std::uint8_t family{};  // 4 or 6
  std::uint8_t proto{};
  std::uint8_t ttl{};
  bool fragment{};
  std::string saddr;
  std::string daddr;
  std::uint16_t sport{};  // TCP, UDP and SCTP; 0 in all fragments but the first
  std::uint16_t dport{};
  std::uint16_t ip_length{};        // from the IP header on, as the header says
  bool ip_check_ok{};               // of the IPv4 header; true for IPv6
  std::optional<bool> l4_check_ok;  // nullopt: none, or not all of the segment is here
};

// nullopt where it is no IP packet, or cut before the end of its transport header.
std::optional<Parsed> parse(const Frame& frame);

std::string describe(const Frame& frame);  // one line, in the manner of tcpdump
std::string hex(const Frame& frame);       // 16 bytes a line with offsets
// Where two frames differ, for INFO() beside a CHECK that they are equal.
std::string difference(const Frame& got, const Frame& wanted);

std::ostream& operator<<(std::ostream& out, const Frame& frame);

}  // namespace weir::test
