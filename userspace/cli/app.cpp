// SPDX-License-Identifier: Apache-2.0
#include "cli/app.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <ranges>
#include <sstream>

#include "cli/backend_cmd.hpp"
#include "cli/check_cmd.hpp"
#include "cli/cleanup_cmd.hpp"
#include "cli/drops_cmd.hpp"
#include "cli/flow_cmd.hpp"
#include "cli/kube_proxy_flags.hpp"
#include "cli/map_cmd.hpp"
#include "cli/service_cmd.hpp"
#include "cli/status_cmd.hpp"
#include "cli/trace_cmd.hpp"
#include "cli/version.hpp"

namespace weir::cli {
namespace {

int complain(std::FILE* err, std::string text, int status) {
  std::ranges::replace(text, '\n', ' ');  // one line, whatever CLI11 has put in
  fmt::print(err, "weir: {}\n", text);
  return status;
}

// What was said, for a person: CLI11 calls a wrong command a missing one.
std::string reason(const CLI::App& app, const CLI::App& command, const CLI::Error& error) {
  const bool group = !command.get_subcommands([](const CLI::App*) { return true; }).empty();
  const auto rest = app.remaining(true);
  if (group && !rest.empty() && !rest.front().starts_with('-'))
    return fmt::format("{}: no such command", rest.front());
  if (command.get_name() == "run" && !rest.empty() && rest.front().starts_with("--")) {
    const auto name = rest.front().substr(2, rest.front().find('=') - 2);
    if (const auto why = kube_proxy_only(name); !why.empty())
      return fmt::format("--{}: {}", name, why);
  }
  return error.what();
}

// Help and version go to `out` and are no errors; the rest is a line that names the command.
int report(const CLI::App& app, const CLI::Error& error, std::FILE* out, std::FILE* err) {
  std::ostringstream text, ignored;
  if (app.exit(error, text, ignored) == 0) {
    fmt::print(out, "{}", text.str());
    return 0;
  }
  const auto* command = &app;
  std::string name;
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().back();
    name += " " + command->get_name();
  }
  const std::string heading = name.empty() ? "" : name.substr(1) + ": ";
  const auto why = reason(app, *command, error);
  return complain(err, fmt::format("{}{} (see weir{} --help)", heading, why, name), kUsage);
}

void set_up(CLI::App& app, Shared& shared, const Agent& agent) {
  app.require_subcommand(1);
  app.fallthrough();  // "weir status --pin-path X" as well as "weir --pin-path X status"
  app.set_version_flag("--version", version_text());
  app.add_option(
         "--pin-path", shared.pin_path,
         fmt::format("Where the tables are pinned (WEIR_PIN_PATH, or {})", kernel::kDefaultPinPath))
      ->option_text("DIR")
      ->envname("WEIR_PIN_PATH");
  app.footer("Example:\n  weir run --manifests /etc/weir/manifests\n  weir service list");
  add_run_command(app, shared, agent);
  add_status_command(app, shared);
  add_service_commands(app, shared);
  add_backend_command(app, shared);
  add_flow_commands(app, shared);
  add_map_commands(app, shared);
  add_drops_command(app, shared);
  add_trace_command(app, shared);
  add_check_command(app, shared);
  add_cleanup_command(app, shared);
}

// Last one first. To CLI11, "--name=" has no value where "--name" and "" have one.
std::vector<std::string> for_cli11(const std::vector<std::string>& arguments) {
  std::vector<std::string> reversed;
  for (const auto& argument : std::views::reverse(arguments)) {
    if (argument.starts_with("--") && argument.find('=') + 1 == argument.size()) {
      reversed.emplace_back();
      reversed.push_back(argument.substr(0, argument.size() - 1));
    } else {
      reversed.push_back(argument);
    }
  }
  return reversed;
}

}  // namespace

int execute(const std::vector<std::string>& arguments, const Agent& agent, std::FILE* out,
            std::FILE* err) {
  Shared shared;
  shared.out = out;
  CLI::App app{"weir: load balancer for Kubernetes Services in the kernel", "weir"};
  set_up(app, shared, agent);
  try {
    app.parse(for_cli11(arguments));
  } catch (const CLI::Error& error) {
    return report(app, error, out, err);
  }
  auto status = shared.action();
  if (!status) return complain(err, status.error().message(), kFailed);
  // A full disk or a closed pipe must not look like a short table.
  if (std::fflush(out) != 0 || std::ferror(out) != 0)
    return complain(err, Error{{errno, std::generic_category()}, "write the output"}.message(),
                    kFailed);
  return *status;
}

}  // namespace weir::cli
