// SPDX-License-Identifier: Apache-2.0
#include "node/devices.hpp"

#include <linux/if_arp.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <set>
#include <string_view>
#include <tuple>

namespace weir::node {
namespace {

// The representatives of one device and family, and their rank among one another.
enum class Role : std::uint8_t { best_default, gateway, source, plain };

bool has_role(const Route& route, Role role) {
  switch (role) {
    case Role::best_default:
      return route.is_default();
    case Role::gateway:
      return route.gateway.has_value();
    case Role::source:
      return route.source.has_value();
    case Role::plain:
      return !route.gateway && !route.source && !route.is_default();
  }
  return false;
}

using Place = std::tuple<std::uint32_t, Family, Role>;

}  // namespace

bool Device::ethernet() const {
  return type == ARPHRD_ETHER;
}

// include/linux/if_arp.h: dev_is_mac_header_xmit() is false for these.
bool Device::raw() const {
  switch (type) {
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
    case ARPHRD_IPGRE:
    case ARPHRD_IP6GRE:
    case ARPHRD_VOID:
    case ARPHRD_NONE:
    case ARPHRD_RAWIP:
    case ARPHRD_PPP:
      return true;
    default:
      return false;
  }
}

bool Device::loopback() const {
  return type == ARPHRD_LOOPBACK;
}

bool Device::tunnel() const {
  static constexpr std::array<std::string_view, 16> kKinds{
      "vxlan",  "geneve",    "wireguard", "ipip", "sit",  "gre",  "gretap",  "ip6gre",
      "ip6tnl", "ip6gretap", "erspan",    "vti",  "vti6", "xfrm", "bareudp", "tun"};
  return std::ranges::find(kKinds, kind) != kKinds.end();
}

const Device* NodeNetwork::find(std::uint32_t ifindex) const {
  const auto found = devices.find(ifindex);
  return found == devices.end() ? nullptr : &found->second;
}

const Device* NodeNetwork::find(const std::string& name) const {
  const auto found =
      std::ranges::find_if(devices, [&](const auto& item) { return item.second.name == name; });
  return found == devices.end() ? nullptr : &found->second;
}

std::vector<Route> reduced(const std::vector<Route>& routes) {
  std::map<Place, std::size_t> chosen;  // index into routes
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const Route& route = routes[i];
    for (const Role role : {Role::best_default, Role::gateway, Role::source, Role::plain}) {
      if (!has_role(route, role)) continue;
      const auto [at, fresh] = chosen.try_emplace({route.ifindex, route.family(), role}, i);
      // Of default routes the best, of the others the first: that one stays while others come.
      if (!fresh && role == Role::best_default && route.metric < routes[at->second].metric)
        at->second = i;
    }
  }
  std::set<std::size_t> kept;
  for (const auto& [place, index] : chosen) kept.insert(index);
  std::vector<Route> result;
  for (const std::size_t index : kept)
    result.push_back(routes[index]);  // NOLINT(performance-inefficient-vector-operation): few
  return result;
}

bool matters(const std::vector<Route>& reduced_routes, const Route& route, bool comes) {
  if (comes) {
    auto with = reduced_routes;
    with.push_back(route);
    return reduced(with) != reduced_routes;
  }
  return std::ranges::any_of(reduced_routes, [&](const Route& known) {
    return known.ifindex == route.ifindex && known.destination == route.destination;
  });
}

}  // namespace weir::node
