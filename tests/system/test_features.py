# SPDX-License-Identifier: Apache-2.0
"""What a Service may ask for besides: affinity, source ranges, an end with the backend."""
import time
import unittest

from cluster import base, conformance, manifests, plan, services

NODE1, NODE2 = plan.NODES
STICKY = services.Offer("sticky", 21)
RANGED = services.Offer("ranged", 22)
RESET = services.Offer("reset", 23)
KEPT = services.Offer("kept", 24)
BACKENDS = ("pod1b", "pod2b", "pod1c", "pod2c")
TIMES = 12  # by chance, the same one of four each time: once in four million


def setUpModule():
    base.require_root()


class Features(base.ClusterCase):
    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        for node in plan.NODES:
            for letter in "cde":
                cls.cluster.add_pod(plan.Pod(node, letter))
        cls.cluster.add_pod(plan.Pod(NODE1, "f"))
        cls.pods()
        cls.sticky("ClientIP", 600)
        cls.ranged(plan.CLIENT[4] + "/32", plan.CLIENT[6] + "/64")
        services.publish(cls.cluster, KEPT)
        cls.cluster.manifests.put(RESET.name, manifests.annotated(
            RESET.manifest(), **{"service.weir/on-removal": "reset"}))
        cls.cluster.add_worker(NODE1.name)
        cls.cluster.start_agents()
        cls.cluster.wait_serving("sticky", "ranged", "reset", "kept")

    @classmethod
    def pods(cls, **changed):
        services.publish_pods(cls.cluster, **{
            "sticky": BACKENDS, "ranged": ["pod1f"], "reset": ["pod1d", "pod2d"],
            "kept": ["pod1e", "pod2e"]} | changed)

    @classmethod
    def sticky(cls, affinity, seconds):
        services.publish(cls.cluster, STICKY, sessionAffinity=affinity,
                         sessionAffinityConfig={"clientIP": {"timeoutSeconds": seconds}})

    @classmethod
    def ranged(cls, *ranges):
        services.publish(cls.cluster, RANGED, loadBalancerSourceRanges=list(ranges))

    def answers(self, place, frontend, family, proto="tcp", times=TIMES, timeout=2.0):
        questions = [{"proto": proto, "address": frontend.address[family], "port": frontend.port,
                      "timeout": timeout}] * times
        worker = self.cluster.workers[place]
        # The first alone: of several at the same moment, each would be balanced for itself.
        return [answer for some in (questions[:1], questions[1:]) for answer in
                worker.call("ask_all", questions=some, within=60)]

    def reached(self, *where, **how):
        answers = self.answers(*where, **how)
        self.assertEqual({answer["error"] for answer in answers}, {None})
        return {answer["pod"] for answer in answers}

    def shown(self, service, field, value):
        """Until both nodes show it of every service port of a service."""
        for each in self.cluster.agents.values():
            each.wait_until(lambda: {str(row[field]) for row in each.query(
                "service", "show", f"default/{service}")} == {str(value)}, f"{service}: {field}")

    @conformance.rows("3.1/24", "3.1/27")
    @conformance.rows("1.2/affinity", "1.2/affinity-shared")
    def test_affinity_is_one_for_all_frontends_of_a_port(self):
        for family in plan.FAMILIES:
            for place in ("client", "pod1a", "pod2a", "node1"):
                with self.subTest(family=family, place=place):
                    # The router brings these to node1; a pod is on its own node.
                    there = [STICKY.cluster_ip, STICKY.load_balancer, STICKY.node_port_of(NODE1)]
                    if place == "pod2a":
                        there.pop()
                    one = self.reached(place, there[0], family)
                    self.assertEqual(len(one), 1)
                    for frontend in there[1:]:
                        self.assertEqual(self.reached(place, frontend, family), one)

    @conformance.rows("3.1/9", "3.1/24")
    def test_affinity_outlives_the_agent(self):
        before = self.reached("client", STICKY.cluster_ip, 4)
        agent = self.cluster.agents["node1"]
        agent.kill()
        self.assertEqual(self.reached("client", STICKY.cluster_ip, 4), before)
        agent.start()
        self.assertEqual(self.reached("client", STICKY.cluster_ip, 4), before)

    @conformance.rows("3.1/24")
    @conformance.rows("1.2/affinity-ends-with-endpoint")
    def test_affinity_ends_with_the_backend_and_goes_to_one_other(self):
        before = self.reached("pod1a", STICKY.cluster_ip, 6)
        left = [pod for pod in BACKENDS if pod not in before]
        self.pods(sticky=left)
        self.cluster.wait_endpoints("default/sticky", *left)
        after = self.reached("pod1a", STICKY.cluster_ip, 6)
        self.assertEqual(len(after), 1)
        self.pods()
        self.cluster.wait_endpoints("default/sticky", *BACKENDS)
        self.assertEqual(self.reached("pod1a", STICKY.cluster_ip, 6), after)

    @conformance.rows("3.1/28", "3.1/29")
    @conformance.rows("1.2/affinity-switch", "1.2/affinity-timeout")
    def test_affinity_is_switched_while_running(self):
        self.addCleanup(self.sticky, "ClientIP", 600)
        self.sticky("None", 600)
        self.shown("sticky", "affinity_seconds", 0)
        self.assertGreater(len(self.reached("client", STICKY.node_port_of(NODE1), 4, times=40)), 1)
        self.sticky("ClientIP", 2)
        self.shown("sticky", "affinity_seconds", 2)
        seen = set()
        for _ in range(8):  # the same one eight times by chance: once in 16,000
            one = self.reached("client", STICKY.node_port_of(NODE1), 4, times=4)
            self.assertEqual(len(one), 1)
            seen |= one
            if len(seen) > 1:
                break
            time.sleep(3.5)  # the timeout and up to a tick, 1.07 s
        self.assertGreater(len(seen), 1)

    @conformance.rows("3.2/lb-source-ranges")
    @conformance.rows("1.2/source-ranges", "1.2/source-ranges-load-balancer-only",
                      "1.2/source-ranges-pods-and-node", "1.3/drop-source-ranges")
    def test_source_ranges_bind_load_balancer_addresses_alone(self):
        for family in plan.FAMILIES:
            for frontend in (RANGED.load_balancer, RANGED.cluster_ip, RANGED.node_port_of(NODE1),
                             RANGED.external_ip):
                with self.subTest(family=family, frontend=frontend.kind):
                    self.assertEqual(self.reached("client", frontend, family, times=2), {"pod1f"})
            for proto in ("tcp", "udp"):
                refused = self.answers("pod1a", RANGED.load_balancer, family, proto, 1, 0.7)
                self.assertEqual(refused[0]["error"], "timeout")
                of_node = self.answers("node1", RANGED.load_balancer, family, proto, 1)
                self.assertEqual(of_node[0]["error"], "timeout")
                self.assertLess(of_node[0]["seconds"], 1)  # at once: its process need not wait
            for place in ("pod1a", "node1"):
                self.assertEqual(self.reached(place, RANGED.cluster_ip, family, times=2), {"pod1f"})

    @conformance.rows("3.2/lb-source-ranges")
    @conformance.rows("1.2/source-ranges-families")
    def test_source_ranges_of_one_family_leave_the_other_open(self):
        self.addCleanup(self.ranged, plan.CLIENT[4] + "/32", plan.CLIENT[6] + "/64")
        pods = plan.POD_SUPERNET[4]
        self.ranged(pods)
        self.shown_ranges(pods)
        self.assertEqual(self.reached("pod1a", RANGED.load_balancer, 4, times=2), {"pod1f"})
        # An address of node1's own is in that range where pods hang on a bridge, and not else.
        self.assertEqual(self.reached("node1", RANGED.load_balancer, 6, times=2), {"pod1f"})
        self.assertEqual(self.reached("client", RANGED.load_balancer, 6, times=2), {"pod1f"})
        self.assertEqual(self.answers("client", RANGED.load_balancer, 4, times=1,
                                      timeout=0.7)[0]["error"], "timeout")

    def shown_ranges(self, *ranges):
        for each in self.cluster.agents.values():
            each.wait_until(lambda: list(ranges) in [row["source_ranges"] for row in each.query(
                "service", "show", "default/ranged")], f"source ranges {ranges}")

    @conformance.rows("1.1/cluster-ip-unallocated", "1.3/drop-unallocated")
    def test_addresses_of_no_service_are_silent(self):
        for family in plan.FAMILIES:
            nobody = services.Offer("nobody", 99).cluster_ip
            for place in ("client", "pod1a", "node1"):
                with self.subTest(family=family, place=place):
                    answer = self.answers(place, nobody, family, times=1, timeout=0.7)[0]
                    self.assertEqual(answer["error"], "timeout")
        self.assertGreater(self.cluster.agents["node1"].counters()["drop_no_cluster_ip"], 0)

    @conformance.rows("1.3/existing-connections")
    def test_a_connection_ends_with_its_backend_where_that_is_wanted(self):
        places = ("client", "pod1a")
        for name, offer in (("reset", RESET), ("kept", KEPT)):
            for place in places:
                self.cluster.workers[place].call(
                    "load_start", name=name, kind="streams", threads=12, pace=0.05, timeout=5.0,
                    targets=[("tcp", offer.cluster_ip.address[family], offer.cluster_ip.port)
                             for family in plan.FAMILIES])
        time.sleep(0.5)
        self.addCleanup(self.cluster.wait_endpoints, "default/kept", "pod1e", "pod2e")
        self.addCleanup(self.cluster.wait_endpoints, "default/reset", "pod1d", "pod2d")
        self.addCleanup(self.pods)
        self.pods(reset=["pod2d"], kept=["pod2e"])
        self.cluster.wait_endpoints("default/reset", "pod2d")
        time.sleep(1.0)
        ended = []
        for place in places:
            worker = self.cluster.workers[place]
            for stream in worker.call("load_stop", name="reset")["streams"]:
                if stream["pods"] == ["pod1d"]:
                    ended.append(stream["error"])
                else:
                    self.assertIsNone(stream["error"])
            self.assertEqual(worker.call("load_stop", name="kept")["broken"], [])
        self.assertEqual(set(ended), {"reset"})


if __name__ == "__main__":
    unittest.main()
