// SPDX-License-Identifier: Apache-2.0
// One question to the kernel's routing.
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "model/address.hpp"

namespace weir::node {

// ifindex of the device by which this namespace would send to the address; ENETUNREACH and the
// like if it would not.
Result<std::uint32_t> route_device(const Address& to);

}  // namespace weir::node
