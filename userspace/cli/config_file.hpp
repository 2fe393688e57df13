// SPDX-License-Identifier: Apache-2.0
// The file of `weir run --config`: a YAML mapping of option names to a value or a list of values.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace weir::cli {

struct Setting {
  std::string key;  // "node-port-range"
  std::vector<std::string> values;
  std::size_t line = 0;  // from 1
};

// Errors read "line 3: ...". The names are not looked at here.
Result<std::vector<Setting>> parse_config(std::string_view text);

Result<std::vector<Setting>> read_config(const std::string& path);

}  // namespace weir::cli
