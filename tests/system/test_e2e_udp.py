# SPDX-License-Identifier: Apache-2.0
"""
Clients that keep one source port while their backends come and go, after upstream's
test/e2e/network/conntrack.go and the UDP tests of loadbalancer.go.
"""
import unittest

from cluster import base, conformance, firewall, plan, scene, services

NODE1, NODE2 = plan.NODES
NODES = ("node1", "node2")
UDP = {"protocols": ("udp",), "keep_port": True}
STRAY_PORT = 8001  # of a backend, in no connection


def setUpModule():
    base.require_root()


class OneSourcePort(scene.Scene):
    @classmethod
    def prepare(cls):
        super().prepare()
        cls.cluster.add_pod(plan.Pod(NODE1, "c"))

    def cycle(self, offer, *steps):
        """steps: (pods, outcome, places, frontends); what a place expects elsewhere is not asked."""
        for number, (pods, wanted, places, frontends) in enumerate(steps):
            with self.subTest(step=number, pods=pods):
                self.back(offer, *pods)
                self.becomes(wanted, places, *frontends, **UDP)

    @conformance.rows("3.2/conntrack-node-port", "3.2/conntrack-cluster-ip",
                      "3.2/conntrack-host-client", "3.2/lb-udp-other-node", "3.2/lb-udp-same-node")
    def test_backends_come_and_go(self):
        """From none to some to none again; to another node's pod, and to another of the same node."""
        offer = services.Offer("cycles", 61)
        self.put(offer.name, offer.manifest())
        everywhere = (*scene.EVERYWHERE, "node2")
        self.cycle(offer, *((pods, wanted, everywhere, offer.frontends) for pods, wanted in (
            ((), "refused"), (("pod1b",), "pod1b"), (("pod2b",), "pod2b"), (("pod1c",), "pod1c"),
            (("pod1b",), "pod1b"), ((), "refused"), (("pod2b",), "pod2b"))))

    @conformance.rows("3.2/conntrack-cluster-ip-internal-local")
    def test_internal_local(self):
        """What was sent while the only endpoint was elsewhere stands in nobody's way afterwards."""
        offer = services.Offer("cycles-local", 62)
        self.put(offer.name, offer.manifest(internalTrafficPolicy="Local"))
        on_node1, on_node2 = ("pod1a", "node1"), ("pod2a", "node2")
        frontends = [offer.cluster_ip]
        for pods, there, here in ((("pod2b",), "pod2b", "timeout"), (("pod1b",), "timeout", "pod1b"),
                                  (("pod2b",), "pod2b", "timeout"), (("pod1c", "pod2b"), "pod2b", "pod1c"),
                                  ((), "refused", "refused"), (("pod1b", "pod2b"), "pod2b", "pod1b")):
            self.cycle(offer, (pods, there, on_node2, frontends), (pods, here, on_node1, frontends))

    @conformance.rows("3.2/conntrack-initially-unready")
    def test_endpoint_that_is_not_ready_at_first(self):
        offer = services.Offer("unready-first", 63)
        self.back(offer, "pod1b", ready=False)
        # Before the service is there at all, the address is nobody's.
        self.unserved(scene.EVERYWHERE, offer.cluster_ip, **UDP)
        self.put(offer.name, offer.manifest())
        self.becomes("refused", scene.EVERYWHERE, *offer.frontends, **UDP)
        self.back(offer, "pod1b")
        self.becomes("pod1b", scene.EVERYWHERE, *offer.frontends, **UDP)
        self.back(offer, "pod1b", ready=False)
        self.becomes("refused", scene.EVERYWHERE, *offer.frontends, **UDP)
        self.back(offer, "pod1b")
        self.becomes("pod1b", scene.EVERYWHERE, *offer.frontends, **UDP)

    @conformance.rows("3.2/conntrack-cluster-ip", "3.2/conntrack-node-port")
    def test_a_terminating_backend_keeps_its_clients(self):
        """It serves still, so its flows are not taken from it; new ones go elsewhere."""
        offer = services.Offer("draining", 64)
        self.serve(offer, "pod1b")
        self.becomes("pod1b", scene.EVERYWHERE, *offer.frontends, **UDP)
        self.put("draining-pods", self.backend(offer, "pod1b", terminating=True),
                 self.backend(offer, "pod2b"))
        self.becomes("pod2b", scene.EVERYWHERE, *offer.frontends, protocols=("udp",))
        packets = ("pod1a", "pod2a", "client")  # a process's new socket is a new client
        self.becomes("pod1b", packets, *offer.frontends, **UDP)
        self.back(offer, "pod2b")
        self.becomes("pod2b", packets, *offer.frontends, **UDP)

    @conformance.rows("3.2/conntrack-invalid-packets")
    def test_a_stray_segment_resets_nothing(self):
        """
        A backend sends what is out of every window of its connection. If it came to the client
        with the backend's own address, the client's answer, a RST, would end the connection.
        """
        self.admit_invalid()
        offer = services.Offer("stray", 65)
        self.serve(offer, "pod2b")
        self.becomes("pod2b", ("client", "pod1a"), *offer.frontends, protocols=("tcp",))
        for place in ("client", "pod1a"):
            # A pod's way to the other node's port may be masqueraded, and not by weir.
            for frontend in offer.frontends if place == "client" else offer.frontends[:-1]:
                for family in plan.FAMILIES:
                    with self.subTest(client=place, frontend=frontend.kind, family=family):
                        self.stray(place, frontend, family)

    def admit_invalid(self):
        for node in NODES:
            firewall.admit_invalid(self.cluster.ns(node))
            self.addCleanup(firewall.admit_invalid, self.cluster.ns(node), False)

    def stray(self, place, frontend, family):
        client, server = self.cluster.workers[place], self.cluster.workers["pod2b"]
        client.call("socket_open", name="kept", proto="tcp", address=frontend.address[family],
                    port=frontend.port)
        answer = client.call("socket_ask", name="kept", proto="tcp")
        resets, received = self.tcp(client, "OutRsts"), self.tcp(client, "InSegs")
        server.call("stray_segment", address=answer["peer"], port=answer["peer_port"],
                    source_port=8000)
        self.assertTrue(self.soon(lambda: self.tcp(client, "InSegs") > received), "did not arrive")
        self.assertEqual(client.call("socket_ask", name="kept", proto="tcp")["error"], None)
        self.assertEqual(self.tcp(client, "OutRsts"), resets)
        client.call("socket_close", name="kept")

    @staticmethod
    def tcp(worker, counter):
        return worker.call("tcp_counter", name=counter)

    @conformance.rows("3.2/conntrack-invalid-packets")
    def test_a_strangers_segment_is_reset(self):
        """What the test above counts is there to be counted."""
        self.admit_invalid()
        client, server = self.cluster.workers["pod1a"], self.cluster.workers["pod2b"]
        for family in plan.FAMILIES:
            with self.subTest(family=family):
                before = self.tcp(client, "OutRsts")
                server.call("stray_segment", address=self.cluster.pods["pod1a"].address(family),
                            port=40000, source_port=STRAY_PORT)
                self.assertTrue(self.soon(lambda: self.tcp(client, "OutRsts") > before))


if __name__ == "__main__":
    unittest.main()
