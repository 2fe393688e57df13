# SPDX-License-Identifier: Apache-2.0
"""
How a service is reached, and by whom it is served again: session affinity, load-balancer addresses,
policies that change, families. After upstream's service.go, loadbalancer.go and dual_stack.go.
"""
import dataclasses
import time
import unittest

from cluster import base, conformance, manifests, plan, scene, services, shell

NODE1, NODE2 = plan.NODES
SERVERS = range(8000, 8008)  # of each of two pods: sixteen backends
BRIEF = 2  # seconds of affinity
TICK = 1.074  # weir counts in these, and a pause may seem shorter by one
AFTER = (BRIEF // TICK + 2) * TICK + 0.1


def setUpModule():
    base.require_root()


class Frontends(scene.Scene):
    options = ("--tcp-closing-timeout", "1s")

    @classmethod
    def prepare(cls):
        super().prepare()
        for pod in ("pod1b", "pod2b"):
            for port in SERVERS[1:]:
                cls.listen(pod, port)

    # ---- affinity ----

    def back_by_many(self, offer):
        """Both pods, each with all of its servers: one slice a family and port number."""
        slices = []
        for family in plan.FAMILIES:
            endpoints = [{"addresses": [self.cluster.pods[pod].address(family)],
                          "nodeName": self.cluster.pods[pod].node.name} for pod in ("pod1b", "pod2b")]
            for port in SERVERS:
                ports = [(proto.lower(), proto, port) for proto in ("TCP", "UDP")]
                slices.append(manifests.endpoint_slice(offer.name, family, ports, endpoints, f"-{port}"))
        self.put(f"{offer.name}-slices", *slices)

    def affine(self, offer, seconds, **spec):
        """seconds: None for no affinity."""
        service = offer.manifest(**spec)
        del service["spec"]["selector"]
        if seconds:
            service["spec"] |= {"sessionAffinity": "ClientIP",
                                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}
        self.put(offer.name, service)
        for each in self.cluster.agents.values():
            each.wait_until(lambda: {row["affinity_seconds"] for row in each.query(
                "service", "show", f"default/{offer.name}")} == {seconds or 0}, "affinity")

    def sticks(self, places, *frontends):
        """
        Everywhere one server, whichever; returns it by cell. Asked once before: of several first
        connections at the same moment, each is balanced for itself.
        """
        self.outcomes(places, frontends, timeout=1)
        found = self.outcomes(places, frontends, times=8, timeout=1)
        for cell, outcomes in found.items():
            with self.subTest(cell=cell):
                self.assertEqual(len(set(outcomes)), 1, outcomes)
                self.assertTrue(outcomes[0].startswith("pod"), outcomes)
        return {cell: outcomes[0] for cell, outcomes in found.items()}

    def spreads(self, places, *frontends):
        for cell, outcomes in self.outcomes(places, frontends, times=12, timeout=1).items():
            with self.subTest(cell=cell):
                self.assertGreater(len(set(outcomes)), 1)

    @conformance.rows("3.1/24", "3.1/26", "3.1/27", "3.1/29", "3.2/affinity-http",
                      "3.2/affinity-udp", "3.2/secondary-affinity",
                      "3.2/lb-affinity-external-cluster", "3.2/lb-affinity-switch-external-cluster",
                      "3.2/localhost-node-port-affinity")
    def test_affinity_is_switched_on_and_off(self):
        offer = services.Offer("sticky", 101)
        self.back_by_many(offer)
        for seconds in (None, 600, None, 600):
            with self.subTest(seconds=seconds):
                self.affine(offer, seconds)
                check = self.sticks if seconds else self.spreads
                check(scene.EVERYWHERE, *offer.frontends)
                check(("node1",), services.localhost(offer, NODE1))

    @conformance.rows("3.2/lb-affinity-external-local", "3.2/lb-affinity-switch-external-local")
    def test_affinity_under_external_local(self):
        offer = services.Offer("sticky-local", 102)
        own = [offer.load_balancer, offer.node_port_of(NODE1)]
        self.back_by_many(offer)
        for seconds in (None, 600, None, 600):
            with self.subTest(seconds=seconds):
                self.affine(offer, seconds, externalTrafficPolicy="Local")
                if seconds:
                    servers = set(self.sticks(("client",), *own).values())
                    self.assertTrue(all(server.startswith("pod1b") for server in servers), servers)
                else:
                    self.spreads(("client",), *own)

    @conformance.rows("3.1/25", "3.1/28")
    def test_affinity_ends_after_its_timeout(self):
        """The next server is another one in fifteen of sixteen cases."""
        offer = services.Offer("sticky-briefly", 103)
        self.back_by_many(offer)
        self.affine(offer, BRIEF)
        cells = (("pod1a", offer.cluster_ip), ("client", offer.node_port_of(NODE2)))
        seen = {}
        for _ in range(8):
            for place, frontend in cells:
                for cell, server in self.sticks((place,), frontend).items():
                    seen.setdefault(cell, set()).add(server)
            if all(len(servers) > 1 for servers in seen.values()):
                return
            time.sleep(AFTER)
        self.fail(seen)

    # ---- load-balancer addresses ----

    @conformance.rows("3.2/lb-without-node-port")
    def test_load_balancer_without_node_port(self):
        offer = services.Offer("no-node-port", 104)
        self.serve(offer, "pod1b", "pod2b", ports=offer.ports("TCP", "UDP"),
                   allocateLoadBalancerNodePorts=False)
        self.becomes({"pod1b", "pod2b"}, scene.EVERYWHERE, offer.load_balancer, offer.cluster_ip)
        for each in self.cluster.agents.values():
            kinds = {kind for kind, _, _ in each.frontends(f"default/{offer.name}")}
            self.assertEqual(kinds, {"ClusterIP", "LoadBalancer", "ExternalIP"})

    def test_services_share_an_address(self):
        one, two = services.Offer("shares-1", 105), services.Offer("shares-2", 106)
        self.back(two, "pod2b")
        second = dataclasses.replace(one.load_balancer, port=81)
        service = two.manifest(ports=two.ports("TCP", "UDP", port=81), allocateLoadBalancerNodePorts=False)
        self.serve(one, "pod1b")
        self.put(two.name, manifests.with_vips(service, one.load_balancer.address.values()))
        self.becomes("pod1b", scene.EVERYWHERE, one.load_balancer)
        self.becomes("pod2b", scene.EVERYWHERE, second)
        self.remove(one.name)
        self.refuses(("pod1a", "client", "node1"), one.load_balancer)
        self.becomes("pod2b", scene.EVERYWHERE, second)
        self.remove(two.name)
        self.unserved(scene.EVERYWHERE, second)

    def test_a_load_balancer_that_wants_the_traffic_itself(self):
        """The router is one: it has the address, and a server there."""
        offer = services.Offer("proxied", 107)
        address = offer.load_balancer.address
        self.cluster.add_worker("router").call("serve", name="router", port=services.PORT)
        for family, length in ((4, 32), (6, 128)):
            shell.ip(self.cluster.ns("router"), f"address add {address[family]}/{length} dev lo")
            for node in plan.NODES:
                shell.ip(self.cluster.ns(node.name), f"route add {address[family]}/{length} "
                         f"via {plan.ROUTER_INSIDE[family]}")
        service = offer.manifest()
        ingress = service["status"]["loadBalancer"]["ingress"]
        for entry in ingress:
            entry["ipMode"] = "Proxy"
        ingress.append({"hostname": "lb.example.org"})
        self.back(offer, "pod1b")
        self.put(offer.name, service)
        self.becomes("pod1b", scene.EVERYWHERE, offer.cluster_ip, *map(offer.node_port_of, plan.NODES))
        self.becomes("router", (*scene.EVERYWHERE, "node2"), offer.load_balancer)
        self.put(offer.name, offer.manifest())
        self.becomes("pod1b", (*scene.INSIDE, "node1", "node2"), offer.load_balancer)

    # ---- policies and pods that change under connections ----

    @conformance.rows("3.2/esipp-updates")
    def test_external_policy_changes_under_connections(self):
        """A connection goes on as it began; a new one finds the policy of its time."""
        offer = services.Offer("policy", 108)
        there = offer.node_port_of(NODE2)
        client = self.cluster.workers["client"]
        self.serve(offer, "pod1b")
        self.becomes("pod1b", ("client",), there)
        for family in plan.FAMILIES:
            client.call("socket_open", name=f"began-{family}", proto="tcp", port=there.port,
                        address=there.address[family])
            self.addCleanup(client.call, "socket_close", name=f"began-{family}")
        first = self.connections(client)
        for policy, wanted in (("Local", "timeout"), ("Cluster", "pod1b"), ("Local", "timeout")):
            with self.subTest(policy=policy):
                self.put(offer.name, offer.manifest(externalTrafficPolicy=policy))
                self.becomes(wanted, ("client",), there)
                self.becomes("pod1b", ("client",), offer.node_port_of(NODE1))
                self.assertEqual(self.connections(client), first)
        self.back(offer, "pod1b", "pod2b")
        self.becomes("pod2b", ("client",), there)
        self.assertEqual(self.connections(client), first)

    def connections(self, client):
        """Who serves each, and whom it sees."""
        answers = [client.call("socket_ask", name=f"began-{family}", proto="tcp")
                   for family in plan.FAMILIES]
        self.assertEqual([answer["pod"] for answer in answers], ["pod1b", "pod1b"], answers)
        return [(answer["peer"], answer["peer_port"]) for answer in answers]

    @conformance.rows("3.2/lb-rolling-update-local", "3.2/lb-rolling-update-cluster")
    def test_rolling_update(self):
        """Each node's pod is replaced: a new one, then the old one terminating, then it is gone."""
        for pod in (plan.Pod(NODE1, "c"), plan.Pod(NODE2, "c")):
            if pod.name not in self.cluster.pods:
                self.cluster.add_pod(pod)
        client = self.cluster.workers["client"]
        for number, policy in ((109, "Local"), (110, "Cluster")):
            offer = services.Offer(f"rolling-{policy.lower()}", number)
            frontends = [offer.load_balancer, *map(offer.node_port_of, plan.NODES)]
            self.serve(offer, "pod1b", "pod2b", externalTrafficPolicy=policy)
            self.becomes({"pod1b", "pod2b"} if policy == "Cluster" else {"pod1b"}, ("client",),
                         offer.load_balancer)
            client.call("load_start", name=policy, kind="short", threads=4, targets=[
                (proto, frontend.address[family], frontend.port) for frontend in frontends
                for family in plan.FAMILIES for proto in scene.PROTOCOLS])
            self.roll(offer, [])
            self.roll(offer, [self.backend(offer, "pod1c")])
            report = client.call("load_stop", name=policy, within=30)
            with self.subTest(policy=policy):
                self.assertEqual(report["failures"], 0, report["failed"])
                self.assertLessEqual({"pod1b", "pod1c", "pod2b", "pod2c"}, set(report["pods"]))

    def roll(self, offer, others):
        """On the node of which there is no new pod yet."""
        node = 2 if others else 1
        standing = others or [self.backend(offer, "pod2b")]
        old = f"pod{node}b"
        new = self.backend(offer, f"pod{node}c")
        for old_ones in ([self.backend(offer, old)], [self.backend(offer, old, terminating=True)], []):
            self.put(f"{offer.name}-pods", *standing, new, *old_ones)
            time.sleep(0.12)

    # ---- families ----

    @conformance.rows("3.2/dual-stack-v4", "3.2/dual-stack-v6")
    def test_services_of_one_family(self):
        for number, own, other in ((111, 4, 6), (112, 6, 4)):
            offer = services.Offer(f"only-v{own}", number)
            with self.subTest(family=own):
                self.serve(offer, "pod1b", "pod2b", families=(own,))
                self.becomes({"pod1b", "pod2b"}, scene.EVERYWHERE, *offer.frontends, families=(own,))
                self.refuses(("client", "pod1a"), offer.node_port_of(NODE1), families=(other,))
                self.unserved(scene.EVERYWHERE, offer.cluster_ip, offer.load_balancer,
                              offer.external_ip, families=(other,))

    @conformance.rows("3.2/dual-stack-v4-v6", "3.2/dual-stack-v6-v4", "3.2/secondary-pod-service",
                      "3.2/secondary-node-service")
    def test_cluster_ips_in_both_orders(self):
        for number, families in ((113, (4, 6)), (114, (6, 4))):
            offer = services.Offer(f"order-{families[0]}-{families[1]}", number)
            with self.subTest(families=families):
                self.serve(offer, "pod1b", "pod2b", families=families)
                self.becomes({"pod1b", "pod2b"}, scene.EVERYWHERE, *offer.frontends)

    @conformance.rows("3.2/dual-stack-single-primary")
    def test_no_family_named_means_the_primary_one(self):
        offer = services.Offer("plain", 115)
        service = offer.manifest(type="NodePort")
        for field in ("ipFamilies", "ipFamilyPolicy", "clusterIP", "clusterIPs"):
            del service["spec"][field]
        self.back(offer, "pod1b")
        self.put(offer.name, service)
        self.becomes("pod1b", scene.EVERYWHERE, offer.node_port_of(NODE1), families=(4,))
        self.refuses(("client", "pod1a"), offer.node_port_of(NODE1), families=(6,))
        address, port = self.cluster.agents["node1"].frontends("default/plain")["ClusterIP", 4, "tcp"]
        own = dataclasses.replace(offer.cluster_ip, address={4: address}, port=port)
        self.becomes("pod1b", scene.EVERYWHERE, own, families=(4,))

    # ---- lifetimes ----

    @conformance.rows("3.2/close-wait-timeout")
    def test_a_half_closed_connection_stays(self):
        """For an hour, and not for as long as one that both sides have closed, here a second."""
        offer = services.Offer("half-closed", 116)
        self.serve(offer, "pod1b")
        client, agent = self.cluster.workers["client"], self.cluster.agents["node1"]
        self.becomes("pod1b", ("client",), offer.node_port_of(NODE1))
        for family in plan.FAMILIES:
            where = {"address": NODE1.address(family), "port": offer.node_port, "proto": "tcp"}
            client.call("socket_open", name=f"half-{family}", **where)
            client.call("socket_finish", name=f"half-{family}", text="give 100000000")
            self.addCleanup(client.call, "socket_close", name=f"half-{family}")
        self.becomes("pod1b", ("client",), offer.node_port_of(NODE1))  # and closed, after those

        def flows():
            return len(agent.query("flow", "list", "--service", "default/half-closed:tcp"))

        self.assertGreater(flows(), 2)
        self.assertTrue(self.soon(lambda: flows() <= 2))
        self.assertEqual(flows(), 2)
        hour = agent.query("map", "dump", "weir_config")[0]["life_tcp_half_closed"] * TICK
        self.assertAlmostEqual(hour, 3600, delta=5)


if __name__ == "__main__":
    unittest.main()
