// SPDX-License-Identifier: Apache-2.0
// UDP frames of the packet bench, written and read.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "weir_bench_packet.h"

namespace weir::bench {

using Bytes = std::vector<std::uint8_t>;
using Address = std::array<std::uint8_t, 16>;  // IPv4: the last four bytes, network order
using Mac = std::array<std::uint8_t, 6>;

inline constexpr std::size_t kFrame = 64;

// Ports in host order.
struct Tuple {
  Address from{}, to{};
  std::uint16_t sport{}, dport{};
};

struct Aim {
  bool v4{true};
  Mac mac{};
  Address client{}, frontend{};
  std::uint16_t port{};
};

Address address(const std::string& text, bool v4);
// Adds to the last four bytes.
Address plus(Address address, std::uint32_t more);

// A frame of kFrame bytes, TTL 64, checksums right.
Bytes frame(const Aim& aim, const Tuple& tuple);
// What a frame says; it must be as long as frame() makes it.
Tuple read(const Aim& aim, const Bytes& bytes);
Tuple mirrored(const Tuple& tuple);
// What differs from frame to frame.
bench_packet summary(const Aim& aim, const Bytes& bytes);

}  // namespace weir::bench
