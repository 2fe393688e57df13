// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>

#include <cstring>

#include "kernel/attach.hpp"
#include "kernel/cgroup.hpp"
#include "node/udp_sockets.hpp"
#include "support/catch.hpp"

namespace weir::kernel {

TEST_CASE("names of pinned links") {
  for (const auto hook : {Hook::tcx_ingress, Hook::tcx_egress, Hook::xdp, Hook::clsact_ingress,
                          Hook::clsact_egress}) {
    const LinkName name{12, hook};
    CHECK(LinkName::parse(name.to_string()) == name);
  }
  CHECK(LinkName{12, Hook::tcx_ingress}.to_string() == "12-tcx-ingress");
  CHECK(LinkName{4294967295, Hook::xdp}.to_string() == "4294967295-xdp");
}

TEST_CASE("what is no such name") {
  for (const auto* text : {"", "12", "12-", "-xdp", "x-xdp", "12-tcx", "12-xdp2", "4294967296-xdp",
                           "12xdp", "weir_xdp", "cgroup-connect4"}) {
    INFO(text);
    CHECK_FALSE(LinkName::parse(text));
  }
}

TEST_CASE("where cgroup v2 is mounted") {
  using Paths = std::vector<std::string>;
  const std::string v1 =
      "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n";
  CHECK(find_cgroup2(v1).empty());
  CHECK(find_cgroup2("").empty());
  CHECK(find_cgroup2(v1 + "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n") ==
        Paths{"/sys/fs/cgroup/unified"});
  CHECK(find_cgroup2("none /a cgroup2 rw 0 0\nnone /b cgroup2 rw 0 0\n") == Paths{"/a", "/b"});
  CHECK(find_cgroup2("cgroup2 /a\\040b\\134 cgroup2 rw 0 0") == Paths{"/a b\\"});
  CHECK(find_cgroup2("cgroup2 /cgroup2 tmpfs cgroup2 0 0\n").empty());
}

}  // namespace weir::kernel

namespace weir::node {

TEST_CASE("a UDP socket as the kernel tells of it, and which are selected") {
  inet_diag_msg message{};
  message.idiag_family = AF_INET;
  message.id.idiag_dport = htons(53);
  message.id.idiag_dst[0] = htonl(0x0a010203);
  message.id.idiag_cookie[0] = 7;
  message.id.idiag_cookie[1] = 2;
  const UdpSocket v4 = udp_socket(message);
  CHECK(v4.connection == UdpConnection{0x200000007, *Address::parse("10.1.2.3"), 53});
  CHECK(v4.family == AF_INET);
  CHECK(std::memcmp(&v4.id, &message.id, sizeof v4.id) == 0);

  message.idiag_family = AF_INET6;
  const auto raw = Address::parse("fd00::9")->raw();
  std::memcpy(&message.id.idiag_dst, &raw, sizeof raw);
  const UdpSocket v6 = udp_socket(message);
  CHECK(v6.connection.remote == *Address::parse("fd00::9"));

  const auto selected = [&](UdpConnection wanted) {
    return select_sockets(std::vector{v4, v6}, std::vector{std::move(wanted)}).size();
  };
  CHECK(selected(v4.connection) == 1);
  // The same socket with another connection, and another socket with the same.
  CHECK(selected({v4.connection.cookie, v4.connection.remote, 54}) == 0);
  CHECK(selected({v4.connection.cookie, *Address::parse("10.1.2.4"), 53}) == 0);
  CHECK(selected({8, v4.connection.remote, 53}) == 0);
}

}  // namespace weir::node
