// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/shared.hpp"

namespace weir::cli {

// `weir map list`, `weir map dump MAP`
void add_map_commands(CLI::App& app, Shared& shared);

}  // namespace weir::cli
