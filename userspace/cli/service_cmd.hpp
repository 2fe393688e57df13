// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/service_tables.hpp"
#include "cli/shared.hpp"

namespace weir::cli {

// One row a service port and family.
Listing list_services(const ServiceTables& tables);

// One object a service port and family that the filter takes; none is an error.
Result<Objects> show_service(const ServiceTables& tables, const ServiceFilter& filter);

// `weir service list`, `weir service show NS/NAME`
void add_service_commands(CLI::App& app, Shared& shared);

}  // namespace weir::cli
