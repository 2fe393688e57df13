// SPDX-License-Identifier: Apache-2.0
#include "node/rtnl.hpp"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cstring>
#include <string>

#include "node/netlink.hpp"

namespace weir::node {
namespace {

std::optional<Address> make_address(unsigned family, const void* bytes, std::size_t size) {
  weir_addr raw{};
  if (family == AF_INET && size >= 4) {
    raw.word[2] = htonl(0xffff);
    std::memcpy(&raw.word[3], bytes, 4);
    return Address{raw};
  }
  if (family == AF_INET6 && size >= sizeof raw) {
    std::memcpy(&raw, bytes, sizeof raw);
    return Address{raw};
  }
  return std::nullopt;
}

std::optional<Address> address_in(const nlattr& attribute, unsigned family) {
  return make_address(family, mnl_attr_get_payload(&attribute),
                      mnl_attr_get_payload_len(&attribute));
}

// RTA_VIA: a gateway of another family than the destination. struct rtvia ends in a flexible
// array, which C++ has not: a 2-byte family, then the address.
std::optional<Address> via_in(const nlattr& attribute) {
  const auto size = mnl_attr_get_payload_len(&attribute);
  if (size < sizeof(std::uint16_t)) return std::nullopt;
  const auto* bytes = static_cast<const unsigned char*>(mnl_attr_get_payload(&attribute));
  return make_address(attribute_value<std::uint16_t>(attribute), bytes + sizeof(std::uint16_t),
                      size - sizeof(std::uint16_t));
}

std::string text_in(const nlattr& attribute) {
  const auto* text = static_cast<const char*>(mnl_attr_get_payload(&attribute));
  return {text, strnlen(text, mnl_attr_get_payload_len(&attribute))};
}

void read_link_attribute(Device& device, std::uint16_t type, const nlattr& attribute) {
  switch (type) {
    case IFLA_IFNAME:
      device.name = text_in(attribute);
      break;
    case IFLA_MTU:
      device.mtu = attribute_value<std::uint32_t>(attribute);
      break;
    case IFLA_MASTER:
      device.master = attribute_value<std::uint32_t>(attribute);
      break;
    case IFLA_LINK:
      device.link = attribute_value<std::uint32_t>(attribute);
      break;
    case IFLA_LINK_NETNSID:
      device.link_elsewhere = true;
      break;
    case IFLA_LINKINFO:
      for_each_nested(attribute, [&](std::uint16_t inner, const nlattr& value) {
        if (inner == IFLA_INFO_KIND) device.kind = text_in(value);
      });
      break;
    default:
      break;
  }
}

struct Hops {
  Route common;                // with ifindex and gateway, if the route has one way only
  std::vector<Route> several;  // RTA_MULTIPATH
  unsigned family = AF_UNSPEC;
  unsigned unusable = 0;  // RTNH_F_* of ways that do not count
};

void read_hop_attribute(Route& route, unsigned family, std::uint16_t type,
                        const nlattr& attribute) {
  if (type == RTA_GATEWAY) route.gateway = address_in(attribute, family);
  if (type == RTA_VIA) route.gateway = via_in(attribute);
  if (type == RTA_OIF) route.ifindex = attribute_value<std::uint32_t>(attribute);
}

void read_multipath(Hops& hops, const nlattr& attribute) {
  const auto* at = static_cast<const char*>(mnl_attr_get_payload(&attribute));
  std::size_t left = mnl_attr_get_payload_len(&attribute);
  rtnexthop hop{};
  while (left >= sizeof hop) {
    std::memcpy(&hop, at, sizeof hop);
    if (hop.rtnh_len < sizeof hop || hop.rtnh_len > left) return;
    Route way;
    way.ifindex = static_cast<std::uint32_t>(hop.rtnh_ifindex);
    const auto* end = at + hop.rtnh_len;
    for (const auto* inner = reinterpret_cast<const nlattr*>(at + sizeof hop);
         mnl_attr_ok(inner, static_cast<int>(end - reinterpret_cast<const char*>(inner)));
         inner = mnl_attr_next(inner))
      read_hop_attribute(way, hops.family, mnl_attr_get_type(inner), *inner);
    if ((hop.rtnh_flags & hops.unusable) == 0) hops.several.push_back(way);
    const std::size_t step = MNL_ALIGN(hop.rtnh_len);
    if (step >= left) return;
    at += step;
    left -= step;
  }
}

Hops read_hops(const nlmsghdr& message, const rtmsg& header, std::uint32_t& table) {
  Hops hops;
  hops.family = header.rtm_family;
  // A route that goes may be marked dead on its way out; what matters is that it goes.
  if (message.nlmsg_type == RTM_NEWROUTE) hops.unusable = RTNH_F_DEAD;
  const Family family = header.rtm_family == AF_INET ? Family::ipv4 : Family::ipv6;
  hops.common.destination = {Address::unspecified(family), header.rtm_dst_len};
  for_each_attribute(message, sizeof header, [&](std::uint16_t type, const nlattr& attribute) {
    switch (type) {
      case RTA_TABLE:
        table = attribute_value<std::uint32_t>(attribute);
        break;
      case RTA_DST:
        if (auto base = address_in(attribute, header.rtm_family))
          hops.common.destination.base = *base;
        break;
      case RTA_PREFSRC:
        hops.common.source = address_in(attribute, header.rtm_family);
        break;
      case RTA_PRIORITY:
        hops.common.metric = attribute_value<std::uint32_t>(attribute);
        break;
      case RTA_MULTIPATH:
        read_multipath(hops, attribute);
        break;
      default:
        read_hop_attribute(hops.common, header.rtm_family, type, attribute);
        break;
    }
  });
  return hops;
}

}  // namespace

std::optional<Device> read_link(const nlmsghdr& message) {
  if (mnl_nlmsg_get_payload_len(&message) < sizeof(ifinfomsg)) return std::nullopt;
  const auto& header = *static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message));
  if (header.ifi_family != AF_UNSPEC) return std::nullopt;
  Device device;
  device.ifindex = static_cast<std::uint32_t>(header.ifi_index);
  device.type = header.ifi_type;
  device.up = (header.ifi_flags & IFF_UP) != 0;
  bool partial = false;
  for_each_attribute(message, sizeof header, [&](std::uint16_t type, const nlattr& attribute) {
    // Wireless drivers report events in link messages that hold little else.
    if (type == IFLA_WIRELESS) partial = true;
    read_link_attribute(device, type, attribute);
  });
  if (partial || device.name.empty()) return std::nullopt;
  return device;
}

std::optional<std::pair<std::uint32_t, InterfaceAddress>> read_address(const nlmsghdr& message) {
  if (mnl_nlmsg_get_payload_len(&message) < sizeof(ifaddrmsg)) return std::nullopt;
  const auto& header = *static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(&message));
  std::optional<Address> local;
  std::optional<Address> prefix;  // IFA_ADDRESS: the peer, or the address itself
  std::uint32_t flags = header.ifa_flags;
  for_each_attribute(message, sizeof header, [&](std::uint16_t type, const nlattr& attribute) {
    if (type == IFA_LOCAL) local = address_in(attribute, header.ifa_family);
    if (type == IFA_ADDRESS) prefix = address_in(attribute, header.ifa_family);
    if (type == IFA_FLAGS) flags = attribute_value<std::uint32_t>(attribute);
  });
  if (!local) local = prefix;
  if (!local) return std::nullopt;
  InterfaceAddress address;
  address.address = *local;
  if (prefix && *prefix != *local) address.peer = prefix;
  address.length = header.ifa_prefixlen;
  address.scope = static_cast<Scope>(header.ifa_scope);
  address.secondary = (flags & IFA_F_SECONDARY) != 0;  // the same bit as IFA_F_TEMPORARY
  address.tentative = (flags & IFA_F_DADFAILED) != 0 ||
                      ((flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_OPTIMISTIC) == 0);
  address.deprecated = (flags & IFA_F_DEPRECATED) != 0;
  return std::pair{header.ifa_index, address};
}

std::vector<Route> read_route(const nlmsghdr& message) {
  if (mnl_nlmsg_get_payload_len(&message) < sizeof(rtmsg)) return {};
  const auto& header = *static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
  const bool ip = header.rtm_family == AF_INET || header.rtm_family == AF_INET6;
  if (!ip || header.rtm_type != RTN_UNICAST) return {};
  if ((header.rtm_flags & RTM_F_CLONED) != 0) return {};
  std::uint32_t table = header.rtm_table;
  Hops hops = read_hops(message, header, table);
  const Address& base = hops.common.destination.base;
  if (table != RT_TABLE_MAIN || base.is_link_local() || base.is_multicast()) return {};
  if (hops.common.ifindex != 0 && (header.rtm_flags & hops.unusable) == 0)
    hops.several.push_back(hops.common);
  std::vector<Route> routes;
  for (const Route& hop : hops.several) {
    Route route = hops.common;
    route.ifindex = hop.ifindex;
    route.gateway = hop.gateway;
    routes.push_back(route);
  }
  return routes;
}

}  // namespace weir::node
