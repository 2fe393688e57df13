// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "source/kubernetes/secret.hpp"

namespace weir::kubernetes {

// RFC 4648, 4, with its padding; line ends within are ignored, as Go's decoder does. Nothing if it
// is anything else.
std::optional<Secret> decode_base64(std::string_view text);

}  // namespace weir::kubernetes
