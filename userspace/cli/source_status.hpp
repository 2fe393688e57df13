// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "cli/output.hpp"
#include "kernel/pins.hpp"

namespace weir::cli {

// How the agent stands with whom it has its Services from: kind, and of the API each resource.
// An empty cell: the tables are of an agent that did not tell.
Result<Value> describe_source(const kernel::Pins& pins);

}  // namespace weir::cli
