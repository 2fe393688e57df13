// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/output.hpp"

namespace weir::cli {

std::string to_json(const Value& value);

}  // namespace weir::cli
