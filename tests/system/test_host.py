# SPDX-License-Identifier: Apache-2.0
"""Processes of the nodes themselves as clients: the host edge."""
import dataclasses
import unittest

from cluster import base, cgroups, client, conformance, expect, plan, services
from cluster.services import localhost

NODE1, NODE2 = plan.NODES
ON1 = services.Offer("on-node1", 51)
ON2 = services.Offer("on-node2", 52)
BACKENDS = {ON1: "pod1b", ON2: "pod2b"}
INTERNAL = services.Offer("internal", 53)  # internalTrafficPolicy: Local, pod1b
EXTERNAL = services.Offer("external", 54)  # externalTrafficPolicy: Local, pod1b
EMPTY = services.Offer("empty", 55)  # no pod
MOVING = services.Offer("moving", 56)  # pod1c, until a test moves it
PROTOCOLS = ("tcp", "udp")
HOOKS = 9  # of the host edge
AT_ONCE = 0.5  # seconds; an answer over the network takes a second SYN or a timeout of 2


def setUpModule():
    base.require_root()


class Host(base.ClusterCase):
    @classmethod
    def prepare(cls):
        cls.cluster.add_pod(plan.Pod(NODE1, "c"))
        cls.cluster.add_pod(plan.Pod(NODE2, "c"))
        services.publish_nodes(cls.cluster)
        cls.place(moving="pod1c")
        services.publish(cls.cluster, ON1, ON2, EMPTY, MOVING)
        services.publish(cls.cluster, INTERNAL, internalTrafficPolicy="Local",
                         selector=ON1.selector)
        services.publish(cls.cluster, EXTERNAL, externalTrafficPolicy="Local",
                         selector=ON1.selector)
        for node in plan.NODES:
            cls.cluster.add_worker(node.name)
        cls.cluster.start_agents()
        cls.cluster.wait_serving("on-node1", "on-node2", "internal", "external", "empty", "moving")
        for each in cls.cluster.agents.values():
            cls.wait_attached(each)

    @staticmethod
    def wait_attached(agent):
        """An agent that starts anew fills its tables first, and attaches its programs then."""
        agent.wait_until(lambda: len(agent.host_programs()) == HOOKS, "host edge")

    @classmethod
    def place(cls, moving):
        """The service of that name is moved to this pod."""
        services.publish_pods(cls.cluster, on_node1=["pod1b"], on_node2=["pod2b"],
                              moving=[moving] if moving else [])

    def call(self, place, call, **args):
        return self.cluster.workers[place].call(call, within=30, **args)

    def ask(self, place, frontends, **more):
        """(frontend, family, protocol, answer) of each; asked all at once."""
        cells = [(frontend, family, proto) for frontend in frontends for family in plan.FAMILIES
                 for proto in PROTOCOLS]
        questions = [{"proto": proto, "address": frontend.address[family], "port": frontend.port,
                      **more} for frontend, family, proto in cells]
        answers = self.call(place, "ask_all", questions=questions)
        return [(*cell, answer) for cell, answer in zip(cells, answers)]

    def reached(self, node, frontends, backend):
        for frontend, family, proto, answer in self.ask(node.name, frontends, rounds=3):
            with self.subTest(node=node.name, frontend=frontend.kind, backend=backend,
                              family=family, proto=proto):
                self.assertEqual((answer["error"], answer["pod"]), (None, backend))
                wanted = expect.host_sources(self.cluster.variant, node, frontend,
                                             self.cluster.pods[backend], family)
                self.assertIn(answer["peer"], wanted)
                self.assertEqual(answer["named"], [frontend.address[family], frontend.port])

    def fails_at_once(self, node, frontends, how):
        for frontend, family, proto, answer in self.ask(node.name, frontends):
            with self.subTest(node=node.name, frontend=frontend.kind, family=family, proto=proto):
                self.assertEqual(answer["error"], how)
                self.assertLess(answer["seconds"], AT_ONCE)

    # ---- who is reached, and who is not ----

    @conformance.rows("3.2/node-service-http", "3.2/node-service-udp", "3.2/secondary-node-service",
                      "3.2/localhost-node-port-endpoints", "3.2/localhost-node-port-registry")
    @conformance.rows("1.1/cluster-ip-clients", "1.1/node-port-localhost", "2.1/node-cluster-ip",
                      "2.1/node-external-cluster")
    def test_every_frontend_from_every_node(self):
        for node in plan.NODES:
            for offer, backend in BACKENDS.items():
                self.reached(node, [*offer.frontends, localhost(offer, node)], backend)

    @conformance.rows("3.2/node-service-udp", "3.2/secondary-node-service")
    def test_sockets_without_a_connection(self):
        """Answers come from the address that was asked, and from one backend only."""
        for node in plan.NODES:
            for family in plan.FAMILIES:
                self.call(node.name, "socket_open", name="free", proto="udp", family=family)
                for offer, backend in BACKENDS.items():
                    for frontend in (offer.cluster_ip, localhost(offer, node)):
                        address, port = frontend.address[family], frontend.port
                        answer = self.call(node.name, "socket_ask", name="free", proto="udp",
                                           address=address, port=port)
                        with self.subTest(node=node.name, frontend=frontend.kind, family=family):
                            self.assertEqual((answer["error"], answer["pod"]), (None, backend))
                            self.assertEqual(answer["named"], [address, port])
                self.call(node.name, "socket_close", name="free")

    @conformance.rows("3.1/32")
    @conformance.rows("1.3/reject", "1.3/reject-connect")
    def test_no_endpoint_refuses_at_once(self):
        frontends = [*(f for f in EMPTY.frontends if f.kind != "node port of node2"),
                     localhost(EMPTY, NODE1)]
        self.fails_at_once(NODE1, frontends, "refused")

    @conformance.rows("1.1/cluster-ip-unknown-port")
    def test_unknown_port_of_a_service_address_refuses_at_once(self):
        unknown = [dataclasses.replace(frontend, port=81)
                   for frontend in (ON1.cluster_ip, ON1.load_balancer, ON1.external_ip)]
        self.fails_at_once(NODE1, unknown, "refused")

    @conformance.rows("3.1/35")
    @conformance.rows("1.2/internal-local", "1.2/internal-local-silence",
                      "2.1/node-cluster-ip-internal-local", "2.1/node-external-internal-local")
    def test_internal_local(self):
        self.reached(NODE1, [INTERNAL.cluster_ip], "pod1b")
        self.fails_at_once(NODE2, [INTERNAL.cluster_ip], "timeout")
        self.reached(NODE2, [INTERNAL.load_balancer, INTERNAL.node_port_of(NODE2)], "pod1b")

    @conformance.rows("1.2/external-local-node", "2.1/node-external-local")
    def test_external_local_does_not_bind_the_node_itself(self):
        self.reached(NODE2, [EXTERNAL.load_balancer, EXTERNAL.external_ip, localhost(EXTERNAL, NODE2),
                             EXTERNAL.node_port_of(NODE2)], "pod1b")

    def test_pods_and_others_are_left_alone(self):
        before = [self.host_counters(each) for each in self.cluster.agents.values()]
        for place in ("pod1a", "pod2a", "client"):
            for _, _, _, answer in self.ask(place, [ON1.node_port_of(NODE1), ON2.load_balancer]):
                self.assertIsNone(answer["error"])
            self.assertEqual({answer["error"] for *_, answer in
                              self.ask(place, [localhost(ON1, NODE1)])}, {"refused"})
        self.assertEqual(before, [self.host_counters(each) for each in self.cluster.agents.values()])

    @staticmethod
    def host_counters(agent):
        return {name: count for name, count in agent.counters().items() if "host" in name}

    def test_nothing_is_kept_of_closed_sockets(self):
        agent = self.cluster.agents["node1"]
        for proto, tables in (("udp", ("weir_peer", "weir_sticky")), ("tcp", ("weir_stream",))):
            with self.subTest(proto=proto):
                for offer in BACKENDS:
                    self.call("node1", "socket_open", name=offer.name, proto=proto, port=80,
                              address=offer.cluster_ip.address[4])
                dumps = [agent.query("map", "dump", table) for table in tables]
                self.assertEqual({len(rows) for rows in dumps}, {2})
                self.assertEqual({row["service"] for row in dumps[0]},
                                 {f"{offer.cluster_ip.address[4]}:80" for offer in BACKENDS})
                self.assertEqual({row["backend"] for row in dumps[0]},
                                 {f"{self.cluster.pods[pod].address(4)}:8000"
                                  for pod in BACKENDS.values()})
                for offer in BACKENDS:
                    self.call("node1", "socket_close", name=offer.name)
                self.assertEqual([row for table in tables
                                  for row in agent.query("map", "dump", table)], [])

    # ---- the only backend of a service goes, and another comes ----

    def move(self, pod):
        self.place(moving=pod)
        self.cluster.wait_endpoints("default/moving", pod)

    @conformance.rows("3.2/conntrack-host-client")
    @conformance.rows("1.3/existing-connections", "1.3/udp-stale")
    def test_udp_recovers_and_tcp_goes_on(self):
        for family in plan.FAMILIES:
            address, port = MOVING.cluster_ip.address[family], MOVING.cluster_ip.port
            to = {"address": address, "port": port}
            self.move("pod1c")
            self.call("node1", "socket_open", name="resolver", proto="udp", timeout=10, **to)
            self.call("node1", "socket_open", name="stream", proto="tcp", **to)
            self.call("node1", "socket_open", name="free", proto="udp", family=family)
            self.assertEqual(self.pod("resolver", "udp"), "pod1c")
            self.assertEqual(self.pod("stream", "tcp"), "pod1c")
            self.assertEqual(self.pod("free", "udp", **to), "pod1c")

            waiting = self.cluster.workers["node1"].start("socket_read", name="resolver")
            self.move("pod2c")
            self.assertEqual(waiting.result(), "aborted")
            self.assertIsNone(self.call("node1", "socket_connect", name="resolver", **to))
            self.assertEqual(self.pod("resolver", "udp"), "pod2c")
            self.assertEqual(self.pod("free", "udp", **to), "pod2c")
            self.assertEqual(self.pod("stream", "tcp"), "pod1c")
            for name in ("resolver", "stream", "free"):
                self.call("node1", "socket_close", name=name)

    def pod(self, name, proto, **to):
        answer = self.call("node1", "socket_ask", name=name, proto=proto, **to)
        return answer["pod"] or answer["error"]

    def test_other_sockets_are_not_ended(self):
        """On the same backend: one that named it directly, and a pod's."""
        backend = self.cluster.pods["pod1c"].address(4)
        to = {"address": MOVING.cluster_ip.address[4], "port": MOVING.cluster_ip.port}
        self.move("pod1c")
        self.call("node1", "socket_open", name="direct", proto="udp", address=backend, port=8000)
        self.call("pod1a", "socket_open", name="pods", proto="udp", **to)
        self.call("pod1a", "socket_ask", name="pods", proto="udp")
        self.move("pod2c")
        self.assertEqual(self.pod("direct", "udp"), "pod1c")
        self.assertEqual(self.call("pod1a", "socket_ask", name="pods", proto="udp")["pod"], "pod2c")
        for place, name in (("node1", "direct"), ("pod1a", "pods")):
            self.call(place, "socket_close", name=name)

    # ---- the programs ----

    def test_programs_stay_go_and_come(self):
        agent = self.cluster.agents["node1"]
        hooks = agent.host_programs()
        self.assertEqual(len(hooks), HOOKS)
        self.assertLessEqual(set(hooks.values()), cgroups.program_ids())
        agent.kill()
        self.reached(NODE1, [ON2.cluster_ip], "pod2b")

        agent.start("--socket-lb", "off")
        agent.wait_until(lambda: not agent.host_programs(), "end of the host edge")
        for *_, answer in self.ask("node1", [ON2.cluster_ip]):
            self.assertEqual(answer["error"], "unreachable")
        self.assertFalse(set(hooks.values()) & cgroups.program_ids())
        agent.stop()

        agent.start()
        self.wait_attached(agent)
        self.reached(NODE1, [ON2.cluster_ip], "pod2b")
        agent.stop()
        hooks = agent.host_programs()
        agent.weir("cleanup")
        self.assertFalse(set(hooks.values()) & cgroups.program_ids())
        for *_, answer in self.ask("node1", [ON2.cluster_ip]):
            self.assertEqual(answer["error"], "unreachable")
        agent.start()
        self.cluster.wait_serving("moving")
        self.wait_attached(agent)


if __name__ == "__main__":
    unittest.main()
