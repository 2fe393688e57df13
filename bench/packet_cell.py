# SPDX-License-Identifier: Apache-2.0
"""Nodes for the packet bench: each a network namespace with weir on it and nobody at the other end."""
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import testcluster  # noqa: F401, before what is in it
from cluster import cleanup, names, shell

PREFIX = "weirp"
NODE_MAC, GATEWAY_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
NODE = {4: "10.90.0.1", 6: "fd90::1"}
GATEWAY = {4: "10.90.0.254", 6: "fd90::fe"}
# Of the service that is asked: one source address reaches each from 33,511 ports.
ASKED = {4: [f"10.244.2.{i}" for i in range(2, 18)],
         6: [f"fd00:244:0:2::{i:x}" for i in range(2, 18)]}
BACKENDS = {family: addresses[:4] for family, addresses in ASKED.items()}
DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}
LENGTH = {4: 24, 6: 64}
START_TIMEOUT = 120


def service(number, name, **spec):
    """One port, UDP; both families; cluster IPs by number, so that they stay when others join."""
    own = {4: f"10.{96 + number // 62500}.{number % 62500 // 250}.{1 + number % 250}",
           6: f"fd00:96::{number + 1:x}"}
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "bench"},
            "spec": {"type": "ClusterIP", "clusterIP": own[4], "clusterIPs": [own[4], own[6]],
                     "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"],
                     "ports": [{"name": "udp", "protocol": "UDP", "port": 80,
                                "targetPort": 8080}]} | spec}


def slices(name, backends=None):
    backends = backends or BACKENDS
    return [{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
             "metadata": {"name": f"{name}-{family}", "namespace": "bench",
                          "labels": {"kubernetes.io/service-name": name}},
             "addressType": f"IPv{family}",
             "ports": [{"name": "udp", "protocol": "UDP", "port": 8080}],
             "endpoints": [{"addresses": [address], "nodeName": "elsewhere",
                            "conditions": {"ready": True}} for address in backends[family]]}
            for family in (4, 6)]


NODE_PORT, AFFINITY_PORT, RANGES_PORT = 30000, 30001, 80
VIP = {4: "203.0.113.1", 6: "2001:db8:203::1"}


def objects(count):
    """count services; the first is the one asked, at its cluster IP and its node port."""
    made = []
    for number in range(count):
        node_port = {"type": "NodePort"} if number == 0 else {}
        one = service(number, f"s{number}", **node_port)
        if number == 0:
            one["spec"]["ports"][0]["nodePort"] = NODE_PORT
        made += [one, *slices(f"s{number}", backends=None if number else ASKED)]
    return made


def special():
    """Beyond the count: with session affinity, and with source ranges."""
    sticky = service(62400, "sticky", type="NodePort", sessionAffinity="ClientIP")
    sticky["spec"]["ports"][0]["nodePort"] = AFFINITY_PORT
    ranged = service(62401, "ranged", type="LoadBalancer", loadBalancerSourceRanges=[
        "198.18.0.0/15", "203.0.113.0/24", "10.0.0.0/8", "2001:db8::/32"])
    ranged["status"] = {"loadBalancer": {"ingress": [{"ip": ip} for ip in VIP.values()]}}
    return [sticky, *slices("sticky"), ranged, *slices("ranged")]


@dataclasses.dataclass
class Node:
    services: int
    namespace: str
    pins: str
    manifests: pathlib.Path
    process: subprocess.Popen | None = None


class Cell:
    """One node for each number of services."""

    def __init__(self, binary, counts):
        self.binary = binary
        self.id = names.cluster_id(PREFIX)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.id}-"))
        self.nodes = [Node(count, f"{self.id}-{count}", f"{names.BPFFS}/{self.id}-{count}",
                           self.directory / str(count)) for count in counts]

    def __enter__(self):
        cleanup.remove_stale(PREFIX)
        try:
            for node in self.nodes:
                self.build(node)
                self.start(node)
            for node in self.nodes:
                self.wait(node)
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self, node):
        name = node.namespace
        shell.run("ip", "netns", "add", name)
        shell.sysctls(name, {"net/ipv4/ip_forward": 1, "net/ipv6/conf/all/forwarding": 1,
                             "net/ipv6/conf/default/accept_dad": 0})
        shell.ip(name, "link set lo up",
                 f"link add eth0 address {NODE_MAC} type veth peer name wire address {GATEWAY_MAC}",
                 "link set eth0 up", "link set wire up")
        for family in (4, 6):
            shell.ip(name, f"address add {NODE[family]}/{LENGTH[family]} dev eth0",
                     f"neigh replace {GATEWAY[family]} lladdr {GATEWAY_MAC} dev eth0 nud permanent",
                     f"route add {DEFAULT[family]} via {GATEWAY[family]}")
        # XDP needs a peer with NAPI to redirect to.
        shell.ethtool(name, "wire", "gro", "on")
        node.manifests.mkdir()
        listed = {"apiVersion": "v1", "kind": "List", "items": objects(node.services) + special()}
        (node.manifests / "all.json").write_text(json.dumps(listed), encoding="utf-8")

    def start(self, node):
        # A port and a family each.
        room = max(4096, 4 * node.services)
        limits = ["--max-services", str(room), "--max-backends", str(4 * room),
                  "--max-slots", str(16 * room)]
        with open(self.directory / f"{node.services}.log", "wb") as log:
            node.process = subprocess.Popen(
                [*shell.inside(node.namespace), "setpriv", "--pdeathsig", "KILL", self.binary, "run",
                 "--manifests", str(node.manifests), "--node-name", "here", "--uplink", "eth0",
                 "--pin-path", node.pins, "--xdp", "native", *limits],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def log(self, node):
        return (self.directory / f"{node.services}.log").read_text(encoding="utf-8")

    def wait(self, node):
        end = time.monotonic() + START_TIMEOUT
        while "services, node here" not in self.log(node):
            if node.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"weir with {node.services} services: {self.log(node)[-2000:]}")
            time.sleep(0.05)

    def forget_flows(self, node):
        shell.run(*shell.inside(node.namespace), self.binary, "flow", "delete", "--all",
                  "--pin-path", node.pins)

    def __exit__(self, *_error):
        for node in self.nodes:
            if node.process:
                node.process.terminate()
                node.process.wait(20)
            if os.path.exists(node.pins):
                shell.run(*shell.inside(node.namespace), self.binary, "cleanup", "--pin-path",
                          node.pins, check=False)
            shell.run("ip", "netns", "del", node.namespace, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)
