# SPDX-License-Identifier: Apache-2.0
"""Things that happen while traffic flows, none of which may cost a connection."""
import time
import unittest

from cluster import base, client, conformance, plan, services

WEB = services.Offer("web", 21)
NODE1, NODE2 = plan.NODES
PLACES = ("pod1a", "pod2a", "client")


def setUpModule():
    base.require_root()


class WebCase(base.ClusterCase):
    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        cls.publish_web("pod1b", "pod2b")
        services.publish(cls.cluster, WEB)
        cls.cluster.start_agents()
        cls.cluster.wait_serving("web")

    @classmethod
    def publish_web(cls, *pods):
        services.publish_pods(cls.cluster, web=pods)


class UnderLoad(WebCase):
    def setUp(self):
        self.settle("pod1b", "pod2b")

    def settle(self, *pods):
        self.publish_web(*pods)
        self.cluster.wait_endpoints("default/web", *pods)

    def targets(self, place, *protocols):
        frontends = [WEB.cluster_ip] if place != "client" else [
            WEB.node_port_of(NODE1), WEB.node_port_of(NODE2), WEB.load_balancer]
        return [(proto, frontend.address[family], frontend.port)
                for frontend in frontends for family in plan.FAMILIES for proto in protocols]

    def start(self):
        for place in PLACES:
            worker, everything = self.cluster.workers[place], self.targets(place, "tcp", "udp")
            worker.call("load_start", name="short", kind="short", targets=everything, threads=4)
            worker.call("load_start", name="tcp", kind="streams", threads=12,
                        targets=self.targets(place, "tcp"), pace=0.02)
            worker.call("load_start", name="udp", kind="streams", threads=6,
                        targets=self.targets(place, "udp"), pace=0.02)
        time.sleep(0.5)

    def stop(self):
        """{place: {load: report}}; what every test wants of them is checked here."""
        reports = {place: {name: self.cluster.workers[place].call("load_stop", name=name, within=30)
                           for name in ("short", "tcp", "udp")} for place in PLACES}
        for place, report in reports.items():
            with self.subTest(place=place):
                self.assertEqual(report["short"]["failures"], 0, report["short"]["failed"])
                self.assertGreater(report["short"]["count"], 200)
                self.assertEqual(report["short"]["syns_again"], 0)
                self.assertEqual(report["tcp"]["broken"], [])
                self.assertEqual(report["udp"]["broken"], [])
        return reports

    @conformance.rows("3.1/9")
    @conformance.rows("1.3/restart")
    def test_agents_killed_and_started_again(self):
        self.start()
        for each in self.cluster.agents.values():
            each.kill()
        time.sleep(1.5)  # balanced by the kernel alone
        asked = self.cluster.workers["client"].call(
            "ask_all", questions=[{"proto": "tcp", "address": WEB.load_balancer.address[4],
                                   "port": WEB.load_balancer.port}] * 40)
        self.cluster.start_agents()
        self.cluster.wait_serving("web")
        time.sleep(1)
        reports = self.stop()
        self.assertEqual({answer["pod"] for answer in asked}, {"pod1b", "pod2b"})
        for report in reports.values():
            self.assertEqual(set(report["short"]["pods"]), {"pod1b", "pod2b"})

    @conformance.rows("3.1/9")
    @conformance.rows("1.3/restart")
    def test_agents_stopped_and_started_again(self):
        self.start()
        for each in self.cluster.agents.values():
            self.assertEqual(each.stop(), 0)
        time.sleep(1)
        self.cluster.start_agents()
        self.cluster.wait_serving("web")
        self.stop()

    @conformance.rows("3.1/2", "3.2/update-endpoints-http", "3.2/update-endpoints-udp",
                      "3.2/lb-rolling-update-cluster")
    @conformance.rows("1.3/existing-connections", "1.3/udp-stale")
    def test_pod_added_and_removed(self):
        self.start()
        added = plan.Pod(NODE1, "c")
        self.cluster.add_pod(added)
        self.publish_web("pod1b", "pod2b", "pod1c")
        time.sleep(1.0)
        removed_at = time.monotonic()
        self.publish_web("pod2b", "pod1c")  # pod1b drains: its TCP connections go on
        time.sleep(1.5)
        reports = self.stop()
        for place, report in reports.items():
            with self.subTest(place=place):
                self.assertIn("pod1c", report["short"]["pods"])
                self.assertLess(report["short"]["last_seen"]["pod1b"] - removed_at, 1.0)
                self.moved_on(report)
        self.remove_the_added(added)

    def moved_on(self, report):
        """TCP keeps its pod whatever happens to it; UDP leaves the one that is gone."""
        self.assertTrue(any(stream["pods"] == ["pod1b"] for stream in report["tcp"]["streams"]))
        self.assertTrue(all(len(stream["pods"]) == 1 for stream in report["tcp"]["streams"]))
        self.assertTrue(all(stream["pods"][-1] != "pod1b" for stream in report["udp"]["streams"]))

    def remove_the_added(self, added):
        self.settle("pod1b", "pod2b")
        self.start()
        self.cluster.remove_pod(added)
        time.sleep(0.5)
        for report in self.stop().values():
            self.assertNotIn("pod1c", report["short"]["pods"])

    @conformance.rows("3.2/update-endpoints-http", "3.2/update-endpoints-udp")
    def test_backends_that_flap(self):
        self.start()
        for _ in range(15):
            for pods in (("pod1b",), ("pod2b",), ("pod1b", "pod2b")):
                self.publish_web(*pods)
                time.sleep(0.02)
        time.sleep(0.5)
        self.stop()


class Alone(WebCase):
    """With the agents gone for good, flows are collected by the kernel."""

    def test_flows_end_without_an_agent(self):
        for each in self.cluster.agents.values():
            each.kill()
        question = {"proto": "tcp", "address": WEB.load_balancer.address[4],
                    "port": WEB.load_balancer.port}
        for _ in range(5):
            self.cluster.workers["client"].call("ask_all", questions=[question] * 100, within=30)
        node1 = self.cluster.agents["node1"]
        self.assertGreater(node1.query("flow", "count")["total"], 300)
        closing = 10  # seconds that a closed connection's flow stays
        self.assertTrue(client.eventually(
            lambda: node1.query("flow", "count")["established"] == 0, closing + 15, 0.5))


if __name__ == "__main__":
    unittest.main()
