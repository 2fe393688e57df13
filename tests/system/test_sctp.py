# SPDX-License-Identifier: Apache-2.0
"""
SCTP from place to place: associations and messages by raw sockets. Every node's conntrack checks the
checksums and tags of what it sees, and drops what it calls invalid.
"""
import itertools
import os
import unittest

from cluster import base, conformance, expect, plan, sctp, services, shell

NODE1, NODE2 = plan.NODES
TARGET = 3868  # neither the port of any frontend nor that of a TCP server
BACKENDS = {services.Offer("on-node1", 1): "pod1b", services.Offer("on-node2", 2): "pod2b"}
ON_NODE1, ON_NODE2 = BACKENDS
EMPTY = services.Offer("empty", 3)
DEAF = services.Offer("deaf", 4)  # no socket there: its kernel does not know the protocol
PLACES = ("pod1a", "pod2a", "client")
SOME = 100  # bytes
LARGE = 65000
WIDE_MTU = 65535
# Of RFC 792 and RFC 4443, as Linux hands them to a socket: protocol, and next header, unknown.
UNKNOWN_PROTOCOL = {4: "ENOPROTOOPT", 6: "EPROTO"}
NO_ICMP_LIMIT = {"net/ipv4/icmp_ratelimit": 0, "net/ipv6/icmp/ratelimit": 0}
source_ports = itertools.count(20000)  # conntrack must not know an association from before


def setUpModule():
    base.require_root()


class Sctp(base.ClusterCase):
    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        cls.cluster.add_pod(plan.Pod(NODE1, "c"))
        shell.sysctls(cls.cluster.ns("pod1c"), NO_ICMP_LIMIT)
        services.publish_pods(cls.cluster, on_node1=["pod1b"], on_node2=["pod2b"], deaf=["pod1c"])
        for offer in (*BACKENDS, EMPTY, DEAF):
            ports = offer.ports("SCTP", target=TARGET, node_port=offer.node_port)
            services.publish(cls.cluster, offer, ports=ports)
        cls.cluster.add_worker(NODE1.name)
        for pod in BACKENDS.values():
            cls.cluster.workers[pod].call("sctp_serve", name=pod, port=TARGET)
        cls.cluster.start_agents()
        cls.cluster.wait_serving("on-node1", "on-node2", "empty", "deaf")

    def setUp(self):
        self.dropped_before = self.cluster.dropped()

    def tearDown(self):
        self.assertEqual(self.cluster.dropped(), self.dropped_before)

    def ask(self, place, frontend, family, size=SOME, source_port=None):
        return self.cluster.workers[place].call(
            "sctp_ask", address=frontend.address[family], port=frontend.port,
            source_port=source_port or next(source_ports), size=size)

    def reaches(self, place, offer, frontend, family, size=SOME):
        backend = self.cluster.pods[BACKENDS[offer]]
        with self.subTest(client=place, frontend=frontend.kind, backend=backend.name, family=family):
            answer = self.ask(place, frontend, family, size)
            self.assertEqual((answer["error"], answer.get("wrong"), answer.get("pod")),
                             (None, [], backend.name))
            self.assertIn(answer["peer"], expect.sources(
                self.cluster.variant, self.cluster.pods.get(place), frontend, backend, family))

    @conformance.rows("1.1/protocol-sctp", "3.2/pod-service-sctp", "3.2/secondary-pod-service-sctp")
    def test_every_cell(self):
        for place in PLACES:
            for offer in BACKENDS:
                for frontend in offer.frontends:
                    for family in plan.FAMILIES:
                        self.reaches(place, offer, frontend, family)
        for each in self.cluster.agents.values():
            self.assertGreater(each.counters().get("pass_to_tc_packet", 0), 0)
        self.assertFalse(os.path.exists("/proc/net/sctp"))

    @conformance.rows("1.1/protocol-sctp")
    def test_hairpin(self):
        for offer, pod in BACKENDS.items():
            for frontend in offer.frontends:
                for family in plan.FAMILIES:
                    self.reaches(pod, offer, frontend, family)

    @conformance.rows("1.1/protocol-sctp")
    def test_no_endpoint_refuses(self):
        """In the name of the address that was asked, about the very ports."""
        for place in PLACES:
            for frontend in EMPTY.frontends:
                for family in plan.FAMILIES:
                    self.fails_with("ECONNREFUSED", place, frontend, family)

    @conformance.rows("1.1/protocol-sctp")
    def test_a_deaf_backends_own_error_comes_back(self):
        for place in PLACES:
            for frontend in DEAF.frontends:
                for family in plan.FAMILIES:
                    self.fails_with(UNKNOWN_PROTOCOL[family], place, frontend, family)

    def fails_with(self, error, place, frontend, family):
        with self.subTest(client=place, frontend=frontend.kind, family=family):
            own, address = next(source_ports), frontend.address[family]
            answer = self.ask(place, frontend, family, source_port=own)
            self.assertEqual(answer, {"error": error, "from": address,
                                      "about": [address, own, frontend.port]})

    @conformance.rows("1.1/protocol-sctp")
    def test_large_messages(self):
        """The checksum's difference depends on how long a packet is: as long as IP can have it."""
        for pod in ("pod1a", "pod1b"):
            device = self.cluster.pods[pod].host_device(self.cluster.variant)
            shell.ip(self.cluster.ns("node1"), f"link set {device} mtu {WIDE_MTU}")
            shell.ip(self.cluster.ns(pod), f"link set eth0 mtu {WIDE_MTU}")
        for family in plan.FAMILIES:
            for size in (9000, LARGE, LARGE + 3):
                self.reaches("pod1a", ON_NODE1, ON_NODE1.cluster_ip, family, size)

    @conformance.rows("1.1/protocol-sctp")
    def test_other_ports_are_the_nodes_own(self):
        """A socket of the node gets what is sent to it, as it was sent, and nothing of a service's."""
        client, node = self.cluster.workers["client"], self.cluster.workers["node1"]
        for family in plan.FAMILIES:
            for port, wanted in ((TARGET, None), (ON_NODE1.node_port, "timeout")):
                with self.subTest(family=family, port=port):
                    init = sctp.init(sctp.INIT_TYPE, next(source_ports), port, 0, sctp.tag()).hex()
                    node.call("raw_open", name="sctp", family=family, proto=sctp.PROTOCOL)
                    client.call("raw_send", address=NODE1.address(family), proto=sctp.PROTOCOL,
                                data=init)
                    read = node.call("raw_read", name="sctp", timeout=0.1 if wanted else 1)
                    node.call("raw_close", name="sctp")
                    self.assertEqual(read["error"], wanted)
                    if not wanted:
                        self.assertEqual((read["data"], read["from"]), (init, plan.CLIENT[family]))


if __name__ == "__main__":
    unittest.main()
