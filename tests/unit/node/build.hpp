// SPDX-License-Identifier: Apache-2.0
// A node on paper: builds NodeNetwork values for the tests of what is pure.
#pragma once

#include <linux/if_arp.h>

#include <stdexcept>
#include <string>
#include <utility>

#include "node/devices.hpp"

namespace weir::node {

inline Address ip(const std::string& text) {
  const auto address = Address::parse(text);
  if (!address) throw std::invalid_argument{text};
  return *address;
}

// "10.0.0.1/24"; link-local addresses get the scope that the kernel gives them.
inline InterfaceAddress on(const std::string& text) {
  const auto slash = text.find('/');
  InterfaceAddress address;
  address.address = ip(text.substr(0, slash));
  address.length = static_cast<std::uint8_t>(std::stoi(text.substr(slash + 1)));
  if (address.address.is_link_local()) address.scope = Scope::link;
  if (address.address.is_loopback()) address.scope = Scope::host;
  return address;
}

class NodeBuilder {
 public:
  NodeBuilder() {
    device(1, "lo", "", ARPHRD_LOOPBACK).addresses = {on("127.0.0.1/8"), on("::1/128")};
  }

  Device& device(std::uint32_t ifindex, std::string name, std::string kind = "",
                 std::uint16_t type = ARPHRD_ETHER) {
    Device& device = network.devices[ifindex];
    device.ifindex = ifindex;
    device.name = std::move(name);
    device.kind = std::move(kind);
    device.type = type;
    device.up = true;
    device.mtu = 1500;
    return device;
  }

  // Destination "default" needs the family of a gateway, or "::/0" and "0.0.0.0/0".
  Route& route(const std::string& destination, std::uint32_t ifindex,
               const std::string& gateway = "") {
    Route route;
    const auto cidr = Cidr::parse(destination);
    if (!cidr) throw std::invalid_argument{destination};
    route.destination = *cidr;
    route.ifindex = ifindex;
    if (!gateway.empty()) route.gateway = ip(gateway);
    network.routes.push_back(route);
    return network.routes.back();
  }

  NodeNetwork network;
};

}  // namespace weir::node
