# SPDX-License-Identifier: Apache-2.0
"""
Two nodes for each way to serve Services, with the addresses that the recorded rules of kube-proxy
are about. The ways have a network each and the same addresses in it:

    outside 192.0.2.2 --- 192.0.2.1 node1 198.51.100.1 --- 198.51.100.2 node2
                                      |                              |     |
                               pod1 10.244.1.2              pod2 10.244.2.10
                                                 back 10.244.2.2 to .5: all the endpoints there are

One namespace stands for the four pods of the endpoints. Rules do not depend on where endpoints are,
so a client on the same node as they is pod2, and the rules are loaded on both nodes as they are.
"""
import dataclasses
import os
import pathlib
import subprocess
import tempfile

import testcluster  # noqa: F401, before what is in it
import kubeproxy
from cluster import agent, cleanup, cluster, manifests, names, pods, shell, topology

PREFIX = "weirc"
NODE_ADDRESS = "192.0.2.1"
UPLINKS = {"node1": ("eth0", "eth1"), "node2": ("eth0",)}
PODS = {"pod1": ("node1", ["10.244.1.2"]), "pod2": ("node2", ["10.244.2.10"]),
        "back": ("node2", kubeproxy.BACKENDS)}
# No port is kept from its next use, and nobody paces.
SYSCTLS = {"net/ipv4/tcp_max_tw_buckets": 0, "net/ipv4/tcp_congestion_control": "reno"}
CPU = max(os.sched_getaffinity(0))


@dataclasses.dataclass(frozen=True)
class Way:
    """xdp: weir's --xdp, None without weir; rules: kube-proxy's; empty: programs without effect."""

    key: str
    xdp: str | None = None
    rules: str | None = None
    empty: bool = False

    @property
    def served(self):
        return bool(self.xdp or self.rules)

    @property
    def frames(self):
        """Its uplinks have an XDP program."""
        return self.empty or self.xdp == "native"


WEIR, WEIR_XDP = Way("weir", xdp="off"), Way("weir-xdp", xdp="native")
DIRECT, DIRECT_XDP = Way("direct"), Way("direct-xdp", empty=True)
NFT, IPT = Way("nft", rules="nft"), Way("ipt", rules="ipt")
WAYS = (WEIR, DIRECT, NFT, IPT, WEIR_XDP, DIRECT_XDP)


def node_object(name, address):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"addresses": [{"type": "InternalIP", "address": address}]}}


@dataclasses.dataclass(frozen=True)
class NodeName:
    name: str


class Agent(agent.Agent):
    def arguments(self):
        return ["run", *self.source, "--node-name", self.node.name,
                "--pin-path", self.pin_path, "--xdp", self.variant.xdp,
                "--service-cidr", "10.96.0.0/16", "--uplink", *UPLINKS[self.node.name]]


class TwoNodes:
    """The network of one way."""

    def __init__(self, field, way):
        self.field = field
        self.way = way
        self.agents = {}
        self.server = None

    def ns(self, part):
        return f"{self.field.id}-{self.way.key}-{part}"

    def build(self):
        for part in ("outside", "node1", "node2", *PODS):
            topology.add_namespace(self.ns(part), forwarding=part.startswith("node"))
            shell.sysctls(self.ns(part), SYSCTLS)
        self.join()
        for name, (node, addresses) in PODS.items():
            self.attach_pod(name, node, addresses)
        if self.way.frames:
            self.prepare_wires()
        if self.way.empty:
            self.attach_empty()
        if self.way.xdp:
            self.agents = {node: self.agent_of(node) for node in UPLINKS}
        self.server = subprocess.Popen(self.connector("back", "serve", str(kubeproxy.TARGET_PORT)))

    def join(self):
        shell.ip(self.ns("node1"),
                 f"link add eth0 type veth peer name eth0 netns {self.ns('outside')}",
                 f"link add eth1 type veth peer name eth0 netns {self.ns('node2')}",
                 f"address add {NODE_ADDRESS}/24 dev eth0", "address add 198.51.100.1/24 dev eth1",
                 "link set eth0 up", "link set eth1 up")
        shell.ip(self.ns("outside"), "address add 192.0.2.2/24 dev eth0", "link set eth0 up",
                 f"route add default via {NODE_ADDRESS}")
        shell.ip(self.ns("node2"), "address add 198.51.100.2/24 dev eth0", "link set eth0 up",
                 "route add default via 198.51.100.1")
        shell.ip(self.ns("node1"), "route add 10.244.0.0/16 via 198.51.100.2",
                 "route add default via 192.0.2.2")

    def attach_pod(self, name, node, addresses):
        device = f"cali{name}"
        shell.ip(self.ns(node), f"link add {device} type veth peer name eth0 netns {self.ns(name)}",
                 f"link set {device} address {pods.ROUTED_MAC} up",
                 *(f"route add {address}/32 dev {device}" for address in addresses))
        shell.sysctls(self.ns(node), {f"net/ipv4/conf/{device}/proxy_arp": 1,
                                      f"net/ipv4/neigh/{device}/proxy_delay": 0})
        shell.ip(self.ns(name), "link set eth0 up",
                 *(f"address add {address}/32 dev eth0" for address in addresses),
                 f"route add {pods.ROUTED_GATEWAY} dev eth0 scope link",
                 f"route add default via {pods.ROUTED_GATEWAY} dev eth0")

    def prepare_wires(self):
        """As topology.prepare_uplink() has it, at all ends."""
        for part, device in (("outside", "eth0"), ("node1", "eth0"), ("node1", "eth1"),
                             ("node2", "eth0")):
            shell.ethtool(self.ns(part), device, "gro", "on", "tx", "off")

    def attach_empty(self):
        for node, uplinks in UPLINKS.items():
            inside = shell.inside(self.ns(node))
            for device in uplinks:
                shell.run(*inside, "ip", "link", "set", "dev", device, "xdpdrv",
                          "pinned", f"{self.field.pins}/bench_empty_xdp")
            own_pods = [f"cali{name}" for name, (where, _) in PODS.items() if where == node]
            for device in (*uplinks, *own_pods):
                shell.run(*inside, "tc", "qdisc", "add", "dev", device, "clsact")
                for hook in ("ingress", "egress"):
                    shell.run(*inside, "tc", "filter", "add", "dev", device, hook, "bpf",
                              "direct-action", "object-pinned", f"{self.field.pins}/bench_empty_tc")

    def agent_of(self, node):
        return Agent(self.field.weir, self.ns(node), NodeName(node), self.field.manifests.path,
                     self.way, self.field.directory)

    def load(self, count):
        """Rules for so many Services in place of those that are there."""
        for node in UPLINKS if self.way.rules else ():
            kubeproxy.load(self.ns(node), self.way.rules, count)

    def connector(self, part, *words):
        """On one CPU with everything else, and not disturbed there."""
        return (*shell.inside(self.ns(part)), "setpriv", "--pdeathsig", "KILL",
                "taskset", "-c", str(CPU), "chrt", "-f", "1", self.field.connector, *words)

    def down(self):
        for each in self.agents.values():
            each.kill()
        if self.server:
            self.server.kill()
            self.server.wait()


class Field:
    """All ways' networks. Everything made here goes with it, whatever becomes of the process."""

    def __init__(self, weir, connector, programs, ways=WAYS):
        self.id = names.cluster_id(PREFIX)
        self.weir = weir
        self.connector = connector
        self.programs = programs
        self.directory = pathlib.Path(tempfile.gettempdir()) / f"{self.id}-files"
        self.pins = f"{names.BPFFS}/{self.id}-empty"
        self.networks = [TwoNodes(self, way) for way in ways]
        self.agents = []

    def up(self):
        cleanup.remove_stale(PREFIX)
        if not cluster.standing:
            cluster.handle_signals()
        cluster.standing.append(self)
        cluster.Cluster.mount_bpffs()
        self.manifests = manifests.Directory(self.directory / "manifests")
        self.manifests.put("nodes", node_object("node1", NODE_ADDRESS),
                           node_object("node2", "198.51.100.2"))
        shell.run("bpftool", "prog", "loadall", self.programs, self.pins)
        for network in self.networks:
            network.build()
        self.agents = [each for network in self.networks for each in network.agents.values()]
        return self

    def network(self, way):
        return next(each for each in self.networks if each.way is way)

    def load(self, count):
        """So many Services for every way; returns when all serve them."""
        self.manifests.put("services", *kubeproxy.objects(count, "node2"))
        for each in self.agents:
            if not each.running():
                each.start()
        for network in self.networks:
            network.load(count)
        for each in self.agents:
            each.wait_until(lambda: len(cluster.served(each)) == count, f"{count} services", 60)
            each.wait_until(lambda: f"services, node {each.node.name}" in each.log(), "start", 60)

    def down(self):
        if self in cluster.standing:
            cluster.standing.remove(self)
        for network in self.networks:
            network.down()
        cleanup.remove_cluster(self.id)

    def __enter__(self):
        return self.up()

    def __exit__(self, *_error):
        self.down()
