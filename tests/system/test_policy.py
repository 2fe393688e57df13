# SPDX-License-Identifier: Apache-2.0
"""Traffic policies: who is reached, whom the server sees, and what is dropped or refused."""
import dataclasses
import unittest

from cluster import base, conformance, expect, plan, services

NODE1, NODE2 = plan.NODES
EXTERNAL = services.Offer("external", 11)  # externalTrafficPolicy: Local, one pod on node1
INTERNAL = services.Offer("internal", 12)  # internalTrafficPolicy: Local, one pod on node1
SPREAD = services.Offer("spread", 13)  # externalTrafficPolicy: Local, a pod on each node
EMPTY = services.Offer("empty", 14)  # no pod
PROTOCOLS = ("tcp", "udp")

# Seconds. On one machine the answer to a SYN may come back within connect() itself, and the kernel
# passes over an ICMP error while the socket is busy: the next SYN, a second later, is refused.
PATIENCE = {"timeout": 0.7, "refused": 3.5}


def setUpModule():
    base.require_root()


class Policy(base.ClusterCase):
    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        cls.cluster.add_pod(plan.Pod(NODE1, "c"))
        cls.cluster.add_pod(plan.Pod(NODE2, "c"))
        cls.cluster.add_pod(plan.Pod(NODE1, "d"))
        services.publish_pods(cls.cluster, external=["pod1b"], internal=["pod1d"],
                              spread=["pod1c", "pod2c"])
        services.publish(cls.cluster, EXTERNAL, SPREAD, externalTrafficPolicy="Local")
        services.publish(cls.cluster, INTERNAL, internalTrafficPolicy="Local")
        services.publish(cls.cluster, EMPTY)
        cls.cluster.start_agents()
        cls.cluster.wait_serving("external", "internal", "spread", "empty")

    def ask(self, place, frontend, times=1, timeout=2.0):
        """(family, protocol, answer) of each question, all of them asked at once."""
        kinds = [(family, proto) for family in plan.FAMILIES for proto in PROTOCOLS] * times
        questions = [{"proto": proto, "address": frontend.address[family], "port": frontend.port,
                      "timeout": timeout} for family, proto in kinds]
        answers = self.cluster.workers[place].call("ask_all", questions=questions, within=60)
        return [(*kind, answer) for kind, answer in zip(kinds, answers)]

    def reached(self, place, frontend, *pods, times=1):
        """Each of these pods, no other, and by the client's own address."""
        seen = set()
        for family, proto, answer in self.ask(place, frontend, times):
            with self.subTest(client=place, frontend=frontend.kind, family=family, proto=proto):
                self.assertIsNone(answer["error"])
                own = self.cluster.pods[place].address(family) if place in self.cluster.pods else None
                self.assertEqual(answer["peer"], own or plan.CLIENT[family])
                seen.add(answer["pod"])
        self.assertEqual(seen, set(pods), f"{place} to {frontend.kind}")

    def fails(self, place, frontend, how):
        for family, proto, answer in self.ask(place, frontend, timeout=PATIENCE[how]):
            with self.subTest(client=place, frontend=frontend.kind, family=family, proto=proto):
                self.assertEqual(answer["error"], how)

    def route(self, frontend, node):
        for family, length in ((4, 32), (6, 128)):
            self.cluster.route(f"{frontend.address[family]}/{length}", node)

    @conformance.rows("3.2/esipp-load-balancer-source-ip", "3.2/esipp-node-port-source-ip")
    @conformance.rows("1.1/external-ips-policy", "1.2/external-local", "1.3/drop-local",
                      "2.1/outside-external-local")
    def test_external_local_only_through_the_pods_node(self):
        self.reached("client", EXTERNAL.node_port_of(NODE1), "pod1b")
        self.fails("client", EXTERNAL.node_port_of(NODE2), "timeout")
        for frontend in (EXTERNAL.load_balancer, EXTERNAL.external_ip):
            self.route(frontend, NODE1)
            self.reached("client", frontend, "pod1b")
            self.route(frontend, NODE2)
            self.fails("client", frontend, "timeout")

    @conformance.rows("3.2/esipp-pods")
    @conformance.rows("1.2/external-local-pods", "1.2/external-local-own-node-port",
                      "2.1/pod-external-local")
    def test_external_local_does_not_bind_pods_nor_cluster_ips(self):
        for place in ("pod1a", "pod2a"):
            for frontend in (EXTERNAL.cluster_ip, EXTERNAL.load_balancer, EXTERNAL.external_ip):
                self.reached(place, frontend, "pod1b")
        self.reached("pod2a", EXTERNAL.node_port_of(NODE2), "pod1b")

    @conformance.rows("1.2/external-local-other-node-port")
    def test_external_local_binds_pods_at_another_nodes_port(self):
        self.fails("pod1a", EXTERNAL.node_port_of(NODE2), "timeout")
        pods = {answer["pod"] for *_, answer in self.ask("pod2a", EXTERNAL.node_port_of(NODE1))}
        self.assertEqual(pods, {"pod1b"})

    @conformance.rows("3.2/esipp-node-port-source-ip", "3.2/esipp-pods")
    @conformance.rows("1.2/external-local", "2.1/outside-external-local")
    def test_external_local_keeps_to_each_nodes_own_pods(self):
        self.reached("client", SPREAD.node_port_of(NODE1), "pod1c", times=20)
        self.reached("client", SPREAD.node_port_of(NODE2), "pod2c", times=20)
        self.reached("pod1a", SPREAD.cluster_ip, "pod1c", "pod2c", times=20)
        self.reached("pod1a", SPREAD.load_balancer, "pod1c", "pod2c", times=20)

    @conformance.rows("3.1/34")
    @conformance.rows("1.2/internal-local", "1.2/internal-local-silence", "1.2/internal-local-external",
                      "2.1/pod-cluster-ip-internal-local", "2.1/pod-external-internal-local",
                      "2.1/outside-cluster-ip-internal-local")
    def test_internal_local(self):
        self.reached("pod1a", INTERNAL.cluster_ip, "pod1d")
        self.fails("pod2a", INTERNAL.cluster_ip, "timeout")
        self.reached("pod2a", INTERNAL.load_balancer, "pod1d")
        self.reached("pod2a", INTERNAL.node_port_of(NODE2), "pod1d")
        self.reached("client", INTERNAL.cluster_ip, "pod1d")  # the router sends it to node1

    @conformance.rows("1.2/internal-local-external", "2.1/outside-external-internal-local")
    def test_internal_local_does_not_bind_the_outside(self):
        """Its only pod is on node1: through node2 it sees that node, through node1 the client."""
        backend = self.cluster.pods["pod1d"]
        for frontend in (INTERNAL.load_balancer, INTERNAL.node_port_of(NODE1),
                         INTERNAL.node_port_of(NODE2)):
            for family, proto, answer in self.ask("client", frontend):
                with self.subTest(frontend=frontend.kind, family=family, proto=proto):
                    self.assertEqual((answer["error"], answer["pod"]), (None, backend.name))
                    wanted = expect.sources(self.cluster.variant, None, frontend, backend, family)
                    self.assertIn(answer["peer"], wanted)

    @conformance.rows("3.1/32")
    @conformance.rows("1.3/reject", "1.3/reject-connect")
    def test_no_endpoint_refuses(self):
        for place in ("pod1a", "client"):
            for frontend in EMPTY.frontends:
                self.fails(place, frontend, "refused")

    @conformance.rows("1.1/cluster-ip-unknown-port")
    def test_unknown_port_of_a_service_address_refuses(self):
        for place in ("pod1a", "client"):
            for frontend in (EXTERNAL.cluster_ip, SPREAD.load_balancer):
                self.fails(place, dataclasses.replace(frontend, port=81), "refused")


if __name__ == "__main__":
    unittest.main()
