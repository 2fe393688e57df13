// SPDX-License-Identifier: Apache-2.0
// The three capabilities that weir needs, and whether this process has them.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace weir {

// Bit CAP_x, as CapEff of /proc/PID/status; of the calling thread.
Result<std::uint64_t> effective_capabilities();

// Those that are needed and are not in the set: "CAP_BPF, CAP_PERFMON". None: empty.
std::string missing_capabilities(std::uint64_t effective);

}  // namespace weir
