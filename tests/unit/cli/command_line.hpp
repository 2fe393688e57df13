// SPDX-License-Identifier: Apache-2.0
// A command line run inside the test, and what came out of it.
#pragma once

#include <rapidjson/document.h>

#include <optional>
#include <string>
#include <vector>

#include "agent/options.hpp"

namespace weir::test {

struct Ran {
  int status = -1;
  std::string out;
  std::string err;
  std::optional<agent::Options> agent;  // what the agent was started with, if it was
};

// The agent ends at once, with `agent_error` if that is not empty.
Ran run(const std::vector<std::string>& arguments, const std::string& agent_error = {});

// Runs with -o json, expects success and parses.
rapidjson::Document run_json(std::vector<std::string> arguments);

}  // namespace weir::test
