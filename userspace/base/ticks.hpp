// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

#include "weir/abi.h"

namespace weir {

// Seconds as the datapath counts them, rounded up (WEIR_TICK_SHIFT).
constexpr std::uint32_t to_ticks(std::chrono::seconds time) {
  const auto ns = static_cast<std::uint64_t>(std::chrono::nanoseconds{time}.count());
  return static_cast<std::uint32_t>((ns + (1ULL << WEIR_TICK_SHIFT) - 1) >> WEIR_TICK_SHIFT);
}

}  // namespace weir
