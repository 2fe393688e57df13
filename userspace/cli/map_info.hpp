// SPDX-License-Identifier: Apache-2.0
// The pinned maps themselves: how large they are and how full.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "kernel/map.hpp"
#include "kernel/pins.hpp"

namespace weir::cli {

struct PinnedMap {
  kernel::MapInfo info;
  std::uint64_t bytes = 0;               // of kernel memory, as the kernel counts it
  std::optional<std::uint64_t> entries;  // in use; none: this kind of map cannot say
};

// By name.
Result<std::vector<PinnedMap>> read_maps(const kernel::Pins& pins);

std::string map_type_text(std::uint32_t type);  // "hash", or the number

}  // namespace weir::cli
