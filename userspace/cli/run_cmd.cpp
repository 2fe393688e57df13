// SPDX-License-Identifier: Apache-2.0
#include "cli/run_cmd.hpp"

#include <fmt/format.h>

#include <limits>
#include <memory>

#include "cli/command.hpp"
#include "cli/kube_proxy_flags.hpp"
#include "cli/run_options.hpp"

namespace weir::cli {
namespace {

struct RunArguments {
  std::map<std::string, Values, std::less<>> by_name;
  std::string config;
};

void add_flags(CLI::App& run, RunArguments& arguments) {
  for (const auto& flag : run_flags()) {
    if (flag.name == "pin-path") continue;  // of every command
    auto* option =
        run.add_option(fmt::format("--{}", flag.name), arguments.by_name[std::string{flag.name}],
                       std::string{flag.help});
    option->option_text(std::string{flag.value});
    // Several values after one flag, the flag several times, or both.
    if (flag.several)
      option->expected(1, std::numeric_limits<int>::max() / 2);
    else
      option->expected(1);
  }
  for (const auto& alias : run_aliases())
    run.add_option(fmt::format("--{}", alias.name), arguments.by_name[std::string{alias.name}],
                   fmt::format("kube-proxy's name of --{}", alias.flag))
        ->option_text(std::string{alias.value})
        ->expected(1, alias.commas ? std::numeric_limits<int>::max() / 2 : 1);
  run.add_option("--config", arguments.config, "YAML file with the same names; flags win over it")
      ->option_text("FILE");
}

Given given(const CLI::App& run, const Shared& shared, const RunArguments& arguments) {
  Given given;
  for (const auto& [name, values] : arguments.by_name)
    if (!values.empty()) given[name] = values;
  if (run.get_parent()->count("--pin-path") > 0) given["pin-path"] = {shared.pin_path};
  return given;
}

Result<agent::Options> with_file(const std::string& path, const Given& flags) {
  auto file = read_config(path);
  if (!file) return std::unexpected{std::move(file.error())};
  agent::Options options;
  if (auto done = apply_file(*file, options); !done)
    return fail(std::move(done.error()), "read config {}", path);
  auto done = apply_flags(flags, options);
  if (done) done = complete(options);
  if (!done) return std::unexpected{std::move(done.error())};
  return options;
}

void usage_error(Result<> checked) {
  if (!checked) throw CLI::ValidationError{checked.error().message()};
}

}  // namespace

void add_run_command(CLI::App& app, Shared& shared, Agent agent) {
  auto* run = add_command(
      app, {.name = "run",
            .description = "The agent: keeps the kernel's tables in step with the API or manifests",
            .example = "weir run --kubeconfig /etc/weir/kubeconfig\n"
                       "weir run --manifests /etc/weir/manifests\n"
                       "weir run --manifests a.yaml b.yaml --uplink eth0 --xdp off"});
  auto arguments = std::make_shared<RunArguments>();
  add_flags(*run, *arguments);
  run->callback([&shared, run, arguments, agent = std::move(agent)] {
    const auto flags = given(*run, shared, *arguments);
    agent::Options options;
    usage_error(apply_flags(flags, options));
    // With a file, what is missing here may be there: that is known only when it is read.
    if (arguments->config.empty()) usage_error(complete(options));
    shared.action = [arguments, flags, options, agent]() mutable -> Result<int> {
      if (!arguments->config.empty()) {
        auto merged = with_file(arguments->config, flags);
        if (!merged) return fail(std::move(merged.error()), "run");
        options = std::move(*merged);
      }
      if (auto done = agent(options); !done) return fail(std::move(done.error()), "run");
      return 0;
    };
  });
}

}  // namespace weir::cli
