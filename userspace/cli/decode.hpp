// SPDX-License-Identifier: Apache-2.0
// The contents of one pinned map, decoded by include/weir/abi.h.
#pragma once

#include <string>

#include "base/result.hpp"
#include "cli/output.hpp"
#include "kernel/pins.hpp"

namespace weir::cli {

// Sorted by key. Elements of arrays that are all zero are left out. A map that the ABI does not
// know is shown as bytes in hexadecimal.
Result<Listing> dump_map(const kernel::Pins& pins, const std::string& name);

}  // namespace weir::cli
