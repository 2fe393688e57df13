// SPDX-License-Identifier: Apache-2.0
#include "node/route.hpp"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "node/netlink.hpp"

namespace weir::node {

Result<std::uint32_t> route_device(const Address& to) {
  auto socket = NetlinkSocket::open(NETLINK_ROUTE);
  if (!socket) return std::unexpected{std::move(socket.error())};
  const bool v4 = to.family() == Family::ipv4;
  NetlinkRequest request{RTM_GETROUTE, 0};
  auto& header = request.header<rtmsg>();
  header.rtm_family = v4 ? AF_INET : AF_INET6;
  header.rtm_dst_len = v4 ? 32 : 128;
  if (v4)
    mnl_attr_put_u32(request.message(), RTA_DST, to.raw().word[3]);
  else
    mnl_attr_put(request.message(), RTA_DST, sizeof to.raw(), &to.raw());
  std::uint32_t ifindex = 0;
  auto asked = socket->request(
      request, [] {},
      [&](const nlmsghdr& message) {
        for_each_attribute(message, sizeof(rtmsg),
                           [&](std::uint16_t type, const nlattr& attribute) {
                             if (type == RTA_OIF)
                               ifindex = attribute_value<std::uint32_t>(attribute);
                           });
      });
  if (!asked) return std::unexpected{std::move(asked.error())};
  return ifindex;
}

}  // namespace weir::node
