// SPDX-License-Identifier: Apache-2.0
#include "cli/command.hpp"

#include <fmt/format.h>

#include <ranges>

namespace weir::cli {

void Shared::print(const Value& value) const {
  const auto text = render(value, output == "json" ? Format::json : Format::table);
  std::fwrite(text.data(), 1, text.size(), out);  // checked once, with the flush at the end
}

CLI::App* add_command(CLI::App& parent, const Describe& describe) {
  auto* command = parent.add_subcommand(describe.name, describe.description);
  std::string footer = "Example:";
  for (const auto line : std::views::split(describe.example, '\n'))
    footer += fmt::format("\n  {}", std::string_view{line.begin(), line.end()});
  command->footer(footer);
  return command;
}

CLI::App* add_group(CLI::App& parent, const Describe& describe) {
  auto* group = add_command(parent, describe);
  group->require_subcommand(1);
  return group;
}

void add_output_option(CLI::App& command, Shared& shared) {
  command.add_option("-o,--output", shared.output, "table, for people, or json, for programs")
      ->check(CLI::IsMember({"table", "json"}))
      ->option_text("table|json");
}

Action printing(const Shared& shared, std::string step, Read read) {
  return [&shared, step = std::move(step), read = std::move(read)]() -> Result<int> {
    auto value = read(shared.pins());
    if (!value) return fail(std::move(value.error()), "{}", step);
    shared.print(*value);
    return 0;
  };
}

void prints(CLI::App& command, Shared& shared, const std::string& step, const Read& read) {
  add_output_option(command, shared);
  command.callback([&shared, step, read] { shared.action = printing(shared, step, read); });
}

void refuse(const std::string& option, const Error& error) {
  throw CLI::ValidationError(option, error.message());
}

}  // namespace weir::cli
