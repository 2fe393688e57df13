// SPDX-License-Identifier: Apache-2.0
// What every command is made of; for the files that define commands, not for their headers.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.hpp"
#include "cli/shared.hpp"

namespace weir::cli {

struct Describe {
  std::string name;
  std::string description;
  std::string example;  // command lines, help ends with them; of an option: the form of its value
};

// The filter that several commands have; parse_service() reads it.
inline const Describe kServiceOption{.name = "--service",
                                     .description = "Only this service, or one port of it",
                                     .example = "NAMESPACE/NAME[:PORT]"};

CLI::App* add_command(CLI::App& parent, const Describe& describe);

// A command with subcommands of its own, one of which is needed.
CLI::App* add_group(CLI::App& parent, const Describe& describe);

void add_output_option(CLI::App& command, Shared& shared);

// Prints what `read` returns. `step` heads its errors: "list services".
using Read = std::function<Result<Value>(const kernel::Pins&)>;
Action printing(const Shared& shared, std::string step, Read read);

// Adds -o, and makes `printing` the command's action.
void prints(CLI::App& command, Shared& shared, const std::string& step, const Read& read);

// A usage error from within a callback; shown as "OPTION: why".
[[noreturn]] void refuse(const std::string& option, const Error& error);

// An option whose text `parse` turns into a value; its error is a usage error.
template <class Value, class Into>
CLI::Option* add_parsed(CLI::App& command, const Describe& describe,
                        Result<Value> (*parse)(std::string_view), Into& into) {
  const auto set = [parse, &into, name = describe.name](const std::string& text) {
    auto value = parse(text);
    if (!value) refuse(name, value.error());
    into = std::move(*value);
  };
  return command.add_option_function<std::string>(describe.name, set, describe.description)
      ->option_text(describe.example);
}

}  // namespace weir::cli
