// SPDX-License-Identifier: Apache-2.0
// `weir run`: joins the source, the planner, the kernel's tables and the node's devices in one
// loop on one thread.
#pragma once

#include "agent/options.hpp"
#include "base/result.hpp"

namespace weir::agent {

// Runs until SIGTERM or SIGINT, which leave the datapath as it is. An error before the first
// publication leaves nothing attached that was not attached before.
Result<> run(const Options& options);

}  // namespace weir::agent
