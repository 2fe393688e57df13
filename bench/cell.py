# SPDX-License-Identifier: Apache-2.0
"""
The bench's cluster: the tests' own, with one node more for each way a packet may be forwarded. All
hang on the router alike, all send to the same backend behind node2, and none has a firewall unless
its way needs one.
"""
import contextlib
import dataclasses
import json
import os
import pathlib
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SOURCE / "tests/system"))

from cluster import agent, cluster, manifests, plan, services, shell, topology  # noqa: E402

PREFIX = "weirb"
VARIANT = plan.Variant.parse("routed-routes-xdp-native")
OFFER = services.Offer("bench", 1)
SERVICE = "default/bench"
BACKEND = plan.Pod(plan.NODES[1], "b")
FIRST_PORT, FLOWS = 20000, 1000

NFT = """
table ip nat {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    ip daddr {own} udp dport {port} dnat to {backend}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip daddr {pod} udp dport {target} masquerade
  }}
}}
"""


@dataclasses.dataclass(frozen=True)
class Way:
    """How a node forwards. xdp: weir's --xdp, None without weir; served: asked at the node port."""

    key: str
    title: str
    number: int
    xdp: str | None = None
    served: bool = True
    sink_xdp: bool = False  # the far end of its uplink takes frames, and makes no skb of them

    @property
    def node(self):
        return plan.Node(self.number)


XDP = Way("xdp", "weir, XDP", 1, "native")
XDP_WIRE = dataclasses.replace(XDP, key="xdp-wire", title="weir, XDP, far end in XDP",
                               sink_xdp=True)
TC = Way("tc", "weir, tc (--xdp off)", 3, "off")
PLAIN = Way("plain", "kernel forwarding, no translation", 4, served=False)
EMPTY = Way("empty", "kernel forwarding, empty XDP and tc programs", 5, served=False)
NAT = Way("nft", "nftables dnat and masquerade", 6)
END = Way("floor", "generator alone, dropped at the node's uplink", 7, served=False)
WAYS = (PLAIN, TC, XDP, XDP_WIRE, NAT, EMPTY, END)
BUILT = tuple(way for way in WAYS if not way.sink_xdp)  # each a node of its own


class Cell(cluster.Cluster):
    def __init__(self, binary, generator, programs):
        super().__init__(VARIANT, prefix=PREFIX, binary=binary)
        self.generator = generator
        self.programs = programs
        self.pins = f"/sys/fs/bpf/{self.id}-bench"

    def up(self):
        super().up()
        shell.run("bpftool", "prog", "loadall", self.programs, self.pins,
                  "pinmaps", f"{self.pins}/maps")
        for way in BUILT:
            self.build_way(way)
        self.agents = {way.key: self.agent_of(way) for way in BUILT if way.xdp}
        nodes = [way.node for way in BUILT] + [plan.NODES[1]]
        self.manifests.put("nodes", *(manifests.node(node) for node in nodes))
        services.publish_pods(self, bench=[BACKEND.name])
        services.publish(self, OFFER)
        return self

    def build_way(self, way):
        namespace = self.ns(way.node.name)
        if way.node not in plan.NODES:
            topology.build_node(self.ns, way.node, VARIANT)
            shell.ip(namespace, f"route add {BACKEND.node.pod_cidr(4)} via {BACKEND.node.address(4)}")
        shell.nft(namespace, "flush ruleset")
        shell.sysctl(namespace, net__ipv4__conf__all__send_redirects=0,
                     net__ipv4__conf__eth0__send_redirects=0)
        # Without NAPI of its own a veth takes no frames that XDP sends.
        shell.ethtool(namespace, "eth0", "gro", "on")
        if way is NAT:
            shell.nft(namespace, NFT.format(
                own=way.node.address(4), port=OFFER.node_port, pod=BACKEND.address(4),
                target=cluster.SERVER_PORT, backend=f"{BACKEND.address(4)}:{cluster.SERVER_PORT}"))
        if way in (EMPTY, END):
            self.attach_xdp(namespace, "bench_empty_xdp" if way is EMPTY else "bench_end")
        if way is EMPTY:
            self.attach_tc(namespace, "eth0", "ingress", "bench_empty_tc")
        self.attach_tc(self.ns("router"), way.node.name, "ingress", "bench_sink")

    def attach_xdp(self, namespace, program, device="eth0"):
        shell.run(*shell.inside(namespace), "ip", "link", "set", "dev", device, "xdpdrv",
                  "pinned", f"{self.pins}/{program}")

    @contextlib.contextmanager
    def far_end(self, way):
        """Every uplink's far end drops at tc; this one's in XDP, for a while."""
        if not way.sink_xdp:
            yield
            return
        self.attach_xdp(self.ns("router"), "bench_sink_xdp", way.node.name)
        try:
            yield
        finally:
            shell.run(*shell.inside(self.ns("router")), "ip", "link", "set", "dev",
                      way.node.name, "xdpdrv", "off")

    def attach_tc(self, namespace, device, hook, program):
        tc = (*shell.inside(namespace), "tc")
        shell.run(*tc, "qdisc", "add", "dev", device, "clsact")
        shell.run(*tc, "filter", "add", "dev", device, hook, "bpf", "direct-action",
                  "object-pinned", f"{self.pins}/{program}")

    def agent_of(self, way):
        variant = dataclasses.replace(VARIANT, xdp=way.xdp)
        return agent.Agent(self.binary, self.ns(way.node.name), way.node, self.manifests.path,
                           variant, self.directory)

    def wait_endpoints_of(self, *pods):
        wanted = {pod.address(family) for pod in pods for family in plan.FAMILIES}
        for each in self.agents.values():
            each.wait_until(lambda: each.endpoints(SERVICE) == wanted, f"endpoints {wanted}")

    def establish(self, way):
        """One question and answer in every flow, by sockets; the ways without a service need none."""
        target = {"proto": "udp", "address": way.node.address(4), "port": OFFER.node_port}
        asked = [target | {"source_port": FIRST_PORT + i, "timeout": 5.0} for i in range(FLOWS)]
        for first in range(0, FLOWS, 200):
            call = self.workers["client"].start("ask_all", questions=asked[first:first + 200])
            failed = [one for one in call.result(60) if one["error"]]
            if failed:
                raise RuntimeError(f"{way.title}: {len(failed)} flows not answered: {failed[0]}")

    def burst(self, way, flows, frames):
        """Seconds that the generator needed. It may not be disturbed, and ends by itself."""
        backend = (BACKEND.address(4), str(cluster.SERVER_PORT))
        aim = (way.node.address(4), str(OFFER.node_port)) if way.served else backend
        told = shell.run(
            *shell.inside(self.ns("router")), "taskset", "-c", str(max(os.sched_getaffinity(0))),
            "chrt", "-f", "1", self.generator, way.node.name, way.node.mac, plan.CLIENT[4],
            str(FIRST_PORT), str(flows), *aim, *backend, str(frames), timeout=60)
        return json.loads(told)["ns"] / 1e9
