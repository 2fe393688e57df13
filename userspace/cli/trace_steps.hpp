// SPDX-License-Identifier: Apache-2.0
// The look-ups of a trace, decoded as `weir map dump` decodes the maps.
#pragma once

#include "base/abi.hpp"
#include "cli/output.hpp"

namespace weir::cli {

// Columns map, key, value: one row for each look-up that was kept; the value is nothing where the
// key was not found.
Listing list_steps(const weir_trace& trace);

}  // namespace weir::cli
