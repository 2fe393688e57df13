// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "cli/shared.hpp"

namespace weir::cli {

// By enum weir_counter, summed over the CPUs.
Result<std::vector<std::uint64_t>> read_counters(const kernel::Pins& pins);

// One row a counter; those that are zero only if `all`.
Listing list_counters(const std::vector<std::uint64_t>& counts, bool all);

// `weir drops`
void add_drops_command(CLI::App& app, Shared& shared);

}  // namespace weir::cli
