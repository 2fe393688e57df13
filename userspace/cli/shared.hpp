// SPDX-License-Identifier: Apache-2.0
// What the commands of one command line share. Free of CLI11, which takes long to compile.
#pragma once

#include <cstdio>
#include <functional>
#include <string>

#include "base/result.hpp"
#include "cli/output.hpp"
#include "kernel/pins.hpp"

namespace CLI {
class App;
}

namespace weir::cli {

// The exit status, or the error to print. A command's callback only chooses the action; it runs
// after the parse, so that an error at run time is ours to print and no exception inside CLI11.
using Action = std::function<Result<int>()>;

// Outlives the CLI::App.
struct Shared {
  std::string pin_path = kernel::kDefaultPinPath;
  std::string output = "table";
  std::FILE* out = stdout;
  Action action;  // of the command that was chosen

  [[nodiscard]] kernel::Pins pins() const { return kernel::Pins{pin_path}; }
  void print(const Value& value) const;
};

}  // namespace weir::cli
