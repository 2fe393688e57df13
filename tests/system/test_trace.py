# SPDX-License-Identifier: Apache-2.0
"""weir trace says what then happens to a packet."""
import unittest

from cluster import base, expect, plan, services

NODE1, NODE2 = plan.NODES
WIDE = services.Offer("wide", 51)  # a pod on each node
LOCAL = services.Offer("local", 52)  # externalTrafficPolicy: Local, a pod on node1
REMOTE = services.Offer("remote", 53)  # externalTrafficPolicy: Local, a pod on node2
EMPTY = services.Offer("empty", 54)  # no pod
STICKY = services.Offer("sticky", 55)
RANGED = services.Offer("ranged", 56)  # the outside client alone
FIELDS = ["verdict", "reason", "edge", "interface", "program", "service", "frontend", "list",
          "backend", "candidates", "source_nat", "affinity", "flow", "steps"]
EDGES = {"client": "uplink", "pod1a": "pod", "node1": "host"}


def setUpModule():
    base.require_root()


def end(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Trace(base.ClusterCase):
    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        for node, letter in ((NODE1, "c"), (NODE2, "c"), (NODE1, "d"), (NODE2, "d")):
            cls.cluster.add_pod(plan.Pod(node, letter))
        services.publish_pods(cls.cluster, wide=["pod1b", "pod2b"], local=["pod1c"],
                              remote=["pod2c"], sticky=["pod1d", "pod2d"], ranged=["pod1a"])
        services.publish(cls.cluster, WIDE, EMPTY)
        services.publish(cls.cluster, LOCAL, REMOTE, externalTrafficPolicy="Local")
        services.publish(cls.cluster, STICKY, sessionAffinity="ClientIP")
        services.publish(cls.cluster, RANGED, loadBalancerSourceRanges=[
            plan.CLIENT[4] + "/32", plan.CLIENT[6] + "/128"])
        cls.cluster.add_worker(NODE1.name)
        cls.cluster.start_agents()
        cls.cluster.wait_serving("wide", "local", "remote", "empty", "sticky", "ranged")

    def source(self, place, family):
        if place == "client":
            return plan.CLIENT[family]
        node = NODE1 if place == "node1" else self.cluster.pods[place]
        return node.address(family)

    def trace(self, place, frontend, family, proto="tcp", *more, port=None):
        source = self.source(place, family)
        answer = self.cluster.agents["node1"].query(
            "trace", "--edge", EDGES[place], "--proto", proto,
            "--from", end(source, port) if port else source,
            "--to", end(frontend.address[family], frontend.port), *more)
        self.assertEqual(list(answer), FIELDS)
        self.assertEqual(answer["edge"], EDGES[place])
        return answer

    def ask(self, place, frontend, family, proto="tcp", **more):
        return self.cluster.workers[place].call("ask_all", questions=[{
            "proto": proto, "address": frontend.address[family], "port": frontend.port} | more],
            within=30)[0]

    def ends(self, family, *pods):
        return {end(self.cluster.pods[pod].address(family), services.cluster.SERVER_PORT)
                for pod in pods}

    def is_so(self, place, there, family, proto, **expected):
        answer = self.trace(place, there, family, proto)
        with self.subTest(place=place, frontend=there.kind, family=family, proto=proto):
            self.assertEqual({name: answer[name] for name in expected}, expected, answer)
        return answer

    def test_what_is_forwarded_goes_where_it_says(self):
        kinds = {"cluster IP": "ClusterIP", "load balancer": "LoadBalancer",
                 "external IP": "ExternalIP", "node port of node1": "NodePort"}
        there = [WIDE.cluster_ip, WIDE.load_balancer, WIDE.node_port_of(NODE1)]
        for place in EDGES:
            for frontend in there:
                for family, proto in ((4, "tcp"), (6, "udp")):
                    answer = self.is_so(
                        place, frontend, family, proto, verdict="forward", list="cluster",
                        service=f"default/wide:{proto}", affinity=False, flow=None,
                        frontend={"kind": kinds[frontend.kind],
                                  "address": end(frontend.address[family], frontend.port)})
                    self.assertEqual(set(answer["candidates"]), self.ends(family, "pod1b", "pod2b"))
                    self.assertIn(answer["backend"], answer["candidates"])
                    got = self.ask(place, frontend, family, proto)
                    self.assertLessEqual(self.ends(family, got["pod"]), set(answer["candidates"]))

    def test_one_source_port_one_answer(self):
        """The choice follows from the flow: who is asked twice says what happens then."""
        for family in plan.FAMILIES:
            for port in range(20001, 20009):
                with self.subTest(family=family, port=port):
                    said = self.trace("client", WIDE.node_port_of(NODE1), family, port=port)
                    got = self.ask("client", WIDE.node_port_of(NODE1), family, source_port=port)
                    self.assertIsNone(got["error"])
                    self.assertEqual({said["backend"]}, self.ends(family, got["pod"]))
                    self.assertEqual(got["peer"], said["source_nat"] or plan.CLIENT[family])
                    far = self.cluster.pods[got["pod"]].node == NODE2
                    self.assertEqual(said["source_nat"] is not None, far)
                    if far:
                        self.assertEqual(said["source_nat"], expect.egress_source(
                            self.cluster.variant, NODE1, family))

    def test_xdp_sends_once_the_next_hop_is_known(self):
        """Which takes an answer from there."""
        remote = REMOTE.cluster_ip
        for family in plan.FAMILIES:
            self.assertIsNone(self.ask("client", remote, family)["error"])
            program, reason = (("weir_xdp", "forward_xdp") if plan.XDP_SENDS_TO_VETH
                               else ("weir_up_in", "forward_tc_sent"))
            self.is_so("client", remote, family, "tcp", verdict="forward", program=program,
                       reason=reason)
            self.is_so("client", LOCAL.cluster_ip, family, "tcp", verdict="forward",
                       program="weir_up_in", reason="forward_tc")

    def test_lists_follow_frontend_and_edge(self):
        for family in plan.FAMILIES:
            self.is_so("client", LOCAL.node_port_of(NODE1), family, "tcp", verdict="forward",
                       list="local", source_nat=None)
            self.is_so("client", LOCAL.cluster_ip, family, "tcp", verdict="forward", list="cluster")
            self.is_so("client", REMOTE.node_port_of(NODE1), family, "tcp", verdict="drop",
                       reason="drop_no_local_endpoint", list="local", backend=None, candidates=[])
            for place in ("pod1a", "node1"):
                self.is_so(place, REMOTE.load_balancer, family, "tcp", verdict="forward",
                           list="cluster")

    def test_what_is_not_forwarded(self):
        nowhere = expect.Frontend("no service", {4: "10.96.200.1", 6: "fd00:96::2001"}, 80, NODE1)
        closed = expect.Frontend("unknown port", WIDE.cluster_ip.address, 81, NODE1)
        stranger = expect.Frontend("a pod", {f: self.cluster.pods["pod2b"].address(f)
                                             for f in plan.FAMILIES}, 80, NODE2)
        for family in plan.FAMILIES:
            for place in EDGES:
                host = "host_" if place == "node1" else ""
                self.is_so(place, EMPTY.cluster_ip, family, "tcp", verdict="reject", backend=None,
                           service="default/empty:tcp",
                           reason="answer_host_refused" if host else "answer_unreachable")
                self.is_so(place, closed, family, "udp", verdict="reject", service=None,
                           frontend=None, list=None)
                self.is_so(place, nowhere, family, "tcp", verdict="drop",
                           reason=f"drop_{host}no_cluster_ip")
                self.is_so(place, stranger, family, "tcp", verdict="pass", service=None,
                           reason=f"pass_{host}stranger")
            for place in ("client", "pod1a"):
                self.is_so(place, WIDE.cluster_ip, family, "sctp", verdict="reject", service=None)
            self.is_so("node1", WIDE.cluster_ip, family, "sctp", verdict="pass",
                       reason="pass_protocol")
            self.is_so("client", RANGED.load_balancer, family, "tcp", verdict="forward")
            self.is_so("pod1a", RANGED.load_balancer, family, "tcp", verdict="drop",
                       reason="drop_source_range", service="default/ranged:tcp")

    def test_affinity(self):
        for family in plan.FAMILIES:
            before = self.trace("pod1a", STICKY.cluster_ip, family)
            self.assertEqual((before["affinity"], len(before["candidates"])), (False, 2))
            got = self.ask("pod1a", STICKY.cluster_ip, family)
            after = self.trace("pod1a", STICKY.load_balancer, family)
            self.assertEqual((after["affinity"], set(after["candidates"])),
                             (True, self.ends(family, got["pod"])))

    def test_a_flow_keeps_its_backend(self):
        got = self.ask("pod1a", WIDE.cluster_ip, 4, "udp", source_port=20100)
        answer = self.trace("pod1a", WIDE.cluster_ip, 4, "udp", port=20100)
        self.assertEqual((answer["flow"], answer["verdict"], set(answer["candidates"])),
                         ("established", "forward", self.ends(4, got["pod"])))
        self.assertEqual(answer["frontend"]["kind"], "ClusterIP")
        self.assertEqual(answer["service"], "default/wide:udp")
        maps = [step["map"] for step in answer["steps"]]
        self.assertEqual(maps[0], "weir_flow")
        self.assertNotIn("weir_slot", maps)

    def test_steps_are_the_tables_consulted(self):
        answer = self.trace("pod1a", WIDE.cluster_ip, 4)
        steps = {step["map"]: step for step in answer["steps"]}
        self.assertEqual(steps["weir_address"]["key"], {"address": WIDE.cluster_ip.address[4]})
        self.assertIn("service", steps["weir_address"]["value"]["bits"])
        self.assertIsNone(steps["weir_flow"]["value"])
        self.assertEqual(steps["weir_service"]["value"]["frontend"], "ClusterIP")
        self.assertEqual(steps["weir_version"]["value"]["cluster_count"], 2)
        self.assertEqual(end(steps["weir_backend"]["value"]["address"],
                             steps["weir_backend"]["value"]["port"]), answer["backend"])
        text = self.cluster.agents["node1"].weir(
            "trace", "--edge", "pod", "--from", "10.244.1.10", "--to", "10.96.0.51:80")
        self.assertIn("service:    default/wide:tcp", text)

    def test_bad_questions(self):
        agent = self.cluster.agents["node1"]
        for words, why in (
                (("--edge", "sky", "--from", "10.0.0.1", "--to", "10.0.0.2:80"), "uplink, pod or host"),
                (("--edge", "pod", "--from", "10.0.0.1", "--to", "10.0.0.2"), "a port is needed"),
                (("--edge", "pod", "--from", "10.0.0.1", "--to", "[fd00::1]:80"), "one family"),
                (("--edge", "pod", "--from", "10.0.0.0/8", "--to", "10.0.0.2:1"), "not a block"),
                (("--edge", "pod", "--from", "10.0.0.1", "--to", "10.0.0.2:80", "--dev", "eth0"),
                 "no program of the edge pod")):
            with self.subTest(words=words):
                with self.assertRaises(services.cluster.shell.CommandFailed) as caught:
                    agent.weir("trace", *words)
                self.assertIn(why, str(caught.exception))


if __name__ == "__main__":
    unittest.main()
