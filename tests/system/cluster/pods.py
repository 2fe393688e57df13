# SPDX-License-Identifier: Apache-2.0
"""Pods' network interfaces, as the two usual kinds of CNI plugin make them."""
from . import plan, shell, topology

BRIDGE = "cni0"
ROUTED_GATEWAY = "169.254.1.1"  # Calico's: on no device, answered by proxy ARP
ROUTED_MAC = "ee:ee:ee:ee:ee:ee"
ROUTED_LINK_LOCAL = "fe80::ecee:eeff:feee:eeee"


def build_bridge(namespace, node, variant):
    """With a MAC address of its own, as CNI plugins do: else a new port may change it under everybody."""
    shell.sysctl(namespace, **{"net__bridge__bridge-nf-call-iptables": variant.bridge_nf,
                               "net__bridge__bridge-nf-call-ip6tables": variant.bridge_nf})
    own = {family: node.bridge_address(family) for family in plan.FAMILIES}
    shell.ip(namespace,
             f"link add name {BRIDGE} address {node.bridge_mac} mtu 1500 type bridge forward_delay 0",
             *topology.addresses(BRIDGE, own, {4: 24, 6: 64}), f"link set {BRIDGE} up")


def attach(node_namespace, pod_namespace, pod, variant):
    device = pod.host_device(variant)
    topology.add_namespace(pod_namespace)
    mtu = variant.pod_mtu(pod.letter)
    shell.ip(node_namespace, f"link add {device} mtu {mtu} type veth peer name eth0 netns {pod_namespace}")
    shell.ip(pod_namespace, f"link set eth0 mtu {mtu} up")
    if variant.pods == "routed":
        attach_routed(node_namespace, pod_namespace, pod, device)
    else:
        attach_bridged(node_namespace, pod_namespace, pod, device)
    if not variant.offloads:
        for namespace, end in ((node_namespace, device), (pod_namespace, "eth0")):
            shell.ethtool(namespace, end, "tx", "off", "gro", "off")


def attach_routed(node_namespace, pod_namespace, pod, device):
    shell.ip(node_namespace, f"link set {device} address {ROUTED_MAC} up",
             f"route add {pod.address(4)}/32 dev {device}",
             f"route add {pod.address(6)}/128 dev {device}")
    shell.sysctls(node_namespace, {f"net/ipv4/conf/{device}/proxy_arp": 1,
                                   f"net/ipv4/neigh/{device}/proxy_delay": 0})
    shell.ip(pod_namespace, f"address add {pod.address(4)}/32 dev eth0",
             f"address add {pod.address(6)}/128 dev eth0 nodad",
             f"route add {ROUTED_GATEWAY} dev eth0 scope link",
             f"route add {topology.DEFAULT[4]} via {ROUTED_GATEWAY} dev eth0",
             f"route add {topology.DEFAULT[6]} via {ROUTED_LINK_LOCAL} dev eth0")


def attach_bridged(node_namespace, pod_namespace, pod, device):
    shell.ip(node_namespace, f"link set {device} master {BRIDGE} up")
    own = {family: pod.address(family) for family in plan.FAMILIES}
    gateway = {family: pod.node.bridge_address(family) for family in plan.FAMILIES}
    shell.ip(pod_namespace, *topology.addresses("eth0", own, {4: 24, 6: 64}),
             *topology.default_routes(gateway))


def detach(node_namespace, pod, variant):
    """Deletes the host end, as the CNI plugin's DEL does; the pod's end goes with it."""
    shell.ip(node_namespace, f"link del {pod.host_device(variant)}")
