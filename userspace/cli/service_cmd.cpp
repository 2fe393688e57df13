// SPDX-License-Identifier: Apache-2.0
#include "cli/service_cmd.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "cli/command.hpp"
#include "cli/text.hpp"
#include "model/address.hpp"

namespace weir::cli {
namespace {

// A node port is on every address of the node that serves node ports.
std::string frontend_address(const FrontendEntry& frontend) {
  const bool any =
      frontend.kind == WEIR_FRONTEND_NODE_PORT && Address{frontend.address}.is_unspecified();
  return any ? "*" : address_text(frontend.address);
}

std::string frontend_line(const FrontendEntry& frontend) {
  const auto address = frontend_address(frontend);
  return fmt::format("{} {}", frontend_text(frontend.kind),
                     address == "*" ? fmt::format("*:{}", ntohs(frontend.port))
                                    : end_text(frontend.address, frontend.port));
}

// Of the current version; nothing once the service is withdrawn.
Cell policy(const ServiceEntry& service, weir_version_flag flag) {
  if (!service.version) return {};
  return policy_text((service.version->flags & flag) != 0);
}

Cell range_texts(const ServiceEntry& service) {
  std::vector<std::string> texts;
  texts.reserve(service.ranges.size());
  for (const auto& range : service.ranges) texts.push_back(range.to_string());
  return texts;
}

Listing list_frontends(const ServiceEntry& service) {
  Listing listing{.columns = {"kind", "address", "port"}, .rows = {}};
  for (const auto& frontend : service.frontends)
    listing.rows.push_back({frontend_text(frontend.kind), frontend_address(frontend),
                            std::uint64_t{ntohs(frontend.port)}});
  return listing;
}

Listing list_endpoints(const ServiceTables& tables, const ServiceEntry& service) {
  Listing listing{
      .columns = {"address", "port", "state", "local", "in_cluster_list", "in_local_list",
                  "live_flows", "connections", "packets", "bytes", "backend"},
      .rows = {}};
  for (const auto& [index, value] : tables.backends) {
    if (value.service != service.id) continue;
    listing.rows.push_back({address_text(value.addr), std::uint64_t{ntohs(value.port)},
                            backend_state_text(value.state),
                            (value.flags & WEIR_BACKEND_LOCAL) != 0,
                            std::ranges::count(service.cluster, index) > 0,
                            std::ranges::count(service.local, index) > 0, value.live,
                            value.connections, value.packets, value.bytes, std::uint64_t{index}});
  }
  return listing;
}

Object describe(const ServiceTables& tables, const ServiceEntry& service) {
  Object object;
  object.add("service", Cell{name_text(service.name)});
  object.add("port", Cell{std::uint64_t{ntohs(service.name.port)}});
  object.add("protocol", Cell{protocol_text(service.name.proto)});
  object.add("family", Cell{family_text(service.name.family)});
  object.add("type", Cell{type_text(service.name.type)});
  object.add("internal_policy", policy(service, WEIR_VERSION_INTERNAL_LOCAL));
  object.add("external_policy", policy(service, WEIR_VERSION_EXTERNAL_LOCAL));
  object.add("affinity_seconds",
             service.version ? Cell{std::uint64_t{service.version->affinity}} : Cell{});
  object.add("source_ranges", range_texts(service));
  object.add("id", Cell{std::uint64_t{service.id}});
  object.add("version", Cell{std::uint64_t{service.version_index}});
  object.add("generation",
             service.version ? Cell{std::uint64_t{service.version->generation}} : Cell{});
  object.add("connections", Cell{std::uint64_t{service.stat.connections}});
  object.add("packets", Cell{std::uint64_t{service.stat.packets}});
  object.add("bytes", Cell{std::uint64_t{service.stat.bytes}});
  object.add("frontends", list_frontends(service));
  object.add("endpoints", list_endpoints(tables, service));
  return object;
}

void add_service_list(CLI::App& group, Shared& shared) {
  auto* list = add_command(group, {.name = "list",
                                   .description = "Every service port, one row a family",
                                   .example = "weir service list\nweir service list -o json"});
  prints(*list, shared, "list services", [](const kernel::Pins& pins) -> Result<Value> {
    auto tables = read_service_tables(pins);
    if (!tables) return std::unexpected{std::move(tables.error())};
    return list_services(*tables);
  });
}

void add_show(CLI::App& group, Shared& shared) {
  auto* show = add_command(
      group, {.name = "show",
              .description = "A service's frontends, policies and endpoints in both lists",
              .example = "weir service show default/web\nweir service show default/web:http"});
  auto filter = std::make_shared<ServiceFilter>();
  add_parsed(*show,
             {.name = "service", .description = "The service", .example = "NAMESPACE/NAME[:PORT]"},
             parse_service, *filter)
      ->required();
  prints(*show, shared, "show service", [filter](const kernel::Pins& pins) -> Result<Value> {
    auto tables = read_service_tables(pins);
    if (!tables) return std::unexpected{std::move(tables.error())};
    return show_service(*tables, *filter);
  });
}

}  // namespace

Listing list_services(const ServiceTables& tables) {
  Listing listing{.columns = {"service", "port", "protocol", "family", "type", "frontends",
                              "internal_policy", "external_policy", "cluster_endpoints",
                              "local_endpoints", "connections", "packets", "bytes"},
                  .rows = {}};
  for (const auto& service : tables.services) {
    std::vector<std::string> frontends;
    frontends.reserve(service.frontends.size());
    for (const auto& frontend : service.frontends) frontends.push_back(frontend_line(frontend));
    listing.rows.push_back(
        {name_text(service.name), std::uint64_t{ntohs(service.name.port)},
         protocol_text(service.name.proto), family_text(service.name.family),
         type_text(service.name.type), std::move(frontends),
         policy(service, WEIR_VERSION_INTERNAL_LOCAL), policy(service, WEIR_VERSION_EXTERNAL_LOCAL),
         std::uint64_t{service.cluster.size()}, std::uint64_t{service.local.size()},
         service.stat.connections, service.stat.packets, service.stat.bytes});
  }
  return listing;
}

Result<Objects> show_service(const ServiceTables& tables, const ServiceFilter& filter) {
  Objects objects;
  for (const auto& service : tables.services)
    if (matches(filter, service.name)) objects.push_back(describe(tables, service));
  if (objects.empty())
    return fail("{}{}{}: no such service in the tables", filter.service,
                filter.port.empty() ? "" : ":", filter.port);
  return objects;
}

void add_service_commands(CLI::App& app, Shared& shared) {
  auto* group = add_group(app, {.name = "service",
                                .description = "Services in the kernel's tables",
                                .example = "weir service list\nweir service show default/web"});
  add_service_list(*group, shared);
  add_show(*group, shared);
}

}  // namespace weir::cli
