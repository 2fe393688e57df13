# SPDX-License-Identifier: Apache-2.0
"""
ICMP about translated flows, pings and fragments: path MTU discovery with a narrow link on either
side of every kind of service, who is named in errors, and datagrams larger than any link.
"""
import unittest

from cluster import base, cluster, conformance, manifests, plan, pods, services, shell

NODE1, NODE2 = plan.NODES
BACKENDS = {services.Offer("on-node1", 1): "pod1b", services.Offer("on-node2", 2): "pod2b"}
ON_NODE1, ON_NODE2 = BACKENDS
CLOSED = services.Offer("closed", 3)  # its pod is there, and nobody listens
PLACES = ("pod1a", "client")
BULK = 500_000
TO_CLIENT, TO_PODS = 1400, 1320  # MTU of routes that are narrower than the links
SIZES = (1200, 2000, 5000, 8000)


def setUpModule():
    base.require_root()


class Icmp(base.ClusterCase):
    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        services.publish_pods(cls.cluster, on_node1=["pod1b"], on_node2=["pod2b"])
        services.publish(cls.cluster, *BACKENDS)
        cls.publish_closed()
        cls.cluster.start_agents()
        cls.cluster.wait_serving("on-node1", "on-node2", "closed")

    @classmethod
    def publish_closed(cls):
        ports = [("udp", "UDP", services.PORT, cluster.SERVER_PORT + 1, CLOSED.node_port)]
        service = manifests.service(CLOSED.name, ON_NODE2.selector, ports, type="NodePort",
                                    clusterIPs=list(CLOSED.cluster_ip.address.values()))
        cls.cluster.manifests.put(CLOSED.name, service)

    @staticmethod
    def frontends(offer):
        return (offer.cluster_ip, offer.load_balancer, offer.node_port_of(NODE1),
                offer.node_port_of(NODE2))

    def cells(self):
        for place in PLACES:
            for offer in BACKENDS:
                for frontend in self.frontends(offer):
                    for family in plan.FAMILIES:
                        yield place, offer, frontend, family

    def call(self, place, call, frontend, family, **more):
        return self.cluster.workers[place].call(
            call, address=frontend.address[family], port=frontend.port, within=30, **more)

    def translated(self):
        return sum(each.counters().get("forward_icmp", 0) for each in self.cluster.agents.values())

    def narrow(self):
        """Routes narrower than their links, in front of the client and of both backends."""
        routes = {"router": [("client", plan.CLIENT, TO_CLIENT)]}
        for pod in map(self.cluster.pods.get, BACKENDS.values()):
            device = (pod.host_device(self.cluster.variant)
                      if self.cluster.variant.pods == "routed" else pods.BRIDGE)
            own = {family: pod.address(family) for family in plan.FAMILIES}
            routes[pod.node.name] = [(device, own, TO_PODS)]
        for part, narrowed in routes.items():
            for device, address, mtu in narrowed:
                shell.ip(self.cluster.ns(part),
                         *(f"route replace {address[family]}/{length} dev {device} mtu {mtu}"
                           for family, length in ((4, 32), (6, 128))))

    def forget_paths(self):
        """What the ends have learned about the MTU so far."""
        for part in self.cluster.workers:
            for family in plan.FAMILIES:
                shell.run("ip", "-n", self.cluster.ns(part), f"-{family}", "route", "flush", "cache")

    def test_ping(self):
        for place in (*PLACES, "pod2a", "pod1b"):
            for frontend in (ON_NODE2.cluster_ip, ON_NODE2.load_balancer, ON_NODE2.external_ip):
                for family in plan.FAMILIES:
                    address = frontend.address[family]
                    with self.subTest(client=place, address=address):
                        answer = self.cluster.workers[place].call("echo", address=address)
                        self.assertEqual(answer, {"error": None, "from": address})

    def test_hops(self):
        """Nodes on the way are named, but behind a source NAT, about the address that was asked."""
        own = {node: {node.address(f) for f in plan.FAMILIES}
               | {node.overlay_address(f) for f in plan.FAMILIES}
               | {node.bridge_address(f) for f in plan.FAMILIES}
               | {pods.ROUTED_LINK_LOCAL} for node in plan.NODES}
        service = set(ON_NODE2.load_balancer.address.values())
        for place, hops, offer, named in (("client", 2, ON_NODE1, own[NODE1]),
                                          ("client", 2, ON_NODE2, service),
                                          ("client", 3, ON_NODE2, service),
                                          ("pod1a", 1, ON_NODE2, own[NODE1]),
                                          ("pod1a", 2, ON_NODE2, own[NODE2])):
            for family in plan.FAMILIES:
                with self.subTest(client=place, hops=hops, service=offer.name, family=family):
                    frontend = offer.load_balancer
                    answer = self.call(place, "time_exceeded", frontend, family, hops=hops)
                    self.assertEqual((answer["error"], answer.get("about")),
                                     ("EHOSTUNREACH", frontend.address[family]))
                    self.assertIn(answer["from"], named)

    def test_closed_port_of_a_backend_refuses(self):
        for place in (*PLACES, "pod2a"):
            for frontend in (CLOSED.cluster_ip, CLOSED.node_port_of(NODE1),
                             CLOSED.node_port_of(NODE2)):
                for family in plan.FAMILIES:
                    with self.subTest(client=place, frontend=frontend.kind, family=family):
                        answer = self.cluster.ask(place, "udp", frontend.address[family],
                                                  frontend.port, timeout=1)
                        self.assertEqual(answer["error"], "refused")

    def test_path_mtu_tcp(self):
        self.narrow()
        for direction in ("up", "down"):
            for place, offer, frontend, family in self.cells():
                with self.subTest(client=place, service=offer.name, frontend=frontend.kind,
                                  family=family, direction=direction):
                    self.forget_paths()
                    done = self.call(place, "bulk", frontend, family, size=BULK,
                                     direction=direction, timeout=10)
                    self.assertEqual((done["error"], done["bytes"]), (None, BULK))

    def test_path_mtu_udp(self):
        self.narrow()
        before = self.translated()
        for place, offer, frontend, family in self.cells():
            with self.subTest(client=place, service=offer.name, frontend=frontend.kind,
                              family=family):
                self.forget_paths()
                learned = self.call(place, "path_mtu", frontend, family, size=1372, small=1100)
                self.assertEqual(learned, {"mtu": TO_PODS, "answered": True})
        self.assertGreater(self.translated(), before)

    @conformance.rows("3.2/large-requests-udp", "3.2/secondary-large-requests")
    def test_large_datagrams(self):
        for place, offer, frontend, family in self.cells():
            with self.subTest(client=place, service=offer.name, frontend=frontend.kind,
                              family=family):
                arrived = self.call(place, "datagrams", frontend, family, sizes=SIZES)
                self.assertEqual(arrived, list(SIZES))

    def test_nobody_was_dropped(self):
        self.assertEqual(self.cluster.dropped(), {})


if __name__ == "__main__":
    unittest.main()
