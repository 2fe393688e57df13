// SPDX-License-Identifier: Apache-2.0
// Walking a map of any layout, as bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.hpp"
#include "kernel/map.hpp"

namespace weir::cli {

using Bytes = std::span<const unsigned char>;
using VisitRaw = std::function<void(Bytes key, Bytes value)>;

// Every element once; those that come or go meanwhile may be missed. Only for maps with keys.
Result<> walk(int fd, const kernel::MapInfo& info, const VisitRaw& visit);

// Elements of a per-CPU array of 8 bytes, each summed over all CPUs.
Result<std::vector<std::uint64_t>> per_cpu_sums(int fd, const kernel::MapInfo& info);

}  // namespace weir::cli
