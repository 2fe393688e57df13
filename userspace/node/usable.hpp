// SPDX-License-Identifier: Apache-2.0
// Which address of a device is good for what. Internal to node/.
#pragma once

#include <optional>

#include "node/devices.hpp"

namespace weir::node {

// Another machine may send to it: not loopback, link-local, multicast, or still being checked.
bool node_address(const InterfaceAddress& address);
// Good as the source of new connections to other machines.
bool usable(const InterfaceAddress& address);
// The first usable address, one that is not secondary if there is any.
std::optional<Address> own_address(const Device& device, Family family);

}  // namespace weir::node
