// SPDX-License-Identifier: Apache-2.0
#include <exception>

#include "agent/agent.hpp"
#include "cli/app.hpp"

int main(int argc, char** argv) {
  try {
    return weir::cli::execute({argv + 1, argv + argc}, weir::agent::run, stdout, stderr);
  } catch (const std::exception& error) {  // out of memory, or a defect: still one line
    fmt::print(stderr, "weir: {}\n", error.what());
    return weir::cli::kFailed;
  }
}
