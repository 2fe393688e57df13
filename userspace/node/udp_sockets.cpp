// SPDX-License-Identifier: Apache-2.0
#include "node/udp_sockets.hpp"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "node/netlink.hpp"

namespace weir::node {
namespace {

Result<> dump(NetlinkSocket& netlink, std::uint8_t family, std::vector<UdpSocket>& to) {
  NetlinkRequest request{SOCK_DIAG_BY_FAMILY, NLM_F_DUMP};
  auto& header = request.header<inet_diag_req_v2>();
  header.sdiag_family = family;
  header.sdiag_protocol = IPPROTO_UDP;
  header.idiag_states = 1U << TCP_ESTABLISHED;  // what the kernel calls a connected UDP socket
  const auto before = to.size();
  return netlink.request(
      request, [&] { to.resize(before); },
      [&](const nlmsghdr& message) {
        if (mnl_nlmsg_get_payload_len(&message) < sizeof(inet_diag_msg)) return;
        to.push_back(
            udp_socket(*static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(&message))));
      });
}

Result<> end_one(NetlinkSocket& netlink, const UdpSocket& socket) {
  NetlinkRequest request{SOCK_DESTROY, NLM_F_ACK};
  auto& header = request.header<inet_diag_req_v2>();
  header.sdiag_family = socket.family;
  header.sdiag_protocol = IPPROTO_UDP;
  header.idiag_states = 1U << TCP_ESTABLISHED;
  header.id = socket.id;  // with the cookie: another socket of the same ends is not touched
  auto done = netlink.request(request, [] {}, [](const nlmsghdr&) {});
  if (!done && done.error().code() == std::errc::no_such_file_or_directory) return {};
  return done;
}

}  // namespace

UdpSocket udp_socket(const inet_diag_msg& message) {
  weir_addr remote{};
  if (message.idiag_family == AF_INET) {
    remote.word[2] = htonl(0xffff);
    remote.word[3] = message.id.idiag_dst[0];
  } else {
    static_assert(sizeof remote == sizeof message.id.idiag_dst);
    std::memcpy(&remote, &message.id.idiag_dst, sizeof remote);
  }
  const auto& cookie = message.id.idiag_cookie;
  return {.connection = {.cookie = std::uint64_t{cookie[1]} << 32 | cookie[0],
                         .remote = Address{remote},
                         .port = ntohs(message.id.idiag_dport)},
          .family = message.idiag_family,
          .id = message.id};
}

std::vector<UdpSocket> select_sockets(std::span<const UdpSocket> sockets,
                                      std::span<const UdpConnection> wanted) {
  std::vector<UdpSocket> selected;
  std::ranges::copy_if(sockets, std::back_inserter(selected), [&](const UdpSocket& socket) {
    return std::ranges::binary_search(wanted, socket.connection);
  });
  return selected;
}

Result<std::vector<UdpSocket>> connected_udp_sockets() {
  auto netlink = NetlinkSocket::open(NETLINK_SOCK_DIAG);
  if (!netlink) return std::unexpected{std::move(netlink.error())};
  std::vector<UdpSocket> sockets;
  for (const auto family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
    if (auto done = dump(*netlink, family, sockets); !done)
      return fail(std::move(done.error()), "list UDP sockets");
  }
  return sockets;
}

Result<> end_connections(std::span<const UdpSocket> sockets) {
  auto netlink = NetlinkSocket::open(NETLINK_SOCK_DIAG);
  if (!netlink) return std::unexpected{std::move(netlink.error())};
  for (const auto& socket : sockets) {
    if (auto done = end_one(*netlink, socket); !done)
      return fail(std::move(done.error()), "end a UDP connection to {}",
                  endpoint_text(socket.connection.remote, socket.connection.port));
  }
  return {};
}

}  // namespace weir::node
