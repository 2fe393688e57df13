// SPDX-License-Identifier: Apache-2.0
#include <linux/if_link.h>

#include "kernel/attach.hpp"
#include "node/monitor.hpp"
#include "node/xdp_support.hpp"
#include "programs.hpp"
#include "sandbox.hpp"
#include "support/catch.hpp"

namespace weir::node {
namespace {

XdpSupport support_of(const NodeNetwork& network, const std::string& name) {
  const auto support = xdp_support(network, *network.find(name));
  if (!support) throw std::runtime_error{support.error().message()};
  return *support;
}

NodeNetwork network_now() {
  return Monitor::open().value().network();
}

}  // namespace

TEST_CASE("a veth takes redirected frames only while its peer can") {
  const Sandbox sandbox;
  run("ip link add eth0 type veth peer name eth1 && ip link set eth0 up && ip link set eth1 up");
  const auto network = network_now();
  auto support = support_of(network, "eth0");
  CHECK(support.driver == "veth");
  CHECK(support.native);
  CHECK(support.why_not_native.empty());
  CHECK_FALSE(support.redirect);
  CHECK(support.why_not_redirect == "the veth's peer has neither GRO nor an XDP program");

  SECTION("GRO at the peer") {
    run("ethtool -K eth1 gro on");
    CHECK(support_of(network, "eth0").redirect);
    CHECK_FALSE(support_of(network, "eth1").redirect);
    run("ethtool -K eth1 gro off");
    CHECK_FALSE(support_of(network, "eth0").redirect);
  }
  SECTION("a native program at the peer") {
    const auto link = stranger(load_xdp(), ifindex_of("eth1"), BPF_XDP, XDP_FLAGS_DRV_MODE);
    CHECK(support_of(network, "eth0").redirect);
    CHECK_FALSE(support_of(network, "eth1").redirect);
  }
  SECTION("a generic one does not help") {
    const auto link = stranger(load_xdp(), ifindex_of("eth1"), BPF_XDP, XDP_FLAGS_SKB_MODE);
    CHECK_FALSE(support_of(network, "eth0").redirect);
  }
}

TEST_CASE("devices without native XDP") {
  const Sandbox sandbox;
  run("ip link add br0 type bridge && ip link add vx0 type vxlan id 1 dstport 8472");
  const auto network = network_now();
  for (const auto* name : {"br0", "vx0", "lo"}) {
    INFO(name);
    const auto support = support_of(network, name);
    CHECK_FALSE(support.native);
    CHECK_FALSE(support.redirect);
    CHECK_FALSE(support.why_not_native.empty());
  }
}

TEST_CASE("no XDP under VLAN devices on a NIC that takes off tags") {
  const Sandbox sandbox;
  run("ip link add eth0 type veth peer name eth1");
  auto network = network_now();
  // On paper: not every kernel has VLAN devices, and only the NIC is asked.
  Device vlan;
  vlan.ifindex = 100;
  vlan.name = "eth0.5";
  vlan.kind = "vlan";
  vlan.link = network.find("eth0")->ifindex;
  network.devices[vlan.ifindex] = vlan;
  auto support = support_of(network, "eth0");
  CHECK_FALSE(support.native);
  CHECK(support.why_not_native ==
        "it takes off the tags of VLAN device eth0.5 (ethtool -K eth0 rxvlan off)");
  CHECK(support_of(network, "eth1").native);
  run("ethtool -K eth0 rxvlan off");
  CHECK(support_of(network, "eth0").native);
}

TEST_CASE("a device that is gone is an error") {
  const Sandbox sandbox;
  run("ip link add eth0 type veth peer name eth1");
  const auto network = network_now();
  run("ip link del eth0");
  const auto support = xdp_support(network, *network.find("eth0"));
  REQUIRE_FALSE(support);
  CHECK(support.error().code() == std::errc::no_such_device);
}

}  // namespace weir::node
