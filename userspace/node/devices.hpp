// SPDX-License-Identifier: Apache-2.0
// What one network namespace looks like: devices, their addresses, and the routes that matter.
// Values only; monitor.hpp fills them, classify.hpp reads them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/address.hpp"

namespace weir::node {

// RT_SCOPE_*: how far an address is valid, or a route reaches.
enum class Scope : std::uint8_t { universe = 0, site = 200, link = 253, host = 254, nowhere = 255 };

struct InterfaceAddress {
  Address address;              // this end's: IFA_LOCAL
  std::optional<Address> peer;  // the other end's, on a point-to-point address
  std::uint8_t length = 0;      // of the prefix, within the family: 0..32 or 0..128
  Scope scope = Scope::universe;
  bool secondary = false;   // IPv4: not the first of its prefix. IPv6: temporary (RFC 8981)
  bool tentative = false;   // duplicate address detection is going on, or failed
  bool deprecated = false;  // no new connection should use it
  friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};

struct Device {
  std::uint32_t ifindex = 0;
  std::string name;
  std::string kind;             // IFLA_INFO_KIND: "veth", "bridge", "vlan", "vxlan"; "" for a NIC
  std::uint16_t type = 0;       // ARPHRD_*
  std::uint32_t master = 0;     // ifindex of the bridge, bond or VRF that it is part of, or 0
  std::uint32_t link = 0;       // ifindex of the lower device, or of a veth's peer; 0: none
  bool link_elsewhere = false;  // `link` is an ifindex of another network namespace
  bool up = false;              // IFF_UP: switched on. Says nothing about the carrier
  std::uint32_t mtu = 0;        // bytes
  std::vector<InterfaceAddress> addresses;  // in the kernel's order, both families

  [[nodiscard]] bool ethernet() const;  // frames begin with an Ethernet header
  [[nodiscard]] bool raw() const;       // frames begin with the IP header
  [[nodiscard]] bool loopback() const;
  [[nodiscard]] bool bridge() const { return kind == "bridge"; }
  // Of a kind that carries packets to other nodes inside other packets.
  [[nodiscard]] bool tunnel() const;
  friend bool operator==(const Device&, const Device&) = default;
};

// One way of a unicast route of the main table. A multipath route is several.
struct Route {
  Cidr destination;  // 0.0.0.0/0 or ::/0: default route
  std::uint32_t ifindex = 0;
  std::optional<Address> gateway;  // of either family (RFC 5549)
  std::optional<Address> source;   // RTA_PREFSRC, of the destination's family
  std::uint32_t metric = 0;        // lower is better
  [[nodiscard]] bool is_default() const { return destination.length == 0; }
  [[nodiscard]] Family family() const { return destination.base.family(); }
  friend bool operator==(const Route&, const Route&) = default;
};

struct NodeNetwork {
  std::map<std::uint32_t, Device> devices;  // by ifindex
  // Not all of them: reduced() of the main table, so that a million learnt routes cost nothing.
  std::vector<Route> routes;

  [[nodiscard]] const Device* find(std::uint32_t ifindex) const;
  [[nodiscard]] const Device* find(const std::string& name) const;
  friend bool operator==(const NodeNetwork&, const NodeNetwork&) = default;
};

// For each device and family the best default route, and the first route that has a gateway, that
// has a preferred source, and that has neither. Nothing else of a routing table is used here.
std::vector<Route> reduced(const std::vector<Route>& routes);
// Whether reduced() might change when this route comes (or goes).
bool matters(const std::vector<Route>& reduced_routes, const Route& route, bool comes);

}  // namespace weir::node
