# SPDX-License-Identifier: Apache-2.0
"""The three example Services, as they stand, beside pods that their selector takes."""
import collections
import pathlib
import unittest

from cluster import base, client, conformance, plan, services

EXAMPLES = sorted((pathlib.Path(__file__).parents[1] / "data/manifests").glob("*.yaml"))
NODE1, NODE2 = plan.NODES
WEB = {"type": "web"}
TIMES = 40  # both of two pods answer, but for one chance in 10^12


def setUpModule():
    base.require_root()


class Examples(base.ClusterCase):
    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        cls.cluster.manifests.put("pods", *services.pod_objects(cls.cluster, pod1b=WEB, pod2b=WEB))
        for example in EXAMPLES:
            cls.cluster.manifests.copy(example)
        cls.cluster.start_agents()
        cls.cluster.wait_serving("svc-1", "svc-2", "svc-3")
        cls.agent = cls.cluster.agents["node1"]

    def frontend(self, service, kind):
        return self.agent.frontends(f"default/{service}")[kind, 4, "tcp"]

    def balanced(self, place, address, port):
        """Both pods answer; returns whom each saw."""
        questions = [{"proto": "tcp", "address": address, "port": port}] * TIMES
        answers = self.cluster.workers[place].call("ask_all", questions=questions, within=60)
        self.assertEqual([answer["error"] for answer in answers if answer["error"]], [])
        pods = collections.Counter(answer["pod"] for answer in answers)
        self.assertEqual(set(pods), {"pod1b", "pod2b"}, pods)
        return {answer["pod"]: answer["peer"] for answer in answers}

    def test_both_nodes_allocate_alike(self):
        for service in ("svc-1", "svc-2", "svc-3"):
            on_nodes = [each.frontends(f"default/{service}") for each in self.cluster.agents.values()]
            self.assertEqual(on_nodes[0], on_nodes[1])

    @conformance.rows("3.1/5")
    def test_svc_1_is_inside_only(self):
        kinds = {kind for kind, _, _ in self.agent.frontends("default/svc-1")}
        self.assertEqual(kinds, {"ClusterIP"})
        address, port = self.frontend("svc-1", "ClusterIP")
        self.assertEqual(port, 9000)
        for place in ("pod1a", "pod2a"):
            own = self.cluster.pods[place].address(4)
            self.assertEqual(self.balanced(place, address, port), {"pod1b": own, "pod2b": own})

    @conformance.rows("3.1/11")
    def test_svc_2_is_at_port_32000_of_each_node(self):
        for node in plan.NODES:
            seen = self.balanced("client", node.address(4), 32000)
            self.assertEqual(seen[f"pod{node.number}b"], plan.CLIENT[4])
        self.balanced("pod1a", *self.frontend("svc-2", "ClusterIP"))

    def test_svc_3_has_an_outside_address(self):
        address, port = self.frontend("svc-3", "LoadBalancer")
        self.assertEqual(port, 9000)
        for node in plan.NODES:
            self.cluster.route(f"{address}/32", node)
            seen = self.balanced("client", address, port)
            self.assertEqual(seen[f"pod{node.number}b"], plan.CLIENT[4])
        node_port = self.frontend("svc-3", "NodePort")[1]
        self.balanced("client", NODE1.address(4), node_port)
        self.balanced("pod2a", address, port)

    @conformance.rows("3.1/2")
    @conformance.rows("1.2/conditions-ready")
    def test_unready_pods_get_nothing(self):
        address, port = self.frontend("svc-1", "ClusterIP")
        put = self.cluster.manifests.put
        put("pods", *services.pod_objects(self.cluster, ready=["pod1b"], pod1b=WEB, pod2b=WEB))
        try:
            self.assertTrue(client.eventually(lambda: self.only(address, port, "pod1b")))
        finally:
            put("pods", *services.pod_objects(self.cluster, pod1b=WEB, pod2b=WEB))
        self.assertTrue(client.eventually(lambda: not self.only(address, port, "pod1b")))

    def only(self, address, port, pod):
        questions = [{"proto": "tcp", "address": address, "port": port}] * TIMES
        answers = self.cluster.workers["pod2a"].call("ask_all", questions=questions, within=60)
        return {answer["pod"] for answer in answers} == {pod}


if __name__ == "__main__":
    unittest.main()
