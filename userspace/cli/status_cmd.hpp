// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/shared.hpp"

namespace weir::cli {

// Everything at one glance. Nothing pinned is a state too, and no error.
Result<Object> read_status(const kernel::Pins& pins);

// `weir status`
void add_status_command(CLI::App& app, Shared& shared);

}  // namespace weir::cli
