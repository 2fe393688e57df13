// SPDX-License-Identifier: Apache-2.0
// The whole command line: parses, runs what was asked for, and turns errors into one line and an
// exit status: 0 done, 1 failed, 2 not understood.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "cli/run_cmd.hpp"

namespace weir::cli {

inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

// `arguments` without the program's name. Nothing is written anywhere but to `out` and `err`.
int execute(const std::vector<std::string>& arguments, const Agent& agent, std::FILE* out,
            std::FILE* err);

}  // namespace weir::cli
