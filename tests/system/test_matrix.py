# SPDX-License-Identifier: Apache-2.0
"""Every client place x frontend kind x backend place x family x protocol, and whom the server saw."""
import unittest

from cluster import base, conformance, expect, plan, services

PLACES = ("pod1a", "pod2a", "client")
PROTOCOLS = ("tcp", "udp")
BULK = 50_000_000

# What --xdp gives a veth.
MODE = {"off": None, "auto": "native", "native": "native", "generic": "generic"}

# One backend each, so that the place of the backend is known.
BACKENDS = {services.Offer("on-node1", 1): "pod1b", services.Offer("on-node2", 2): "pod2b"}


def setUpModule():
    base.require_root()


class Matrix(base.ClusterCase):
    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        services.publish_pods(cls.cluster, on_node1=["pod1b"], on_node2=["pod2b"])
        services.publish(cls.cluster, *BACKENDS)
        cls.cluster.start_agents()
        cls.cluster.wait_serving(*(offer.name for offer in BACKENDS))

    def cells(self):
        for offer, backend in BACKENDS.items():
            for frontend in offer.frontends:
                for family in plan.FAMILIES:
                    yield self.cluster.pods[backend], frontend, family

    def ask_cells(self, place, cells, rounds=5):
        """All cells of one client in one call."""
        asked = [(cell, proto) for cell in cells for proto in PROTOCOLS]
        questions = [{"proto": proto, "address": frontend.address[family], "port": frontend.port,
                      "rounds": rounds} for (_, frontend, family), proto in asked]
        answers = self.cluster.workers[place].call("ask_all", questions=questions, within=60)
        return zip(asked, answers)

    def check(self, place, cells):
        pod = self.cluster.pods.get(place)
        for ((backend, frontend, family), proto), answer in self.ask_cells(place, cells):
            with self.subTest(client=place, frontend=frontend.kind, backend=backend.name,
                              family=family, proto=proto):
                self.assertEqual((answer["error"], answer["pod"]), (None, backend.name))
                wanted = expect.sources(self.cluster.variant, pod, frontend, backend, family)
                self.assertIn(answer["peer"], wanted)

    def test_xdp_as_told(self):
        """On the uplink, and at work where nodes are joined by routes: XDP cannot enter a tunnel."""
        self.check("client", self.cells())
        for each in self.cluster.agents.values():
            mode = each.hooks("eth0").get("xdp")
            self.assertEqual(mode, MODE[self.cluster.variant.xdp])
            at_work = (mode is not None and self.cluster.variant.join == "routes"
                       and plan.XDP_SENDS_TO_VETH)
            self.assertEqual(each.counters().get("forward_xdp", 0) > 0, at_work)

    @conformance.rows("3.1/5", "3.1/11", "3.1/12", "3.2/pod-service-http", "3.2/pod-service-udp",
                      "3.2/secondary-pod-service")
    @conformance.rows("1.1/cluster-ip-clients", "1.1/node-port", "1.1/load-balancer", "1.1/ip-mode-vip",
                      "1.1/external-ips", "1.1/protocol-same-port", "1.2/external-cluster",
                      "2.1/pod-cluster-ip", "2.1/pod-external-cluster", "2.1/outside-cluster-ip",
                      "2.1/outside-external-cluster")
    def test_every_cell(self):
        for place in PLACES:
            self.check(place, self.cells())

    @conformance.rows("3.1/6", "3.2/endpoint-service-http", "3.2/endpoint-service-udp",
                      "3.2/secondary-endpoint-service")
    @conformance.rows("1.3/hairpin")
    def test_hairpin(self):
        for backend in BACKENDS.values():
            self.check(backend, [cell for cell in self.cells() if cell[0].name == backend])

    @conformance.rows("3.2/endpoint-service-http", "3.2/endpoint-service-udp",
                      "3.2/secondary-endpoint-service")
    def test_backends_are_clients_too(self):
        for backend in BACKENDS.values():
            self.check(backend, [cell for cell in self.cells() if cell[0].name != backend])

    def test_repeated(self):
        """A second connection finds neighbours resolved and takes the quick way where there is one."""
        for place in PLACES:
            self.check(place, self.cells())

    def test_same_source_port_again(self):
        """A client's closed connection does not stand in the way of its next one."""
        for backend, frontend, family in self.cells():
            for port in (4000, 4000, 4001):
                answer = self.cluster.ask("client", "udp", frontend.address[family], frontend.port,
                                          source_port=port)
                self.assertEqual((answer["error"], answer["pod"]), (None, backend.name))

    def bulk(self, place, direction, cells):
        for backend, frontend, family in cells:
            with self.subTest(client=place, frontend=frontend.kind, backend=backend.name,
                              family=family, direction=direction):
                done = self.cluster.workers[place].call(
                    "bulk", address=frontend.address[family], port=frontend.port, size=BULK,
                    direction=direction, timeout=20, within=30)
                self.assertEqual((done["error"], done["bytes"]), (None, BULK))

    def bulk_cells(self, *kinds):
        return [cell for cell in self.cells() if cell[1].kind in kinds]

    @conformance.rows("3.2/large-requests-http", "3.2/secondary-large-requests")
    def test_bulk_from_pod(self):
        for direction in ("up", "down"):
            self.bulk("pod1a", direction, self.bulk_cells("cluster IP"))

    @conformance.rows("3.2/large-requests-http", "3.2/secondary-large-requests")
    def test_bulk_from_outside(self):
        """
        Both backends through both nodes. Over the overlay this needs path MTU discovery: backends
        announce an MSS that the overlay cannot carry.
        """
        for direction in ("up", "down"):
            self.bulk("client", direction, self.bulk_cells("node port of node1", "node port of node2"))

    def test_nobody_was_dropped(self):
        self.check("client", self.cells())
        self.assertEqual(self.cluster.dropped(), {})

    def test_service_address_that_is_not_served(self):
        for family in plan.FAMILIES:
            free = services.address_in(plan.SERVICE_CIDR, 99)[family]
            for place in PLACES:
                answer = self.cluster.ask(place, "tcp", free, 80, timeout=0.5)
                self.assertIsNotNone(answer["error"])


if __name__ == "__main__":
    unittest.main()
