// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <thread>

#include "build.hpp"
#include "node/classify.hpp"
#include "node/monitor.hpp"
#include "sandbox.hpp"
#include "support/catch.hpp"

namespace weir::node {
namespace {

using namespace std::chrono_literals;

bool has_address(const Device* device, const std::string& text) {
  return device && std::ranges::any_of(device->addresses, [&](const InterfaceAddress& each) {
           return each.address == ip(text);
         });
}

bool has_route(const NodeNetwork& network, const std::string& destination,
               const std::string& device) {
  const Device* out = network.find(device);
  return out && std::ranges::any_of(network.routes, [&](const Route& route) {
           return route.destination == Cidr::parse(destination) && route.ifindex == out->ifindex;
         });
}

Monitor opened() {
  auto monitor = Monitor::open();
  if (!monitor) throw std::runtime_error{monitor.error().message()};
  return std::move(*monitor);
}

std::string text_of(const NodeNetwork& network) {
  std::string text;
  for (const auto& [index, device] : network.devices) {
    text += fmt::format("{} {} up {} mtu {} master {}", index, device.name, device.up, device.mtu,
                        device.master);
    for (const auto& each : device.addresses)
      text += fmt::format(", {}/{}", each.address.to_string(), each.length);
    text += "; ";
  }
  for (const auto& route : network.routes)
    text += fmt::format("{} on {}; ", route.destination.to_string(), route.ifindex);
  return text;
}

// What a monitor that was there from the start says must be what a new one reads.
void agrees_with_fresh(Monitor& monitor) {
  // The kernel gives a new device its link-local address when it comes to it: maybe between the
  // two.
  bool same = false;
  for (int i = 0; i < 50 && !same; ++i) {
    REQUIRE(monitor.refresh());
    same = monitor.network() == opened().network();
    if (!same) std::this_thread::sleep_for(20ms);
  }
  INFO("known: " << text_of(monitor.network()) << "\nfresh: " << text_of(opened().network()));
  CHECK(same);
}

}  // namespace

TEST_CASE("a new namespace has loopback and no routes") {
  const Sandbox sandbox;
  const auto monitor = opened();
  const auto& network = monitor.network();
  REQUIRE(network.devices.size() == 1);
  const Device* lo = network.find("lo");
  REQUIRE(lo);
  CHECK(lo->loopback());
  CHECK(lo->up);
  CHECK(has_address(lo, "127.0.0.1"));
  CHECK(lo->addresses[0].length == 8);
  CHECK(lo->addresses[0].scope == Scope::host);
  CHECK(network.routes.empty());
  CHECK(classify(network, {}).empty());
}

TEST_CASE("what is there when the monitor opens") {
  Sandbox sandbox;
  const auto other = sandbox.another();
  run("ip link add eth0 mtu 1400 type veth peer name eth0 netns " + other);
  run("ip link add br0 type bridge && ip link set br0 up");
  run("ip link add vethA type veth peer name vethB && ip link set vethA master br0");
  run("ip link set eth0 up && ip addr add 10.0.0.5/24 dev eth0");
  run("ip addr add 10.0.0.6/24 dev eth0 && ip -6 addr add fd00::5/64 dev eth0 nodad");
  run("ip -6 addr add fd00::9/64 dev eth0 nodad preferred_lft 0");
  run("ip addr add 10.7.0.1 peer 10.7.0.2/32 dev br0");
  run("ip route add default via 10.0.0.1 metric 77 src 10.0.0.6");
  run("ip -6 route add default via fd00::1");
  run("ip route add 10.99.0.0/16 via 10.0.0.1 table 100 && ip route add blackhole 10.98.0.0/16");
  run("ip link set vethB up && ip route add local 10.97.0.0/16 dev vethB table main");
  const auto monitor = opened();
  const auto& network = monitor.network();

  const Device* nic = network.find("eth0");
  REQUIRE(nic);
  CHECK(nic->kind == "veth");
  CHECK(nic->mtu == 1400);
  CHECK(nic->link_elsewhere);
  CHECK(nic->ethernet());
  CHECK(has_address(nic, "10.0.0.5"));
  const auto find = [&](const char* text) {
    return *std::ranges::find(nic->addresses, ip(text), &InterfaceAddress::address);
  };
  CHECK_FALSE(find("10.0.0.5").secondary);
  CHECK(find("10.0.0.6").secondary);
  CHECK(find("fd00::9").deprecated);
  CHECK_FALSE(find("fd00::5").deprecated);

  const Device* bridge = network.find("br0");
  REQUIRE(bridge);
  CHECK(bridge->bridge());
  REQUIRE(has_address(bridge, "10.7.0.1"));
  CHECK(bridge->addresses[0].peer == ip("10.7.0.2"));
  const Device* port = network.find("vethA");
  REQUIRE(port);
  CHECK(port->master == bridge->ifindex);
  CHECK(port->link == network.find("vethB")->ifindex);
  CHECK_FALSE(port->link_elsewhere);

  const auto chosen = std::ranges::find_if(network.routes, [](const Route& route) {
    return route.is_default() && route.family() == Family::ipv4;
  });
  REQUIRE(chosen != network.routes.end());
  CHECK(chosen->gateway == ip("10.0.0.1"));
  CHECK(chosen->source == ip("10.0.0.6"));
  CHECK(chosen->metric == 77);
  CHECK(has_route(network, "::/0", "eth0"));
  CHECK_FALSE(has_route(network, "10.99.0.0/16", "eth0"));
  CHECK_FALSE(has_route(network, "10.97.0.0/16", "vethB"));
  CHECK_FALSE(std::ranges::any_of(
      network.routes, [](const Route& route) { return route.destination.base.is_link_local(); }));

  const auto edges = classify(network, {});
  REQUIRE(edges.size() == 3);
  CHECK(edges[0].name == "eth0");
  CHECK(edges[0].source4 == ip("10.0.0.5"));
  CHECK(edges[0].source6 == ip("fd00::5"));
}

TEST_CASE("a pod's veth is seen within 100 ms, and its end") {
  Sandbox sandbox;
  const auto other = sandbox.another();
  auto monitor = opened();
  const auto start = std::chrono::steady_clock::now();
  run("ip link add veth1 type veth peer name eth0 netns " + other);
  CHECK(comes_true(monitor, 100ms, [](const NodeNetwork& n) { return n.find("veth1"); }));
  // With the time that `ip` itself took.
  CHECK(std::chrono::steady_clock::now() - start < 500ms);
  agrees_with_fresh(monitor);
  run("ip link del veth1");
  CHECK(comes_true(monitor, 100ms, [](const NodeNetwork& n) { return !n.find("veth1"); }));
  CHECK(classify(monitor.network(), {}).empty());
}

TEST_CASE("a device that moves to another namespace is gone from here") {
  Sandbox sandbox;
  const auto other = sandbox.another();
  run("ip link add veth1 type veth peer name veth2");
  auto monitor = opened();
  run("ip link set veth1 netns " + other);
  CHECK(comes_true(monitor, 100ms, [](const NodeNetwork& n) { return !n.find("veth1"); }));
  agrees_with_fresh(monitor);
}

TEST_CASE("a port that leaves its bridge is still a device") {
  const Sandbox sandbox;
  run("ip link add br0 type bridge && ip link add veth1 type veth peer name veth2");
  run("ip link set veth1 master br0 && ip link set veth1 up && ip link set br0 up");
  auto monitor = opened();
  run("ip link set veth1 nomaster");
  CHECK(comes_true(monitor, 100ms, [](const NodeNetwork& n) {
    const Device* port = n.find("veth1");
    return !port || port->master == 0;
  }));
  REQUIRE(monitor.network().find("veth1"));
  run("ip link set veth1 master br0");
  CHECK(comes_true(monitor, 100ms,
                   [](const NodeNetwork& n) { return n.find("veth1")->master != 0; }));
  agrees_with_fresh(monitor);
}

TEST_CASE("addresses, names and routes that change") {
  const Sandbox sandbox;
  run("ip link add eth0 type veth peer name eth1 && ip link set eth0 up && ip link set eth1 up");
  auto monitor = opened();
  const auto soon = [&](const auto& wanted) { return comes_true(monitor, 1000ms, wanted); };

  run("ip addr add 10.0.0.5/24 dev eth0");
  CHECK(soon([](const auto& n) { return has_address(n.find("eth0"), "10.0.0.5"); }));
  CHECK(soon([](const auto& n) { return has_route(n, "10.0.0.0/24", "eth0"); }));
  run("ip route add default via 10.0.0.1");
  CHECK(soon([](const auto& n) { return has_route(n, "0.0.0.0/0", "eth0"); }));
  agrees_with_fresh(monitor);

  SECTION("an address goes, and its routes with it, of which the kernel says nothing") {
    run("ip addr del 10.0.0.5/24 dev eth0");
    CHECK(soon([](const auto& n) { return !has_address(n.find("eth0"), "10.0.0.5"); }));
    CHECK(soon([](const auto& n) { return !has_route(n, "0.0.0.0/0", "eth0"); }));
  }
  SECTION("an address goes, and a route that preferred it") {
    run("ip addr add 10.8.0.1/32 dev lo && ip route add 10.9.0.0/16 dev eth1 src 10.8.0.1");
    CHECK(soon([](const auto& n) { return has_route(n, "10.9.0.0/16", "eth1"); }));
    run("ip addr del 10.8.0.1/32 dev lo");
    CHECK(soon([](const auto& n) { return !has_address(n.find("lo"), "10.8.0.1"); }));
    CHECK_FALSE(has_route(monitor.network(), "10.9.0.0/16", "eth1"));
  }
  SECTION("the device is switched off, and its routes go unreported") {
    run("ip link set eth0 down");
    CHECK(soon([](const auto& n) { return !n.find("eth0")->up; }));
    CHECK(soon([](const auto& n) { return !has_route(n, "0.0.0.0/0", "eth0"); }));
  }
  SECTION("a route goes") {
    run("ip route del default");
    CHECK(soon([](const auto& n) { return !has_route(n, "0.0.0.0/0", "eth0"); }));
  }
  SECTION("a route moves to another device by a replacement") {
    run("ip addr add 10.1.0.5/24 dev eth1 && ip route replace default via 10.1.0.1");
    CHECK(soon([](const auto& n) { return has_route(n, "0.0.0.0/0", "eth1"); }));
    CHECK(soon([](const auto& n) { return !has_route(n, "0.0.0.0/0", "eth0"); }));
  }
  SECTION("a route moves to a device that has such routes already") {
    run("ip addr add 10.1.0.5/24 dev eth1 && ip route add 10.60.0.0/16 via 10.1.0.1");
    run("ip route del default && ip route add 10.70.0.0/16 via 10.0.0.1");
    CHECK(soon([](const auto& n) { return has_route(n, "10.70.0.0/16", "eth0"); }));
    run("ip route replace 10.70.0.0/16 via 10.1.0.1");
    CHECK(soon([](const auto& n) { return !has_route(n, "10.70.0.0/16", "eth0"); }));
  }
  SECTION("a route of several ways is on each of its devices") {
    run("ip addr add 10.1.0.5/24 dev eth1");
    run("ip route replace default nexthop via 10.0.0.1 nexthop via 10.1.0.1");
    CHECK(soon([](const auto& n) { return has_route(n, "0.0.0.0/0", "eth1"); }));
    CHECK(has_route(monitor.network(), "0.0.0.0/0", "eth0"));
  }
  SECTION("an IPv4 route by an IPv6 gateway") {
    run("ip route add 10.5.0.0/16 via inet6 fe80::1 dev eth1");
    CHECK(soon([](const auto& n) { return has_route(n, "10.5.0.0/16", "eth1"); }));
    const auto& routes = monitor.network().routes;
    CHECK(std::ranges::find(routes, Cidr::parse("10.5.0.0/16"), &Route::destination)->gateway ==
          ip("fe80::1"));
  }
  SECTION("an MTU, and the addresses stay") {
    run("ip link set eth0 mtu 1400");
    CHECK(soon([](const auto& n) { return n.find("eth0")->mtu == 1400; }));
    CHECK(has_address(monitor.network().find("eth0"), "10.0.0.5"));
  }
  SECTION("a name") {
    run("ip link set eth0 down && ip link set eth0 name up0");
    CHECK(soon([](const auto& n) { return n.find("up0") && !n.find("eth0"); }));
  }
  SECTION("an IPv6 address in duplicate detection") {
    run("ip -6 addr add fd00::5/64 dev eth0");
    CHECK(soon([](const auto& n) { return has_address(n.find("eth0"), "fd00::5"); }));
    CHECK(node_addresses(monitor.network()) == std::vector<Address>{ip("10.0.0.5")});
    CHECK(comes_true(monitor, 5000ms, [](const auto& n) { return node_addresses(n).size() == 2; }));
  }
  agrees_with_fresh(monitor);
}

TEST_CASE("an event that changes nothing here is no change") {
  const Sandbox sandbox;
  run("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");  // it takes seconds to settle
  run("ip link add eth0 type veth peer name eth1 && ip link set eth0 up && ip link set eth1 up");
  run("ip addr add 10.0.0.5/24 dev eth0 && ip route add default via 10.0.0.1");
  auto monitor = opened();
  while (readable(monitor.fd(), 300ms)) REQUIRE(monitor.refresh());
  CHECK(monitor.refresh().value() == false);
  run("ip route add 10.50.0.0/16 via 10.0.0.1");
  REQUIRE(readable(monitor.fd(), 1000ms));
  CHECK(monitor.refresh().value() == false);
  run("ip route add 10.51.0.0/16 via 10.0.0.1 table 100");
  REQUIRE(readable(monitor.fd(), 1000ms));
  CHECK(monitor.refresh().value() == false);
  run("ip addr add 10.0.0.6/24 dev eth0");
  REQUIRE(readable(monitor.fd(), 1000ms));
  CHECK(monitor.refresh().value() == true);
}

TEST_CASE("reports that were lost are made good") {
  const Sandbox sandbox;
  auto monitor = opened();
  run("ip link add eth0 type veth peer name eth1");
  // Far more than the buffer takes, and the last thing to happen is among what is lost.
  run("for i in $(seq 20); do for j in $(seq 100); do "
      "echo addr add 10.$i.$j.1/32 dev lo; echo addr del 10.$i.$j.1/32 dev lo; done; done"
      " > /tmp/weirnode-batch.$$; for k in 1 2 3 4 5 6; do ip -batch /tmp/weirnode-batch.$$; done;"
      " rm /tmp/weirnode-batch.$$");
  run("ip link add veth9 type veth peer name veth10 && ip addr add 10.99.0.1/24 dev veth9");
  REQUIRE(monitor.refresh());
  CHECK(has_address(monitor.network().find("veth9"), "10.99.0.1"));
  agrees_with_fresh(monitor);
}

TEST_CASE("an overlay is an uplink, and the VXLAN's source is its own") {
  const Sandbox sandbox;
  run("ip link add eth0 type veth peer name eth1 && ip link set eth0 up && ip link set eth1 up");
  run("ip addr add 10.0.0.5/24 dev eth0");
  run("ip link add flannel.1 type vxlan id 1 dev eth0 dstport 8472");
  run("ip link set flannel.1 up && ip addr add 10.244.0.0/32 dev flannel.1");
  run("ip route add 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink");
  const auto monitor = opened();
  const auto edges = classify(monitor.network(), {});
  REQUIRE(edges.size() == 2);
  CHECK(edges[1].name == "flannel.1");
  CHECK(edges[1].edge == Edge::uplink);
  CHECK(edges[1].source4 == ip("10.244.0.0"));
  CHECK(edges[1].ethernet);
}

}  // namespace weir::node
