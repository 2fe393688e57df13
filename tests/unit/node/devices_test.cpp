// SPDX-License-Identifier: Apache-2.0
#include "node/devices.hpp"

#include <linux/if_arp.h>

#include <algorithm>

#include "build.hpp"
#include "support/catch.hpp"

namespace weir::node {

TEST_CASE("link layers") {
  Device device;
  for (const int type : {ARPHRD_NONE, ARPHRD_TUNNEL, ARPHRD_SIT, ARPHRD_IPGRE}) {
    device.type = static_cast<std::uint16_t>(type);
    CHECK(device.raw());
    CHECK_FALSE(device.ethernet());
  }
  device.type = ARPHRD_ETHER;
  CHECK(device.ethernet());
  CHECK_FALSE(device.raw());
  device.type = ARPHRD_INFINIBAND;
  CHECK_FALSE(device.ethernet());
  CHECK_FALSE(device.raw());
}

TEST_CASE("a big table is reduced to what is asked of it") {
  NodeBuilder node;
  for (int i = 0; i < 200; ++i) node.route("10." + std::to_string(i) + ".0.0/16", 2, "10.0.0.1");
  for (int i = 0; i < 200; ++i) node.route("10.200." + std::to_string(i) + ".1/32", 3);
  node.route("0.0.0.0/0", 2, "10.0.0.1").metric = 100;
  node.route("0.0.0.0/0", 2, "10.0.0.2").metric = 50;
  node.route("::/0", 2, "fe80::1");
  node.route("10.9.9.0/24", 3).source = ip("10.9.9.1");
  const auto kept = reduced(node.network.routes);

  REQUIRE(kept.size() == 5);
  CHECK(kept[0].destination.to_string() == "10.0.0.0/16");    // first with a gateway
  CHECK(kept[1].destination.to_string() == "10.200.0.1/32");  // first plain one
  CHECK(kept[2].metric == 50);
  CHECK(kept[3].family() == Family::ipv6);
  CHECK(kept[4].source == ip("10.9.9.1"));
  CHECK(reduced(kept) == kept);
}

TEST_CASE("one route may be several things at once, and is kept once") {
  NodeBuilder node;
  node.route("0.0.0.0/0", 2, "10.0.0.1").source = ip("10.0.0.5");
  CHECK(reduced(node.network.routes).size() == 1);
}

TEST_CASE("a better default route does not push out the only one with a gateway") {
  NodeBuilder node;
  node.route("0.0.0.0/0", 2, "10.0.0.1").metric = 100;
  node.route("0.0.0.0/0", 2).metric = 50;
  const auto kept = reduced(node.network.routes);
  REQUIRE(kept.size() == 2);
  CHECK(std::ranges::any_of(kept, [](const Route& route) { return route.gateway.has_value(); }));
}

TEST_CASE("which route reports are worth reading the table again") {
  NodeBuilder node;
  node.route("10.0.0.0/8", 2, "10.0.0.1");
  node.route("0.0.0.0/0", 2, "10.0.0.1").metric = 100;
  const auto known = reduced(node.network.routes);
  NodeBuilder other;

  CHECK_FALSE(matters(known, other.route("10.5.0.0/16", 2, "10.0.0.1"), true));
  CHECK_FALSE(matters(known, other.route("10.5.0.0/16", 2, "10.0.0.1"), false));
  CHECK(matters(known, other.route("10.5.0.0/16", 3, "10.0.0.1"), true));
  CHECK(matters(known, other.route("10.0.0.0/8", 2, "10.0.0.1"), false));
  CHECK_FALSE(matters(known, other.route("10.0.0.0/8", 3, "10.0.0.1"), false));
  other.route("0.0.0.0/0", 2, "10.0.0.9").metric = 200;
  CHECK_FALSE(matters(known, other.network.routes.back(), true));
  other.network.routes.back().metric = 50;
  CHECK(matters(known, other.network.routes.back(), true));
}

TEST_CASE("devices by index and by name") {
  NodeBuilder node;
  node.device(7, "eth0");
  CHECK(node.network.find(7)->name == "eth0");
  CHECK(node.network.find("eth0")->ifindex == 7);
  CHECK(node.network.find(8) == nullptr);
  CHECK(node.network.find("eth1") == nullptr);
}

}  // namespace weir::node
