# SPDX-License-Identifier: Apache-2.0
"""The wires: the outside client, the router and its bridge, the nodes and what joins them."""
import pathlib

from . import firewall, plan, shell

# In every namespace, before any device: new devices copy conf/default.
HOST_SYSCTLS = {
    "net/ipv6/conf/all/accept_dad": 0,  # IPv6 addresses usable at once
    "net/ipv6/conf/default/accept_dad": 0,
    "net/ipv6/conf/default/accept_ra": 0,
    "net/ipv4/conf/all/rp_filter": 1,
    "net/ipv4/conf/default/rp_filter": 1,
}
DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}
FORWARDING = {"net/ipv4/ip_forward": 1, "net/ipv6/conf/all/forwarding": 1}


def add_namespace(namespace, forwarding=False):
    shell.run("ip", "netns", "add", namespace)
    shell.sysctls(namespace, HOST_SYSCTLS | (FORWARDING if forwarding else {}))
    shell.ip(namespace, "link set lo up")


def addresses(device, by_family, length):
    return [f"address add {by_family[f]}/{length[f]} dev {device} " + ("nodad" if f == 6 else "")
            for f in plan.FAMILIES]


def default_routes(by_family):
    return [f"route add {DEFAULT[f]} via {by_family[f]}" for f in plan.FAMILIES]


SEGMENT_LENGTH = {4: 24, 6: 64}


def build_router(ns):
    """ns: the namespace's name by part: ns("router")."""
    add_namespace(ns("router"), forwarding=True)
    add_namespace(ns("client"))
    shell.ip(ns("router"),
             f"link add client type veth peer name eth0 netns {ns('client')}",
             "link add name lan0 address 02:00:0a:5a:00:01 type bridge forward_delay 0",
             *addresses("client", plan.ROUTER_OUTSIDE, SEGMENT_LENGTH),
             *addresses("lan0", plan.ROUTER_INSIDE, SEGMENT_LENGTH),
             "link set client up", "link set lan0 up")
    shell.ip(ns("client"), *addresses("eth0", plan.CLIENT, SEGMENT_LENGTH), "link set eth0 up",
             *default_routes(plan.ROUTER_OUTSIDE))
    # The one module of all that are used here which no kernel loads by itself.
    if not pathlib.Path("/proc/sys/net/bridge").exists():
        shell.run("modprobe", "br_netfilter")
    # Segments of nodes that talk to each other are bridged, not looked at.
    shell.sysctl(ns("router"), **{"net__bridge__bridge-nf-call-iptables": 0,
                                  "net__bridge__bridge-nf-call-ip6tables": 0})


def build_node(ns, node, variant):
    add_namespace(ns(node.name), forwarding=True)
    shell.ip(ns("router"),
             f"link add {node.name} type veth peer name eth0 netns {ns(node.name)}",
             f"link set {node.name} master lan0 up")
    own = {family: node.address(family) for family in plan.FAMILIES}
    shell.ip(ns(node.name), f"link set eth0 address {node.mac} up",
             *addresses("eth0", own, SEGMENT_LENGTH), *default_routes(plan.ROUTER_INSIDE),
             *unreachable_services())
    prepare_uplink(ns("router"), node.name, variant)
    firewall.guard(ns(node.name))


def unreachable_services():
    """What weir leaves alone must not go round between node and router until its TTL is spent."""
    ranges = (plan.SERVICE_CIDR, plan.LOAD_BALANCER_POOL, plan.EXTERNAL_CIDR)
    return [f"route add unreachable {cidrs[family]}"
            for cidrs in ranges for family in plan.FAMILIES]


def prepare_uplink(router, port, variant):
    """
    A veth whose peer has no NAPI swallows what XDP sends; receive offload gives it one. XDP is
    handed a packet as its sender made it, and with checksum offload that is half a checksum: a
    wire would have completed it, so the port towards the node does.
    """
    if variant.xdp != "off":
        shell.ethtool(router, port, "gro", "on", "tx", "off")


def join_by_routes(ns, node, other):
    shell.ip(ns(node.name), *(f"route add {other.pod_cidr(f)} via {other.address(f)}"
                              for f in plan.FAMILIES))
    shell.ip(ns("router"), *(f"route add {node.pod_cidr(f)} via {node.address(f)}"
                             for f in plan.FAMILIES))


def join_by_vxlan(ns, node, other):
    for family in plan.FAMILIES:
        build_overlay(ns(node.name), node, other, family)
    firewall.masquerade(ns(node.name), node)


def build_overlay(namespace, node, other, family):
    """As flannel's vxlan backend: one device a family, everything static, no learning."""
    device = plan.OVERLAY_DEVICE[family]
    gateway = other.overlay_address(family)
    host = {4: 32, 6: 128}[family]
    nodad = "nodad" if family == 6 else ""
    shell.ip(namespace,
             f"link add name {device} address {node.overlay_mac(family)} mtu {plan.OVERLAY_MTU[family]} "
             f"type vxlan id 1 local {node.address(family)} dev eth0 dstport 8472 nolearning",
             f"link set {device} up",
             f"address add {node.overlay_address(family)}/{host} dev {device} {nodad}",
             f"neigh add {gateway} lladdr {other.overlay_mac(family)} dev {device} nud permanent",
             f"route add {other.pod_cidr(family)} via {gateway} dev {device} onlink")
    shell.run(*shell.inside(namespace), "bridge", "fdb", "append", other.overlay_mac(family),
              "dev", device, "dst", other.address(family))


def build_control(ns, own):
    """The API server's place: on the nodes' segment, and no node. own: its addresses by family."""
    namespace = ns("control")
    add_namespace(namespace)
    shell.ip(ns("router"), f"link add control type veth peer name eth0 netns {namespace}",
             "link set control master lan0 up")
    shell.ip(namespace, "link set eth0 up", *addresses("eth0", own, SEGMENT_LENGTH),
             *default_routes(plan.ROUTER_INSIDE))
