// SPDX-License-Identifier: Apache-2.0
#include "cli/backend_cmd.hpp"

#include <memory>

#include "cli/command.hpp"
#include "cli/text.hpp"

namespace weir::cli {

Listing list_backends(const ServiceTables& tables, const std::optional<ServiceFilter>& filter) {
  Listing listing{.columns = {"service", "protocol", "backend", "state", "local", "live_flows",
                              "connections", "packets", "bytes"},
                  .rows = {}};
  for (const auto& [index, value] : tables.backends) {
    const auto* service = tables.find(value.service);
    if (filter && (!service || !matches(*filter, service->name))) continue;
    listing.rows.push_back({service ? Cell{name_text(service->name)} : Cell{},
                            protocol_text(value.proto), end_text(value.addr, value.port),
                            backend_state_text(value.state),
                            (value.flags & WEIR_BACKEND_LOCAL) != 0, value.live, value.connections,
                            value.packets, value.bytes});
  }
  return listing;
}

void add_backend_command(CLI::App& app, Shared& shared) {
  auto* group = add_group(app, {.name = "backend",
                                .description = "Backends in the kernel's tables",
                                .example = "weir backend list"});
  auto* list = add_command(
      *group, {.name = "list",
               .description = "Every backend of every service port",
               .example = "weir backend list\nweir backend list --service default/web -o json"});
  auto filter = std::make_shared<std::optional<ServiceFilter>>();
  add_parsed(*list, kServiceOption, parse_service, *filter);
  prints(*list, shared, "list backends", [filter](const kernel::Pins& pins) -> Result<Value> {
    auto tables = read_service_tables(pins);
    if (!tables) return std::unexpected{std::move(tables.error())};
    return list_backends(*tables, *filter);
  });
}

}  // namespace weir::cli
