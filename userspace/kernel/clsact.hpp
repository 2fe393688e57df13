// SPDX-License-Identifier: Apache-2.0
// Internal to kernel/: the part of attach.hpp that is about clsact filters.
#pragma once

#include <cstdint>
#include <string>

#include "kernel/attach.hpp"

namespace weir::kernel {

// Our filter, and the clsact qdisc if nothing else is in it.
Result<> detach_clsact(std::uint32_t ifindex, Direction direction, const std::string& links);

}  // namespace weir::kernel
