// SPDX-License-Identifier: Apache-2.0
#include "cli/check_cmd.hpp"

#include <algorithm>
#include <memory>

#include "agent/options.hpp"
#include "cli/command.hpp"
#include "cli/parse.hpp"
#include "cli/run_options.hpp"

namespace weir::cli {
namespace {

node::PortRange to_node(const agent::PortRange& range) {
  return {range.first, range.last};
}

// Those of weir run's options that can contradict the machine's settings.
struct Arguments {
  std::vector<std::string> source_ports;
  std::vector<std::string> node_ports;
  Paths paths;
};

Ports ports_of(const Arguments& arguments) {
  Given given;
  if (!arguments.source_ports.empty()) given["source-port-range"] = arguments.source_ports;
  if (!arguments.node_ports.empty()) given["node-port-range"] = arguments.node_ports;
  agent::Options options;
  if (auto done = apply_flags(given, options); !done)
    throw CLI::ValidationError{done.error().message()};
  Ports ports{.source = {}, .node = to_node(options.node_ports)};
  for (const auto& range : options.source_ports) ports.source.push_back(to_node(range));
  return ports;
}

}  // namespace

Listing list_checks(const std::vector<Check>& checks) {
  Listing listing{.columns = {"check", "result", "detail"}, .rows = {}};
  for (const auto& check : checks)
    listing.rows.push_back({check.name, std::string{to_string(check.verdict)}, check.detail});
  return listing;
}

void add_check_command(CLI::App& app, Shared& shared) {
  auto* command =
      add_command(app, {.name = "check",
                        .description = "Can this machine run weir, and is anything in its way?",
                        .example = "weir check\nweir check --source-port-range 40000-49999"});
  auto arguments = std::make_shared<Arguments>();
  command
      ->add_option("--source-port-range", arguments->source_ports, "As `weir run` will be given it")
      ->option_text("A-B...");
  command->add_option("--node-port-range", arguments->node_ports, "As `weir run` will be given it")
      ->expected(1)
      ->option_text("A-B");
  command->add_option("--sysctl-path", arguments->paths.sysctl, "As `weir run` will be given it")
      ->option_text("DIR");
  command->add_option("--cgroup-path", arguments->paths.cgroup, "As `weir run` will be given it")
      ->option_text("DIR");
  add_output_option(*command, shared);
  command->callback([&shared, arguments] {
    shared.action = [&shared, arguments, ports = ports_of(*arguments)]() -> Result<int> {
      const auto checks = run_checks(shared.pins(), ports, arguments->paths);
      shared.print(list_checks(checks));
      return std::ranges::count(checks, Verdict::failed, &Check::verdict) > 0 ? 1 : 0;
    };
  });
}

}  // namespace weir::cli
