// SPDX-License-Identifier: Apache-2.0
#include "build.hpp"
#include "node/classify.hpp"
#include "support/catch.hpp"

namespace weir::node {
namespace {

std::vector<std::string> texts(const std::vector<Address>& addresses) {
  std::vector<std::string> result;
  for (const auto& address : addresses) result.push_back(address.to_string());
  return result;
}

using Texts = std::vector<std::string>;

NodeBuilder node_with_much() {
  NodeBuilder node;
  node.network.devices[1].addresses.push_back(on("203.0.113.1/32"));
  node.device(2, "eth0").addresses = {on("10.0.0.5/24"), on("10.0.0.6/24"), on("fd00::5/64"),
                                      on("fe80::5/64")};
  node.network.devices[2].addresses[1].secondary = true;
  node.device(3, "eth1").addresses = {on("192.0.2.1/24"), on("169.254.3.3/16"), on("10.0.0.5/32")};
  node.route("0.0.0.0/0", 2, "10.0.0.1");
  return node;
}

}  // namespace

TEST_CASE("every address but loopback, link-local and multicast, each once",
          "[1.1/node-port-addresses-local]") {
  auto node = node_with_much();
  node.network.devices[3].addresses.push_back(on("239.1.1.1/32"));
  CHECK(texts(node_addresses(node.network)) ==
        Texts{"10.0.0.5", "10.0.0.6", "192.0.2.1", "203.0.113.1", "fd00::5"});
}

TEST_CASE("an address in duplicate detection is not the node's yet") {
  NodeBuilder node;
  node.device(2, "eth0").addresses = {on("fd00::5/64")};
  node.network.devices[2].addresses[0].tentative = true;
  CHECK(node_addresses(node.network).empty());
}

TEST_CASE("a deprecated address is still answered on") {
  NodeBuilder node;
  node.device(2, "eth0").addresses = {on("fd00::5/64")};
  node.network.devices[2].addresses[0].deprecated = true;
  CHECK(texts(node_addresses(node.network)) == Texts{"fd00::5"});
}

TEST_CASE("the primary address") {
  auto node = node_with_much();
  CHECK(primary_address(node.network, Family::ipv4) == ip("10.0.0.5"));
  CHECK(primary_address(node.network, Family::ipv6) == ip("fd00::5"));

  SECTION("a default route's own source, if its device has no address") {
    node.network.devices[2].addresses.clear();
    node.network.routes[0].source = ip("192.0.2.1");
    CHECK(primary_address(node.network, Family::ipv4) == ip("192.0.2.1"));
    CHECK_FALSE(primary_address(node.network, Family::ipv6));
  }
  SECTION("of two default routes the one of lower metric") {
    node.network.routes[0].metric = 10;
    node.route("0.0.0.0/0", 3, "192.0.2.254").metric = 5;
    CHECK(primary_address(node.network, Family::ipv4) == ip("192.0.2.1"));
  }
}

TEST_CASE(
    "where node ports are served",
    "[1.1/node-port-addresses][1.1/node-port-addresses-families][1.1/node-port-addresses-local]") {
  const auto node = node_with_much();
  const auto served = [&](const std::vector<std::string>& options) {
    const auto result = node_port_addresses(node.network, options);
    return result ? texts(*result) : Texts{result.error().message()};
  };
  const Texts all{"10.0.0.5", "10.0.0.6", "192.0.2.1", "203.0.113.1", "fd00::5"};

  SECTION("without an option everywhere") {
    CHECK(served({}) == all);
  }
  SECTION("all, whatever stands beside it") {
    CHECK(served({"10.0.0.0/8", "all"}) == all);
  }
  SECTION("CIDRs of both families") {
    CHECK(served({"10.0.0.0/24", "fd00::/8"}) == Texts{"10.0.0.5", "10.0.0.6", "fd00::5"});
  }
  SECTION("a family that no CIDR names keeps all its addresses") {
    CHECK(served({"192.0.2.0/24"}) == Texts{"192.0.2.1", "fd00::5"});
    CHECK(served({"fd00::/8"}) == all);
  }
  SECTION("a family that a CIDR names in vain has none") {
    CHECK(served({"10.0.0.0/8", "2001:db8::/32"}) == Texts{"10.0.0.5", "10.0.0.6"});
  }
  SECTION("primary") {
    CHECK(served({"primary"}) == Texts{"10.0.0.5", "fd00::5"});
  }
  SECTION("primary and a CIDR") {
    CHECK(served({"primary", "192.0.2.0/24"}) == Texts{"10.0.0.5", "192.0.2.1", "fd00::5"});
  }
  SECTION("localhost alone: none of these") {
    CHECK(served({"localhost"}).empty());
    CHECK(served({"localhost", "primary"}) == Texts{"10.0.0.5", "fd00::5"});
  }
  SECTION("anything else is an error that names it") {
    CHECK(served({"10.0.0.0/8", "eth0"}) ==
          Texts{"node port address eth0: expected a CIDR, \"primary\", \"localhost\" or \"all\""});
  }
}

TEST_CASE("where node ports are served on localhost", "[1.1/node-port-localhost-choice]") {
  const auto served = [](const std::vector<std::string>& options) {
    return texts(localhost_addresses(options).value());
  };
  const Texts both{"127.0.0.1", "::1"};
  CHECK(served({}) == both);
  CHECK(served({"all"}) == both);
  CHECK(served({"localhost"}) == both);
  CHECK(served({"primary", "localhost"}) == both);
  CHECK(served({"primary"}).empty());
  CHECK(served({"10.0.0.0/8", "fd00::/8"}).empty());
  CHECK(served({"127.0.0.0/8", "fd00::/8"}) == Texts{"127.0.0.1"});
  CHECK(served({"127.0.0.1/32", "::/0"}) == both);
  CHECK(served({"127.0.0.2/32", "fd00::/8"}).empty());
  CHECK(served({"10.0.0.0/8"}) == Texts{"::1"});  // a family that no CIDR names keeps all
  CHECK_FALSE(localhost_addresses({"lo"}));
}

}  // namespace weir::node
