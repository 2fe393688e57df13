// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "cli/service_tables.hpp"
#include "cli/shared.hpp"

namespace weir::cli {

// One row a backend entry; a pod that serves two service ports has two.
Listing list_backends(const ServiceTables& tables, const std::optional<ServiceFilter>& filter);

// `weir backend list`
void add_backend_command(CLI::App& app, Shared& shared);

}  // namespace weir::cli
