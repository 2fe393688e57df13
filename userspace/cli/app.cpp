// SPDX-License-Identifier: Apache-2.0
#include "cli/app.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <sstream>

#include "cli/backend_cmd.hpp"
#include "cli/check_cmd.hpp"
#include "cli/cleanup_cmd.hpp"
#include "cli/drops_cmd.hpp"
#include "cli/flow_cmd.hpp"
#include "cli/map_cmd.hpp"
#include "cli/service_cmd.hpp"
#include "cli/status_cmd.hpp"
#include "cli/version.hpp"

namespace weir::cli {
namespace {

int complain(std::FILE* err, std::string text, int status) {
  std::ranges::replace(text, '\n', ' ');  // one line, whatever CLI11 has put in
  fmt::print(err, "weir: {}\n", text);
  return status;
}

// Help and version go to `out` and are no errors; the rest is a line that names the command.
int report(const CLI::App& app, const CLI::Error& error, std::FILE* out, std::FILE* err) {
  std::ostringstream text, ignored;
  const int status = app.exit(error, text, ignored);
  if (status == 0) {
    fmt::print(out, "{}", text.str());
    return 0;
  }
  std::string command;
  for (const auto* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().back();
    command += " " + at->get_name();
  }
  const std::string heading = command.empty() ? "" : command.substr(1) + ": ";
  return complain(err, fmt::format("{}{} (see weir{} --help)", heading, error.what(), command),
                  kUsage);
}

void set_up(CLI::App& app, Shared& shared, const Agent& agent) {
  app.require_subcommand(1);
  app.fallthrough();  // "weir status --pin-path X" as well as "weir --pin-path X status"
  app.set_version_flag("--version", version_text());
  app.add_option("--pin-path", shared.pin_path, "Where the tables are pinned")
      ->option_text(fmt::format("DIR ({})", kernel::kDefaultPinPath))
      ->envname("WEIR_PIN_PATH");
  app.footer("Example:\n  weir run --manifests /etc/weir/manifests\n  weir service list");
  add_run_command(app, shared, agent);
  add_status_command(app, shared);
  add_service_commands(app, shared);
  add_backend_command(app, shared);
  add_flow_commands(app, shared);
  add_map_commands(app, shared);
  add_drops_command(app, shared);
  add_check_command(app, shared);
  add_cleanup_command(app, shared);
}

}  // namespace

int execute(const std::vector<std::string>& arguments, const Agent& agent, std::FILE* out,
            std::FILE* err) {
  Shared shared;
  shared.out = out;
  CLI::App app{"weir: load balancer for Kubernetes Services in the kernel", "weir"};
  set_up(app, shared, agent);
  try {
    std::vector<std::string> reversed{arguments.rbegin(), arguments.rend()};  // CLI11 wants it so
    app.parse(std::move(reversed));
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
