# SPDX-License-Identifier: Apache-2.0
"""
Agents that only follow the API, each in a namespace of its own with one uplink and small tables, and
each behind a proxy of its own: many of them run at once.
"""
import dataclasses

from . import agent, apiproxy, shell, topology

FIRST_PORT = 7501
SMALL = ("--max-flows", "1024", "--max-half-open", "1024", "--max-affinities", "1024",
         "--max-slots", "65536", "--max-backends", "4096", "--max-services", "1024",
         "--socket-lb", "off", "--healthz-bind-address", "")


@dataclasses.dataclass(frozen=True)
class Solo:
    """A node's name and place on the segment."""

    number: int

    @property
    def name(self):
        return f"solo{self.number}"

    @property
    def addresses(self):
        return {4: f"10.90.0.{100 + self.number}", 6: f"fd90::{100 + self.number}"}

    def address(self, family):
        return self.addresses[family]


def build(running, node):
    namespace = running.ns(node.name)
    topology.add_namespace(namespace)
    shell.ip(running.ns("router"), f"link add {node.name} type veth peer name eth0 netns {namespace}",
             f"link set {node.name} master lan0 up")
    shell.ip(namespace, "link set eth0 up",
             *topology.addresses("eth0", node.addresses, topology.SEGMENT_LENGTH))


class Follower(agent.Agent):
    """start() needs no options; proxy is between it and the API server."""

    def __init__(self, running, node, tls=True):
        super().__init__(running.binary, running.ns(node.name), node, running.manifests.path,
                         running.variant, running.directory)
        self.proxy = apiproxy.Proxy(running.control, FIRST_PORT + node.number, tls).up()
        # Memory that was given back counts as used for a while, with AddressSanitizer.
        self.environment = {"ASAN_OPTIONS": "quarantine_size_mb=1"}
        self.follow(running.control.admin, self.proxy.url)
        running.agents[node.name] = self

    def start(self, *more, tracer=()):
        super().start(*SMALL, *more, tracer=tracer)

    def close(self):
        self.kill()
        self.proxy.close()

    def peak_memory(self):
        """VmHWM in bytes."""
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as status:
            line = next(line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) << 10
