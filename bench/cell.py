# SPDX-License-Identifier: Apache-2.0
"""
A node for each way to forward packets, all with the addresses that the recorded rules of kube-proxy
are about, each alone on a wire to the same far end. That is the client's side and the backends' side
in one: it sends frames into the wire and counts what comes back.

    far end, port far-WAY ==veth== eth0 of WAY      192.0.2.1, and 198.51.100.1 towards the backends
"""
import contextlib
import dataclasses
import json
import os
import pathlib

import testcluster  # noqa: F401, before what is in it
import kubeproxy
from cluster import agent, cleanup, cluster, manifests, plan, shell, topology

PREFIX = "weirb"
FAR_MAC, NODE_MAC = "02:00:00:00:00:00", "02:00:c0:00:02:01"  # the first is the generator's own
NODE_ADDRESS, CLIENTS = "192.0.2.1", "198.18.0.0"
NEW_CLIENTS, NEW_FLOWS = "198.19.0.0/16", 65_536_000  # the number of their first flow
CPU = max(os.sched_getaffinity(0))
# As many source ports as kube-proxy's rules have, and flows that last as long as the measurement.
WEIR_OPTIONS = ("--socket-lb", "off", "--udp-timeout", "1h",
                "--source-port-range", "1024-29999", "--source-port-range", "32768-65535")
# A packet that another CPU sends would make that CPU work on the burst's.
QUIET = {"net/ipv6/conf/all/disable_ipv6": 1, "net/ipv6/conf/default/disable_ipv6": 1}
# Nothing that plain forwarding need not do: neighbours are known, sources are not looked up.
NODE_SYSCTLS = {"net/ipv4/conf/all/rp_filter": 0, "net/ipv4/conf/default/rp_filter": 0,
                "net/ipv4/conf/all/send_redirects": 0, "net/ipv4/conf/default/send_redirects": 0}
NODE = ("link set eth0 address " + NODE_MAC + " up",
        f"address add {NODE_ADDRESS}/24 dev eth0", "address add 198.51.100.1/24 dev eth0",
        f"neigh add 192.0.2.2 lladdr {FAR_MAC} dev eth0 nud permanent",
        f"neigh add 198.51.100.2 lladdr {FAR_MAC} dev eth0 nud permanent",
        "route add 198.18.0.0/15 via 192.0.2.2", "route add 10.244.0.0/16 via 198.51.100.2")
CONNTRACK_SYSCTLS = {"net/netfilter/nf_conntrack_udp_timeout": 3600,
                     "net/netfilter/nf_conntrack_udp_timeout_stream": 3600}
CONNTRACK_MAX, CONNTRACK_ROOM = pathlib.Path("/proc/sys/net/netfilter/nf_conntrack_max"), 262144


@dataclasses.dataclass(frozen=True)
class Way:
    """xdp: weir's --xdp; rules: kube-proxy's; program: of the bench, at the uplink's XDP."""

    key: str
    xdp: str | None = None
    rules: str | None = None
    program: str | None = None

    @property
    def sink_xdp(self):
        """The far end takes frames, and makes no skb of them."""
        return self.key.endswith("-wire")

    @property
    def node(self):
        return self.key.removesuffix("-wire")

    @property
    def name(self):
        return self.node

    @property
    def port(self):
        return f"far-{self.node}"

    @property
    def served(self):
        """Asked at the node port; else the pod is asked, and nothing is translated."""
        return bool(self.xdp or self.rules)


XDP, XDP_WIRE = Way("xdp", xdp="native"), Way("xdp-wire", xdp="native")
REDIRECT = Way("redirect", program="bench_redirect")
REDIRECT_WIRE = Way("redirect-wire", program="bench_redirect")
TC, PLAIN = Way("tc", xdp="off"), Way("plain")
NFT, IPT = Way("nft", rules="nft"), Way("ipt", rules="ipt")
FLOOR = Way("floor", program="bench_end")  # the generator alone
WAYS = (XDP_WIRE, REDIRECT_WIRE, XDP, REDIRECT, TC, PLAIN, NFT, IPT, FLOOR)
NODES = tuple(way for way in WAYS if not way.sink_xdp)


@dataclasses.dataclass(frozen=True)
class Traffic:
    """flows: their number; first: which is the first; random: not in turn."""

    flows: int
    frames: int
    first: int = 0
    random: bool = False


class Cell(cluster.Cluster):
    def __init__(self, binary, generator, programs):
        super().__init__(plan.Variant(), prefix=PREFIX, binary=binary)
        self.generator = generator
        self.programs = programs
        self.pins = f"/sys/fs/bpf/{self.id}-bench"
        self.services = 0

    def up(self):
        cleanup.remove_stale(self.prefix)
        if not cluster.standing:
            cluster.handle_signals()
        cluster.standing.append(self)
        self.mount_bpffs()
        self.manifests = manifests.Directory(self.directory / "manifests")
        shell.run("bpftool", "prog", "loadall", self.programs, self.pins,
                  "pinmaps", f"{self.pins}/maps")
        topology.add_namespace(self.far)
        shell.sysctls(self.far, QUIET)
        for way in NODES:
            self.build(way)
        self.agents = {way.node: self.agent_of(way) for way in NODES if way.xdp}
        self.manifests.put("nodes", *(node_object(way.name) for way in NODES if way.xdp))
        return self

    @property
    def far(self):
        return self.ns("far")

    def build(self, way):
        namespace = self.ns(way.node)
        topology.add_namespace(namespace, forwarding=True)
        shell.sysctls(namespace, QUIET | NODE_SYSCTLS | (CONNTRACK_SYSCTLS if way.rules else {}))
        shell.ip(self.far, f"link add {way.port} address {FAR_MAC} type veth "
                           f"peer name eth0 netns {namespace}", f"link set {way.port} up")
        shell.ip(namespace, *NODE)
        # Without NAPI of its own a veth takes no frames that XDP sends.
        shell.ethtool(namespace, "eth0", "gro", "on")
        shell.ethtool(self.far, way.port, "gro", "on", "tx", "off")
        if way.program:
            self.attach_xdp(namespace, "eth0", way.program)
        shell.run(*shell.inside(self.far), "tc", "qdisc", "add", "dev", way.port, "clsact")
        self.attach_tc(way, "bench_sink")

    def attach_xdp(self, namespace, device, program):
        how = ("pinned", f"{self.pins}/{program}") if program else ("off",)
        shell.run(*shell.inside(namespace), "ip", "link", "set", "dev", device, "xdpdrv", *how)

    def attach_tc(self, way, program):
        """At the far end, instead of what is there."""
        shell.run(*shell.inside(self.far), "tc", "filter", "replace", "dev", way.port, "ingress",
                  "pref", "1", "handle", "1", "bpf", "direct-action",
                  "object-pinned", f"{self.pins}/{program}")

    @contextlib.contextmanager
    def far_end(self, way):
        """Every far end drops at tc; this one's in XDP, for a while."""
        if not way.sink_xdp:
            yield
            return
        self.attach_xdp(self.far, way.port, "bench_sink_xdp")
        try:
            yield
        finally:
            self.attach_xdp(self.far, way.port, None)

    @contextlib.contextmanager
    def mirror(self, way):
        """The far end answers for the backends, for a while."""
        self.attach_tc(way, "bench_mirror")
        try:
            yield
        finally:
            self.attach_tc(way, "bench_sink")

    def agent_of(self, way):
        variant = dataclasses.replace(self.variant, xdp=way.xdp)
        return agent.Agent(self.binary, self.ns(way.node), way, self.manifests.path, variant,
                           self.directory)

    def serve(self, services):
        """The same Services, by weir and by kube-proxy's rules."""
        if services == self.services:
            return
        self.services = services
        self.manifests.put("services", *kubeproxy.objects(services))
        for way in NODES:
            if way.rules and kubeproxy.has(way.rules, services):
                kubeproxy.load(self.ns(way.node), way.rules, services)
        for each in self.agents.values():
            if not each.running():
                each.start(*WEIR_OPTIONS)
        for each in self.agents.values():
            each.wait_until(lambda: len(cluster.served(each)) == services, f"{services} services")

    def forget_new(self, way):
        """So that the next new connections find the room that these found."""
        if way.xdp:
            self.agents[way.node].weir("flow", "delete", "--state", "half", timeout=60)
        if way.rules:
            shell.run(*shell.inside(self.ns(way.node)), "conntrack", "-D", "-s", NEW_CLIENTS,
                      check=False, timeout=60)

    def burst(self, way, traffic):
        """Seconds that all frames took. The generator may not be disturbed, and ends by itself."""
        asked = NODE_ADDRESS if way.served else kubeproxy.BACKENDS[0]
        port = kubeproxy.FIRST_NODE_PORT if way.served else kubeproxy.TARGET_PORT
        told = shell.run(
            *shell.inside(self.far), "taskset", "-c", str(CPU), "chrt", "-f", "1", self.generator,
            "--device", way.port, "--mac", NODE_MAC, "--source", CLIENTS, "--address", asked,
            "--port", str(port), "--backend", kubeproxy.BACKENDS[0],
            "--backends", str(len(kubeproxy.BACKENDS)), "--backend-port", str(kubeproxy.TARGET_PORT),
            "--first", str(traffic.first), "--flows", str(traffic.flows),
            "--frames", str(traffic.frames), *(["--random"] if traffic.random else []), timeout=60)
        return json.loads(told)["ns"] * traffic.frames / 1e9


def node_object(name):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"addresses": [{"type": "InternalIP", "address": NODE_ADDRESS}]}}


@contextlib.contextmanager
def conntrack_room():
    """Of the whole machine, and restored: no network namespace may have more."""
    if not CONNTRACK_MAX.exists():
        shell.run("modprobe", "nf_conntrack")
    before = int(CONNTRACK_MAX.read_text(encoding="ascii"))
    CONNTRACK_MAX.write_text(str(max(before, CONNTRACK_ROOM)), encoding="ascii")
    try:
        yield
    finally:
        CONNTRACK_MAX.write_text(str(before), encoding="ascii")
