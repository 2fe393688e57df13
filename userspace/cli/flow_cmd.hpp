// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/flow_table.hpp"
#include "cli/shared.hpp"

namespace weir::cli {

// One row a flow, both directions together.
Listing list_flows(const FlowTable& table);
Object count_flows(const FlowTable& table);

// `weir flow list|count|delete`
void add_flow_commands(CLI::App& app, Shared& shared);

}  // namespace weir::cli
