// SPDX-License-Identifier: Apache-2.0
#include "node/monitor.hpp"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "node/rtnl.hpp"

namespace weir::node {
namespace {

constexpr int kEventBuffer = 4 * 1024 * 1024;
constexpr std::uint16_t kDump = NLM_F_DUMP;

using Addresses = std::map<std::uint32_t, std::vector<InterfaceAddress>>;

Result<> read_links(NetlinkSocket& socket, NodeNetwork& network) {
  NetlinkRequest request{RTM_GETLINK, kDump};
  request.header<ifinfomsg>().ifi_family = AF_UNSPEC;
  mnl_attr_put_u32(request.message(), IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  std::map<std::uint32_t, Device> devices;
  auto read = socket.request(
      request, [&] { devices.clear(); },
      [&](const nlmsghdr& message) {
        if (auto device = read_link(message)) {
          const auto ifindex = device->ifindex;
          devices.insert_or_assign(ifindex, std::move(*device));
        }
      });
  if (read) network.devices = std::move(devices);
  return read;
}

Result<> read_addresses(NetlinkSocket& socket, NodeNetwork& network) {
  Addresses addresses;
  NetlinkRequest request{RTM_GETADDR, kDump};
  request.header<ifaddrmsg>().ifa_family = AF_UNSPEC;
  auto read = socket.request(
      request, [&] { addresses.clear(); },
      [&](const nlmsghdr& message) {
        if (auto found = read_address(message)) addresses[found->first].push_back(found->second);
      });
  if (!read) return read;
  // An address on a device that is not known yet is read again when the device is reported.
  for (auto& [ifindex, device] : network.devices) device.addresses = std::move(addresses[ifindex]);
  return {};
}

Result<> read_routes_of(NetlinkSocket& socket, unsigned char family, std::vector<Route>& routes) {
  const std::size_t before = routes.size();
  NetlinkRequest request{RTM_GETROUTE, kDump};
  auto& header = request.header<rtmsg>();
  header.rtm_family = family;
  header.rtm_table = RT_TABLE_MAIN;
  auto read = socket.request(
      request, [&] { routes.resize(before); },
      [&](const nlmsghdr& message) {
        const auto& answer = *static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
        if (answer.rtm_family != family) return;  // with no IPv6, a dump of all families
        std::ranges::move(read_route(message), std::back_inserter(routes));
      });
  // A namespace has no main table before its first route.
  if (!read && read.error().code() == std::errc::no_such_file_or_directory) return {};
  return read;
}

Result<> read_routes(NetlinkSocket& socket, NodeNetwork& network) {
  std::vector<Route> routes;
  static constexpr std::array<unsigned char, 2> kFamilies{AF_INET, AF_INET6};
  for (const unsigned char family : kFamilies) {
    if (auto read = read_routes_of(socket, family, routes); !read) return read;
  }
  network.routes = reduced(routes);
  return {};
}

bool has_routes(const NodeNetwork& network, std::uint32_t ifindex) {
  return std::ranges::any_of(network.routes,
                             [&](const Route& route) { return route.ifindex == ifindex; });
}

// True if routes have to be read again: those through a device that is switched off go unreported.
[[nodiscard]] bool take_link(const nlmsghdr& message, NodeNetwork& next) {
  auto device = read_link(message);
  if (!device) return false;
  const auto ifindex = device->ifindex;
  auto& known = next.devices[ifindex];
  const bool went_down = known.up && !device->up && has_routes(next, ifindex);
  device->addresses = std::move(known.addresses);
  known = std::move(*device);
  return went_down;
}

// True if links have to be read again: a device that moves to another namespace changes what its
// peer says of it, and the peer is not reported.
[[nodiscard]] bool take_link_gone(const nlmsghdr& message, NodeNetwork& next) {
  const auto gone = read_link(message);
  if (!gone) return false;
  next.devices.erase(gone->ifindex);
  std::erase_if(next.routes, [&](const Route& route) { return route.ifindex == gone->ifindex; });
  return std::ranges::any_of(next.devices, [&](const auto& item) {
    return item.second.link == gone->ifindex && !item.second.link_elsewhere;
  });
}

// Whether reduced routes may differ after this report.
bool route_matters(const nlmsghdr& message, const NodeNetwork& network) {
  const bool comes = message.nlmsg_type == RTM_NEWROUTE;
  const auto routes = read_route(message);
  return std::ranges::any_of(routes, [&](const Route& route) {
    // The route that another one replaces is not reported; it may have been on another device.
    const bool replaces = comes && (message.nlmsg_flags & NLM_F_REPLACE) != 0 &&
                          std::ranges::any_of(network.routes, [&](const Route& known) {
                            return known.destination == route.destination;
                          });
    return replaces || matters(network.routes, route, comes);
  });
}

}  // namespace

Result<Monitor> Monitor::open() {
  auto events = NetlinkSocket::open(NETLINK_ROUTE, true);
  if (!events) return fail(std::move(events.error()), "follow devices");
  auto requests = NetlinkSocket::open(NETLINK_ROUTE);
  if (!requests) return fail(std::move(requests.error()), "follow devices");
  // Subscribed before the first dump: what changes in between is seen twice, not never.
  static constexpr std::array<unsigned, 5> kGroups{RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
                                                   RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                                                   RTNLGRP_IPV6_ROUTE};
  events->grow_receive_buffer(kEventBuffer);
  if (auto joined = events->join(kGroups); !joined)
    return fail(std::move(joined.error()), "follow devices");
  // Lets a dump of routes be of one table only (Linux 5.0).
  if (auto set = requests->set_option(NETLINK_GET_STRICT_CHK, 1); !set)
    return fail(std::move(set.error()), "follow devices");
  Monitor monitor{std::move(*events), std::move(*requests)};
  monitor.stale_ = {.links = true, .addresses = true, .routes = true};
  if (auto read = monitor.refresh(); !read) return std::unexpected{std::move(read.error())};
  return monitor;
}

Result<bool> Monitor::refresh() {
  NodeNetwork next = network_;
  auto lost = events_.drain([&](const nlmsghdr& message) { take(message, next); });
  if (!lost) return fail(std::move(lost.error()), "follow devices");
  if (*lost) stale_ = {.links = true, .addresses = true, .routes = true};
  // What could not be read stays stale, and the next call tries again.
  auto read = read_again(next);
  const bool changed = next != network_;
  network_ = std::move(next);
  if (!read) return fail(std::move(read.error()), "read devices");
  return changed;
}

void Monitor::take(const nlmsghdr& message, NodeNetwork& next) {
  switch (message.nlmsg_type) {
    case RTM_NEWLINK:
      if (take_link(message, next)) stale_.routes = true;
      break;
    case RTM_DELLINK:
      if (take_link_gone(message, next)) stale_.links = true;
      break;
    case RTM_NEWADDR:
      stale_.addresses = true;
      break;
    case RTM_DELADDR:
      stale_.addresses = true;
      // With the last IPv4 address of a device its routes go unreported, and before Linux 6.7 so do
      // those that preferred the address.
      if (auto gone = read_address(message); gone && !gone->second.address.is_link_local())
        stale_.routes = true;
      break;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      if (!stale_.routes) stale_.routes = route_matters(message, next);
      break;
    default:
      break;
  }
}

Result<> Monitor::read_again(NodeNetwork& next) {
  if (stale_.links) {
    if (auto read = read_links(requests_, next); !read) return read;
    stale_.links = false;
    stale_.addresses = true;  // they were in the devices
  }
  if (stale_.addresses) {
    if (auto read = read_addresses(requests_, next); !read) return read;
    stale_.addresses = false;
  }
  if (stale_.routes) {
    if (auto read = read_routes(requests_, next); !read) return read;
    stale_.routes = false;
  }
  return {};
}

}  // namespace weir::node
