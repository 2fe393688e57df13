# SPDX-License-Identifier: Apache-2.0
"""Names and words: what the report calls the ways, the cases and the parts, and says of them."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Way:
    title: str
    colour: str  # of plot.COLOURS
    dashed: bool = False


WAYS = {  # in the order in which they are shown
    "redirect-wire": Way("plain XDP redirect (the limit)", "grey"),
    "xdp-wire": Way("weir, XDP", "blue"),
    "redirect": Way("plain XDP redirect, into a socket buffer", "grey", True),
    "xdp": Way("weir, XDP, into a socket buffer", "sky", True),
    "plain": Way("plain kernel forwarding (the limit of tc)", "black"),
    "tc": Way("weir, tc", "green"),
    "direct": Way("direct to the pod (the limit)", "grey"),
    "weir": Way("weir", "blue"),
    "direct-xdp": Way("direct to the pod, empty XDP program", "grey", True),
    "weir-xdp": Way("weir, XDP", "sky"),
    "RapidJSON, bare": Way("RapidJSON's bare events", "grey"),
    "libyaml, bare": Way("libyaml's bare events", "black"),
    "nft": Way("kube-proxy, nftables", "red"),
    "ipt": Way("kube-proxy, iptables", "orange"),
    "floor": Way("generator alone", "grey", True),
    "kube-proxy nft (recorded)": Way("kube-proxy, nftables (recorded)", "red", True),
    "kube-proxy iptables (recorded)": Way("kube-proxy, iptables (recorded)", "orange", True),
}
PACKET_WAYS = {  # no wire is in it
    "xdp": Way("weir, XDP", "blue"),
    "reference xdp": Way("reference, XDP", "grey"),
    "parse+lookup xdp": Way("parse and one lookup, XDP", "grey", True),
    "tc": Way("weir, tc", "green"),
    "reference tc": Way("reference, tc", "black"),
    "parse+lookup tc": Way("parse and one lookup, tc", "black", True),
}


def known(part):
    return PACKET_WAYS if part == "packet" else WAYS


def way(part, key):
    return known(part).get(key, Way(key, "purple"))


def rank(part, key):
    """To sort by; ways that nobody told of come last."""
    order = list(known(part))
    return (order.index(key), "") if key in order else (len(order), key)


EACH = "endpoints / services"
NOUNS = {"flows": ("flow", "flows"), "services": ("Service", "Services"),
         "endpoints": ("endpoint", "endpoints")}


def case(key, value):
    if key == "family":
        return f"IPv{value}"
    if key == EACH:
        return f"{value:g} endpoints each"
    if key in NOUNS:
        return f"{value:,} {NOUNS[key][value != 1]}"
    return f"{key} {value:,}" if isinstance(value, int | float) else f"{key} {value}"


def cases(values):
    return ", ".join(case(key, value) for key, value in values.items())


def unit(key):
    return {"us": "µs"}.get(key, key)


@dataclasses.dataclass(frozen=True)
class Part:
    title: str
    what: str
    how: str
    compared: tuple = ()  # (way, other way)
    by_time: bool = False  # ratios say how many times the time; else how many times as fast


PARTS = {
    "packet": Part(
        "Nanoseconds per packet",
        "What weir's programs themselves take for one packet, without the kernel around them. The "
        "reference is a program of twenty lines that has no policy at all: it parses, looks the "
        "address up in a small table and the flow in a large one, and translates.",
        "Each program runs by BPF_PROG_TEST_RUN on one CPU. A small program rebuilds the packet's "
        "headers and picks a flow at random before each run, so that every packet is fresh and "
        "every one is translated. What an empty program takes in the same harness is subtracted.",
        (("xdp", "reference xdp"), ("tc", "reference tc"), ("xdp", "parse+lookup xdp"),
         ("tc", "parse+lookup tc"), ("tc", "xdp")), by_time=True),
    "node": Part(
        "Packets per second through a node",
        "How many 60-byte UDP packets per second get from a client to a remote backend by a node's "
        "port, and, beside weir, how many by kube-proxy's own rules, by plain kernel forwarding and "
        "by a program that redirects every packet and does nothing else.",
        "A generator, the node and the far end share one CPU and are joined by veth pairs, so the "
        "time of a burst divided by the packets that arrived, translated as they must be, is what "
        "all three take together. The far end takes packets by XDP as a network card would take "
        "them, or, said as “into a socket buffer”, by tc, for which veth has to allocate one.",
        (("xdp-wire", "redirect-wire"), ("xdp-wire", "nft"), ("xdp-wire", "ipt"),
         ("xdp-wire", "plain"), ("xdp", "redirect"), ("xdp", "nft"), ("xdp", "ipt"),
         ("xdp", "plain"), ("tc", "plain"), ("tc", "nft"), ("tc", "ipt"))),
    "connection": Part(
        "Connections",
        "Short TCP connections (connect, one request, one reply, close), requests on a kept "
        "connection, and bulk transfer, from a pod, from the node itself and from outside.",
        "Real sockets in network namespaces, with one client and one server pinned to CPUs. The "
        "limit is the same transfer straight to the pod. BPF time is what the kernel's own "
        "statistics say of all of weir's programs together, for one connection.",
        (("weir", "direct"), ("weir", "nft"), ("weir", "ipt"), ("weir-xdp", "direct-xdp"))),
    "control": Part(
        "Control plane",
        "How fast the node's tables follow the cluster: from an empty kernel to complete, and after "
        "one endpoint, one Service or a whole set of backends has changed; what that takes of "
        "memory and system calls.",
        "The agent reads generated manifests; what is published is seen from outside in its pinned "
        "tables. kube-proxy's figures were recorded earlier, from kube-proxy 1.36 with a real API "
        "server on two cores, and are no part of the run.",
        (("weir", "RapidJSON, bare"), ("weir", "libyaml, bare"))),
}
