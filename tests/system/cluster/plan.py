# SPDX-License-Identifier: Apache-2.0
"""The address plan and the ways a cluster may be built: values only, nothing here touches the kernel.

            client 198.51.100.10
               |
            router                      routes service addresses to one of the nodes
               | lan0 (bridge) 10.90.0.0/24
        +------+------+
      node1         node2               .11, .12; each runs its own weir
      /   \\         /   \\
   pod1a pod1b   pod2a pod2b            10.244.N.10, .20; a: clients, b: backends (by custom only)
"""
import dataclasses
import ipaddress
import os
import re

FAMILIES = (4, 6)
SERVICE_CIDR = {4: "10.96.0.0/16", 6: "fd00:96::/112"}
LOAD_BALANCER_POOL = {4: "203.0.113.0/24", 6: "2001:db8:203::/112"}
EXTERNAL_CIDR = {4: "192.0.2.0/24", 6: "2001:db8:192::/112"}
POD_SUPERNET = {4: "10.244.0.0/16", 6: "fd00:244::/48"}
SEGMENT = {4: "10.90.0.0/24", 6: "fd90::/64"}
OUTSIDE = {4: "198.51.100.0/24", 6: "2001:db8:100::/64"}
ROUTER_INSIDE = {4: "10.90.0.1", 6: "fd90::1"}
ROUTER_OUTSIDE = {4: "198.51.100.1", 6: "2001:db8:100::1"}
CLIENT = {4: "198.51.100.10", 6: "2001:db8:100::10"}

# Before, no kernel says whether a veth takes what XDP sends, and weir leaves the sending to tc.
XDP_SENDS_TO_VETH = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 3)

OVERLAY_DEVICE = {4: "flannel.1", 6: "flannel-v6.1"}
OVERLAY_MTU = {4: 1450, 6: 1430}


@dataclasses.dataclass(frozen=True)
class Variant:
    """How pods hang on their node, how nodes reach one another, and where weir meets the uplink."""

    pods: str = "routed"  # "routed": a veth and a host route each; "bridge": ports of cni0
    join: str = "routes"  # "routes": a route to the other node; "vxlan": flannel-like overlay
    xdp: str = "off"  # weir's --xdp
    bridge_nf: int = 0  # net.bridge.bridge-nf-call-iptables and -ip6tables in the nodes
    offloads: bool = True  # False: every veth without checksum, segmentation and receive offloads

    @property
    def name(self):
        attach = self.pods + (f"-nf{self.bridge_nf}" if self.pods == "bridge" else "")
        plain = "" if self.offloads else "-plain"
        return f"{attach}-{self.join}-xdp-{self.xdp}{plain}"

    @classmethod
    def parse(cls, name):
        """The inverse of name, e.g. bridge-nf1-vxlan-xdp-native."""
        words = name.split("-")
        bridge_nf = int(words.pop(1)[2:]) if words[0] == "bridge" else 0
        variant = cls(words[0], words[1], words[3], bridge_nf, "plain" not in words[4:])
        if variant.name != name:
            raise ValueError(f"no such cluster variant: {name}")
        return variant

    def pod_mtu(self, letter):
        """
        Pods b, c, ... keep 1500 over the overlay, as a badly set-up CNI would have it: the MSS
        that such a backend announces does not protect an outside client, whose packets then fit
        the segment and not the overlay.
        """
        return min(OVERLAY_MTU.values()) if self.join == "vxlan" and letter == "a" else 1500


@dataclasses.dataclass(frozen=True)
class Node:
    number: int

    @property
    def name(self):
        return f"node{self.number}"

    def address(self, family):
        return {4: f"10.90.0.1{self.number}", 6: f"fd90::1{self.number}"}[family]

    def pod_cidr(self, family):
        return {4: f"10.244.{self.number}.0/24", 6: f"fd00:244:0:{self.number}::/64"}[family]

    def overlay_address(self, family):
        """The first address of the pod CIDR, as flannel has it."""
        return str(ipaddress.ip_network(self.pod_cidr(family))[0])

    def bridge_address(self, family):
        return str(ipaddress.ip_network(self.pod_cidr(family))[1])

    def overlay_mac(self, family):
        return f"02:00:0a:f4:0{family}:0{self.number}"

    @property
    def bridge_mac(self):
        return f"02:00:0a:f4:00:0{self.number}"

    @property
    def mac(self):
        return f"02:00:0a:5a:00:1{self.number}"


@dataclasses.dataclass(frozen=True)
class Pod:
    """Its letter gives its address: a is .10, b is .20, and so on."""

    node: Node
    letter: str

    @property
    def name(self):
        return f"pod{self.node.number}{self.letter}"

    def address(self, family):
        number = 10 * (ord(self.letter) - ord("a") + 1)
        network = ipaddress.ip_network(self.node.pod_cidr(family))
        return str(network[number if family == 4 else int(str(number), 16)])

    def host_device(self, variant):
        """The name that the CNI would give; both match weir's default --pod-interface."""
        return ("cali" if variant.pods == "routed" else "veth") + f"{self.name}"


NODES = (Node(1), Node(2))
PODS = tuple(Pod(node, letter) for node in NODES for letter in "ab")
