// SPDX-License-Identifier: Apache-2.0
#include "plan/tables.hpp"

#include <fmt/format.h>

namespace weir {

std::string ServiceIdentity::to_string() const {
  return fmt::format("{} {} {}", text, weir::to_string(protocol), weir::to_string(family));
}

}  // namespace weir
