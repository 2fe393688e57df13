// SPDX-License-Identifier: Apache-2.0
// The options of `weir run`: one table that serves the flags, the file and the help.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/options.hpp"
#include "base/result.hpp"
#include "cli/config_file.hpp"

namespace weir::cli {

using Values = std::vector<std::string>;

struct RunFlag {
  std::string_view name;   // without the dashes; the same in the file
  std::string_view value;  // its form: "CIDR..."
  std::string_view help;   // with the default
  bool several = false;    // takes more than one value
  Result<> (*apply)(const Values& values, agent::Options& options);
};

std::span<const RunFlag> run_flags();

// What was given on the command line, by name. --pin-path is among them: it is everybody's.
using Given = std::map<std::string, Values, std::less<>>;

// Errors name the flag: "--udp-timeout: 12q: expected ...".
Result<> apply_flags(const Given& given, agent::Options& options);

// Errors name line and key. Flags are applied after it, and so win.
Result<> apply_file(const std::vector<Setting>& file, agent::Options& options);

// Fills in what is left to the machine and checks what no single option can.
Result<> complete(agent::Options& options);

}  // namespace weir::cli
