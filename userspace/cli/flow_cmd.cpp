// SPDX-License-Identifier: Apache-2.0
#include "cli/flow_cmd.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <memory>

#include "cli/command.hpp"
#include "cli/text.hpp"

namespace weir::cli {
namespace {

using SharedFilter = std::shared_ptr<FlowFilter>;

Result<std::uint8_t> protocol_number(std::string_view text) {
  auto protocol = parse_protocol(text);
  if (!protocol) return std::unexpected{std::move(protocol.error())};
  return static_cast<std::uint8_t>(*protocol);
}

Result<bool> parse_established(std::string_view text) {
  if (text == "established") return true;
  if (text == "half") return false;
  return fail("{}: expected half or established", text);
}

SharedFilter add_filters(CLI::App& command) {
  auto filter = std::make_shared<FlowFilter>();
  add_parsed(command,
             {.name = "--client",
              .description = "Only from this client, or from this block of addresses",
              .example = "IP[:PORT]|CIDR"},
             parse_end, filter->client);
  add_parsed(command, kServiceOption, parse_service, filter->service);
  add_parsed(command,
             {.name = "--backend", .description = "Only to this backend", .example = "IP[:PORT]"},
             parse_end, filter->backend);
  add_parsed(command,
             {.name = "--protocol", .description = "Only this protocol", .example = "tcp|udp|sctp"},
             protocol_number, filter->protocol);
  add_parsed(command,
             {.name = "--state",
              .description = "Only flows that both sides have confirmed, or only others",
              .example = "half|established"},
             parse_established, filter->established);
  return filter;
}

std::uint64_t seconds_since(const FlowTable& table, std::uint32_t ticks) {
  return ticks_to_seconds(table.now - std::min(ticks, table.now));
}

Cell service_name(const FlowTable& table, const Flow& flow) {
  const auto found = table.names.find(flow.service);
  return found == table.names.end() ? Cell{} : name_text(found->second);
}

// What the backend sees instead of the client.
Cell source(const Flow& flow) {
  const bool same =
      flow.reply.daddr == flow.forward.saddr && flow.reply.dport == flow.forward.sport;
  return same ? Cell{} : end_text(flow.reply.daddr, flow.reply.dport);
}

void add_flow_list(CLI::App& group, Shared& shared) {
  auto* list = add_command(group, {.name = "list",
                                   .description = "One row a flow, both directions together",
                                   .example = "weir flow list --service default/web:http\n"
                                              "weir flow list --client 10.244.0.0/16 -o json"});
  const auto filter = add_filters(*list);
  prints(*list, shared, "list flows", [filter](const kernel::Pins& pins) -> Result<Value> {
    auto table = read_flows(pins, *filter);
    if (!table) return std::unexpected{std::move(table.error())};
    return list_flows(*table);
  });
}

void add_count(CLI::App& group, Shared& shared) {
  auto* count = add_command(group, {.name = "count",
                                    .description = "How many flows there are",
                                    .example = "weir flow count --backend 10.244.1.7:8080"});
  const auto filter = add_filters(*count);
  prints(*count, shared, "count flows", [filter](const kernel::Pins& pins) -> Result<Value> {
    auto table = read_flows(pins, *filter);
    if (!table) return std::unexpected{std::move(table.error())};
    return count_flows(*table);
  });
}

void add_delete(CLI::App& group, Shared& shared) {
  auto* command = add_command(
      group, {.name = "delete",
              .description = "Forget flows: the next packet of each is balanced anew",
              .example = "weir flow delete --backend 10.244.1.7\nweir flow delete --all"});
  const auto filter = add_filters(*command);
  auto all = std::make_shared<bool>(false);
  command->add_flag("--all", *all, "Every flow; without a filter, this must be said");
  auto remove = [filter](const kernel::Pins& pins) -> Result<Value> {
    auto table = read_flows(pins, *filter);
    if (!table) return std::unexpected{std::move(table.error())};
    auto deleted = delete_flows(pins, table->flows);
    if (!deleted) return std::unexpected{std::move(deleted.error())};
    Object object;
    object.add("deleted", Cell{*deleted});
    return object;
  };
  add_output_option(*command, shared);
  command->callback([&shared, filter, all, remove] {
    if (filter->empty() != *all)
      throw CLI::ValidationError{"give at least one filter, or --all and no filter"};
    shared.action = printing(shared, "delete flows", remove);
  });
}

}  // namespace

Listing list_flows(const FlowTable& table) {
  Listing listing{.columns = {"client", "frontend", "service", "backend", "source", "protocol",
                              "state", "edge", "age_seconds", "idle_seconds", "packets", "bytes"},
                  .rows = {}};
  for (const auto& flow : table.flows)
    listing.rows.push_back(
        {end_text(flow.forward.saddr, flow.forward.sport),
         end_text(flow.forward.daddr, flow.forward.dport), service_name(table, flow),
         end_text(flow.reply.saddr, flow.reply.sport), source(flow),
         protocol_text(flow.forward.proto), flow.established ? "established" : "half",
         (flow.flags & WEIR_FLOW_POD) != 0 ? "pod" : "uplink", seconds_since(table, flow.created),
         seconds_since(table, flow.touched), flow.packets, flow.bytes});
  return listing;
}

Object count_flows(const FlowTable& table) {
  const auto established =
      static_cast<std::uint64_t>(std::ranges::count(table.flows, true, &Flow::established));
  Object object;
  object.add("established", Cell{established});
  object.add("half", Cell{table.flows.size() - established});
  object.add("total", Cell{std::uint64_t{table.flows.size()}});
  return object;
}

void add_flow_commands(CLI::App& app, Shared& shared) {
  auto* group = add_group(app, {.name = "flow",
                                .description = "Flows in the kernel's tables",
                                .example = "weir flow list\nweir flow count"});
  add_flow_list(*group, shared);
  add_count(*group, shared);
  add_delete(*group, shared);
}

}  // namespace weir::cli
