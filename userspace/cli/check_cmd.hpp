// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "cli/checks.hpp"
#include "cli/shared.hpp"

namespace weir::cli {

Listing list_checks(const std::vector<Check>& checks);

// `weir check`
void add_check_command(CLI::App& app, Shared& shared);

}  // namespace weir::cli
