// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <string>

#include "weir/abi.h"

namespace weir::cli {

inline constexpr const char* kVersion = WEIR_VERSION;  // of the project, from CMakeLists.txt

inline std::string version_text() {
  return fmt::format("weir {} (tables v{})", kVersion, WEIR_ABI_VERSION);
}

}  // namespace weir::cli
