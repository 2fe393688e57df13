// SPDX-License-Identifier: Apache-2.0
#include "node/classify.hpp"

#include <linux/if_arp.h>

#include "build.hpp"
#include "support/catch.hpp"

namespace weir::node {
namespace {

// "eth0:uplink eth1:uplink veth1:pod@5", @ the bridge.
std::string summary(const std::vector<Attachment>& attachments) {
  std::string text;
  for (const auto& attachment : attachments) {
    if (!text.empty()) text += ' ';
    text += attachment.name + (attachment.edge == Edge::pod ? ":pod" : ":uplink");
    if (attachment.bridge != 0) text += "@" + std::to_string(attachment.bridge);
  }
  return text;
}

std::string summary(const NodeBuilder& node, const Selection& selection = {}) {
  return summary(classify(node.network, selection));
}

// The node of most examples: one NIC with a default route.
NodeBuilder usual_node() {
  NodeBuilder node;
  node.device(2, "eth0").addresses = {on("10.0.0.5/24"), on("fd00::5/64"), on("fe80::5/64")};
  node.route("10.0.0.0/24", 2).source = ip("10.0.0.5");
  node.route("0.0.0.0/0", 2, "10.0.0.1");
  node.route("::/0", 2, "fe80::1");
  return node;
}

const Attachment* named(const std::vector<Attachment>& attachments, const std::string& name) {
  for (const auto& each : attachments) {
    if (each.name == name) return &each;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("a NIC with a route off the node is an uplink, loopback is nothing") {
  CHECK(summary(usual_node()) == "eth0:uplink");
}

TEST_CASE("what makes a device an uplink") {
  NodeBuilder node;
  Device& nic = node.device(2, "eth0");

  SECTION("nothing") {
    CHECK(summary(node).empty());
  }
  SECTION("only a link-local address") {
    nic.addresses = {on("fe80::5/64"), on("169.254.0.5/16")};
    CHECK(summary(node).empty());
  }
  SECTION("a connected IPv4 prefix") {
    nic.addresses = {on("10.0.0.5/31")};
    CHECK(summary(node) == "eth0:uplink");
  }
  SECTION("a connected IPv6 prefix") {
    nic.addresses = {on("fd00::5/127")};
    CHECK(summary(node) == "eth0:uplink");
  }
  SECTION("a host address alone") {
    nic.addresses = {on("10.0.0.5/32"), on("fd00::5/128")};
    CHECK(summary(node).empty());
  }
  SECTION("a host address and a route by a gateway, as in some clouds") {
    nic.addresses = {on("10.0.0.5/32")};
    node.route("10.0.0.0/8", 2, "10.0.0.1");
    CHECK(summary(node) == "eth0:uplink");
  }
  SECTION("a default route without a gateway") {
    node.route("0.0.0.0/0", 2);
    CHECK(summary(node) == "eth0:uplink");
  }
  SECTION("a route to one neighbour is not a way off the node") {
    node.route("10.9.0.1/32", 2);
    CHECK(summary(node).empty());
  }
  SECTION("switched off") {
    nic.addresses = {on("10.0.0.5/24")};
    nic.up = false;
    CHECK(summary(node).empty());
  }
  SECTION("a dummy leads nowhere") {
    nic.addresses = {on("10.0.0.5/24")};
    nic.kind = "dummy";
    CHECK(summary(node).empty());
  }
  SECTION("neither Ethernet nor bare IP") {
    nic.addresses = {on("10.0.0.5/24")};
    nic.type = ARPHRD_INFINIBAND;
    CHECK(summary(node).empty());
  }
}

TEST_CASE("overlays are uplinks, with and without an Ethernet header") {
  auto node = usual_node();
  node.device(3, "flannel.1", "vxlan").addresses = {on("10.244.0.0/32")};
  node.route("10.244.1.0/24", 3, "10.244.1.0");
  node.device(4, "wg0", "wireguard", ARPHRD_NONE);
  node.route("10.245.0.0/16", 4);
  node.device(5, "tunl0", "ipip", ARPHRD_TUNNEL);  // no route, no address: not in use
  node.device(6, "vxlan.calico", "vxlan");
  node.route("10.246.0.0/16", 6);
  node.device(7, "ppp0", "", ARPHRD_PPP);
  node.route("10.247.0.0/16", 7);

  const auto found = classify(node.network, {});
  CHECK(summary(found) ==
        "eth0:uplink flannel.1:uplink wg0:uplink vxlan.calico:uplink "
        "ppp0:uplink");
  CHECK(named(found, "flannel.1")->ethernet);
  CHECK_FALSE(named(found, "wg0")->ethernet);
  CHECK(named(found, "flannel.1")->source4 == ip("10.244.0.0"));
  CHECK(named(found, "wg0")->source4 == ip("10.0.0.5"));
  CHECK(named(found, "wg0")->source6 == ip("fd00::5"));
}

TEST_CASE("pods by the names that network plugins give") {
  auto node = usual_node();
  std::uint32_t ifindex = 10;
  for (const auto* name : {"veth1234", "cali0ab", "lxc77", "cni3", "eni9f", "azv1", "gke2", "nk5"})
    node.device(ifindex++, name, "veth");
  node.device(ifindex++, "eth7", "veth");
  node.device(ifindex++, "myveth", "veth");
  CHECK(summary(node) ==
        "eth0:uplink veth1234:pod cali0ab:pod lxc77:pod cni3:pod eni9f:pod azv1:pod gke2:pod "
        "nk5:pod");
  CHECK(summary(node, {.pod_interface = {"eth7"}, .uplink = {}}) == "eth0:uplink eth7:pod");
}

TEST_CASE("a pod's device needs no route, no address, and need not be up") {
  auto node = usual_node();
  node.device(3, "veth0", "veth").up = false;
  CHECK(summary(node) == "eth0:uplink veth0:pod");
}

TEST_CASE("a bridge of pods is no edge: its ports are") {
  auto node = usual_node();
  node.device(3, "cni0", "bridge").addresses = {on("10.244.0.1/24"), on("fd10::1/64")};
  node.device(4, "veth1", "veth").master = 3;
  const auto found = classify(node.network, {});
  CHECK(summary(found) == "eth0:uplink veth1:pod@3");
  CHECK(named(found, "veth1")->source4 == ip("10.244.0.1"));
  CHECK(named(found, "veth1")->source6 == ip("fd10::1"));
}

TEST_CASE("a NIC in the bridge of the pods is attached as the port") {
  NodeBuilder node;
  node.device(2, "eth0").master = 3;
  node.device(3, "br0", "bridge").addresses = {on("10.0.0.5/24")};
  node.route("0.0.0.0/0", 3, "10.0.0.1");
  node.device(4, "veth1", "veth").master = 3;
  const auto found = classify(node.network, {});
  CHECK(summary(found) == "eth0:uplink@3 veth1:pod@3");
  CHECK(named(found, "eth0")->source4 == ip("10.0.0.5"));

  SECTION("but not if the bridge leads nowhere") {
    node.network.routes.clear();
    node.network.devices[3].addresses.clear();
    CHECK(summary(node) == "veth1:pod@3");
  }
  SECTION("or is switched off") {
    node.network.devices[3].up = false;
    CHECK(summary(node) == "veth1:pod@3");
  }
}

TEST_CASE("a bridge without pods is the uplink itself") {
  NodeBuilder node;
  node.device(2, "eth0").master = 3;
  node.device(3, "br0", "bridge").addresses = {on("10.0.0.5/24")};
  CHECK(summary(node) == "br0:uplink");
}

TEST_CASE("a bond is the uplink, not its NICs, and is no bridge") {
  NodeBuilder node;
  node.device(2, "eth0").master = 3;
  node.device(3, "bond0", "bond").addresses = {on("10.0.0.5/24")};
  CHECK(summary(node) == "bond0:uplink");
  CHECK(summary(node, {.pod_interface = {"veth*"}, .uplink = {"eth*"}}) == "eth0:uplink");
}

TEST_CASE("uplinks by name") {
  auto node = usual_node();
  node.device(3, "eth1").up = false;
  node.device(4, "eni5", "veth");
  node.device(5, "cni0", "bridge");
  node.device(6, "veth1", "veth").master = 5;

  SECTION("only those named, whatever their state") {
    CHECK(summary(node, {.uplink = {"eth1"}}) == "eth1:uplink eni5:pod veth1:pod@5");
  }
  SECTION("a pattern does not take pods") {
    CHECK(summary(node, {.uplink = {"e*"}}) == "eth0:uplink eth1:uplink eni5:pod veth1:pod@5");
  }
  SECTION("a whole name does") {
    CHECK(summary(node, {.uplink = {"eni5"}}) == "eni5:uplink veth1:pod@5");
  }
  SECTION("loopback never") {
    CHECK(summary(node, {.uplink = {"lo"}}) == "eni5:pod veth1:pod@5");
  }
}

TEST_CASE("uplink patterns that name nothing are reported") {
  const auto node = usual_node();
  CHECK(unmatched_uplinks(node.network, {}).empty());
  CHECK(unmatched_uplinks(node.network, {.uplink = {"eth0", "et*"}}).empty());
  CHECK(unmatched_uplinks(node.network, {.uplink = {"eth0", "eth9", "wl*", "lo"}}) ==
        std::vector<std::string>{"eth9", "wl*", "lo"});
}

TEST_CASE("source address of a device") {
  auto node = usual_node();
  Device& pod = node.device(7, "cali1", "veth");
  const auto source4 = [&] { return named(classify(node.network, {}), "cali1")->source4; };
  const auto source6 = [&] { return named(classify(node.network, {}), "cali1")->source6; };

  SECTION("its own comes first") {
    pod.addresses = {on("10.1.0.1/32"), on("fd01::1/128")};
    node.route("10.1.0.9/32", 7).source = ip("10.0.0.5");
    CHECK(source4() == ip("10.1.0.1"));
    CHECK(source6() == ip("fd01::1"));
  }
  SECTION("link-local ones do not count") {
    pod.addresses = {on("169.254.1.1/32"), on("fe80::7/64")};
    CHECK(source4() == ip("10.0.0.5"));
    CHECK(source6() == ip("fd00::5"));
  }
  SECTION("nor does one of link scope, whatever its number") {
    pod.addresses = {on("10.1.0.1/32")};
    pod.addresses[0].scope = Scope::link;
    CHECK(source4() == ip("10.0.0.5"));
  }
  SECTION("nor do tentative and deprecated ones") {
    pod.addresses = {on("fd01::1/64"), on("fd01::2/64"), on("fd01::3/64")};
    pod.addresses[0].tentative = true;
    pod.addresses[1].deprecated = true;
    CHECK(source6() == ip("fd01::3"));
  }
  SECTION("a secondary or temporary one only if there is no other") {
    pod.addresses = {on("fd01::1/64"), on("fd01::2/64")};
    pod.addresses[0].secondary = true;
    CHECK(source6() == ip("fd01::2"));
    pod.addresses[1].secondary = true;
    CHECK(source6() == ip("fd01::1"));
  }
  SECTION("of a point-to-point address this end") {
    pod.addresses = {on("10.1.0.1/32")};
    pod.addresses[0].peer = ip("10.1.0.2");
    CHECK(source4() == ip("10.1.0.1"));
  }
  SECTION("then what the route prefers, in the family of the route") {
    node.device(8, "eth1").addresses = {on("192.0.2.1/24")};
    node.route("10.1.0.9/32", 7).source = ip("192.0.2.1");
    CHECK(source4() == ip("192.0.2.1"));
    CHECK(source6() == ip("fd00::5"));
  }
  SECTION("then the uplink of the best default route") {
    node.device(8, "eth1").addresses = {on("192.0.2.1/24")};
    node.route("0.0.0.0/0", 8, "192.0.2.254").metric = 50;
    node.network.routes[1].metric = 100;
    CHECK(source4() == ip("192.0.2.1"));
  }
  SECTION("then any address of the node, loopback's too") {
    node.network.routes.clear();
    node.network.devices[1].addresses.push_back(on("203.0.113.1/32"));
    CHECK(source4() == ip("203.0.113.1"));
    CHECK(source6() == ip("fd00::5"));
  }
  SECTION("none at all") {
    node.network.routes.clear();
    node.network.devices[2].addresses.clear();
    CHECK_FALSE(source4());
    CHECK_FALSE(source6());
  }
}

TEST_CASE("an unnumbered uplink uses the address on loopback") {
  NodeBuilder node;
  node.network.devices[1].addresses.push_back(on("203.0.113.1/32"));
  node.device(2, "eth0").addresses = {on("fe80::2/64")};
  node.route("0.0.0.0/0", 2, "fe80::1");
  const auto found = classify(node.network, {});
  CHECK(summary(found) == "eth0:uplink");
  CHECK(found[0].source4 == ip("203.0.113.1"));
}

TEST_CASE("an attachment as the datapath sees it") {
  Attachment attachment{.ifindex = 7,
                        .name = "veth1",
                        .edge = Edge::pod,
                        .ethernet = true,
                        .bridge = 3,
                        .source4 = ip("10.0.0.5"),
                        .source6 = ip("fd00::5")};
  const auto device = to_abi(attachment);
  CHECK(Address{device.source4} == ip("10.0.0.5"));
  CHECK(Address{device.source6} == ip("fd00::5"));
  CHECK(device.bridge == 3);
  CHECK(device.flags == WEIR_DEVICE_ETHERNET);

  attachment = {};
  attachment.ethernet = false;
  CHECK(to_abi(attachment) == weir_device{});
}

}  // namespace weir::node
