// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "agent/options.hpp"
#include "cli/shared.hpp"

namespace weir::cli {

// Injected, so that the command line is tested with no agent behind it.
using Agent = std::function<Result<>(const agent::Options&)>;

// `weir run`
void add_run_command(CLI::App& app, Shared& shared, Agent agent);

}  // namespace weir::cli
