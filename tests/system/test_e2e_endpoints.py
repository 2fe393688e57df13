# SPDX-License-Identifier: Apache-2.0
"""
Which endpoints a service has: pods that come, go, are not ready or terminating, are on the host's
network, or are hinted for somewhere else. After upstream's service.go, networking.go,
topology_hints.go and traffic_distribution.go.
"""
import unittest

from cluster import base, conformance, manifests, plan, scene, services

NODE1, NODE2 = plan.NODES
ON_NODE1, ON_NODE2 = ("pod1a", "node1"), ("pod2a", "node2")
NODES = ("node1", "node2")
ZONES = {"node1": "zone-a", "node2": "zone-b"}


def setUpModule():
    base.require_root()


class Endpoints(scene.Scene):
    @classmethod
    def prepare(cls):
        super().prepare()
        cls.zones(**ZONES)
        for node in NODES:
            cls.cluster.workers[node].call("serve", name=node, port=8000)

    @classmethod
    def zones(cls, **zones):
        cls.cluster.manifests.put("nodes", *(
            manifests.node(node, zones.get(node.name)) for node in plan.NODES))

    def inside_and_node_ports(self, offer):
        return [offer.cluster_ip, *map(offer.node_port_of, plan.NODES)]

    # ---- pods that come and go ----

    @conformance.rows("3.1/2", "3.2/update-endpoints-http", "3.2/update-endpoints-udp",
                      "3.2/secondary-update-endpoints")
    def test_endpoints_follow_pods(self):
        offer = services.Offer("follows", 71)
        self.serve(offer)
        for pods in ((), ("pod1b",), ("pod1b", "pod2b"), ("pod2b",), ()):
            with self.subTest(pods=pods):
                self.back(offer, *pods)
                if pods:
                    self.becomes(pods, scene.EVERYWHERE, *offer.frontends)
                else:
                    self.refuses(scene.EVERYWHERE, *offer.frontends)

    @conformance.rows("3.1/32", "3.1/33")
    def test_without_endpoints_everybody_is_refused(self):
        """Of the second, the only pod was evicted: it has an address still."""
        empty, evicted = services.Offer("nobody", 72), services.Offer("evicted", 73)
        self.serve(empty)
        self.put(evicted.name, evicted.manifest())
        self.back(evicted, "pod1b")
        self.becomes("pod1b", scene.INSIDE, evicted.cluster_ip)
        self.back(evicted, "pod1b", phase="Failed")
        self.becomes("refused", ("pod1a", "client", "node1"), evicted.cluster_ip,
                     evicted.node_port_of(NODE1), empty.cluster_ip, empty.external_ip)

    @conformance.rows("3.2/several-services-same-selector")
    def test_several_services_of_one_selector(self):
        one, two = services.Offer("same-1", 74), services.Offer("same-2", 75)
        self.serve(one, "pod1b", "pod2b")
        self.put(two.name, two.manifest(selector=one.selector))
        frontends = self.inside_and_node_ports(one), self.inside_and_node_ports(two)
        self.becomes({"pod1b", "pod2b"}, scene.EVERYWHERE, *frontends[0], *frontends[1])
        self.remove(one.name)
        self.unserved(scene.EVERYWHERE, *frontends[0])
        self.becomes({"pod1b", "pod2b"}, scene.EVERYWHERE, *frontends[1])

    @conformance.rows("3.2/endpoints-host-network", "3.2/secondary-endpoints-host-network")
    def test_pods_on_the_hosts_network(self):
        offer = services.Offer("host-network", 76)
        self.serve(offer, *NODES)
        self.becomes(set(NODES), (*scene.EVERYWHERE, "node2"), *offer.frontends)

    @conformance.rows("3.1/36")
    def test_internal_local_to_pods_on_the_hosts_network(self):
        offer = services.Offer("host-local", 77)
        self.serve(offer, "node1", internalTrafficPolicy="Local")
        self.becomes("node1", ON_NODE1, offer.cluster_ip)
        self.becomes("timeout", ON_NODE2, offer.cluster_ip)
        self.becomes("node1", (*ON_NODE1, *ON_NODE2), *offer.frontends[1:])

    # ---- not ready, and terminating ----

    def published(self, offer, yes, **spec):
        self.put(offer.name, offer.manifest(publishNotReadyAddresses=yes, **spec))

    @conformance.rows("3.1/21")
    def test_not_ready_addresses_published_withdrawn_and_published(self):
        offer = services.Offer("unready", 78)
        frontends = self.inside_and_node_ports(offer)
        self.back(offer, "pod1b", ready=False)
        self.published(offer, True)
        self.becomes("pod1b", scene.EVERYWHERE, *frontends)
        self.published(offer, False)
        self.refuses(scene.EVERYWHERE, *frontends)
        self.published(offer, True)
        self.back(offer, "pod1b", ready=False, terminating=True)
        self.becomes("pod1b", scene.EVERYWHERE, *frontends)

    @conformance.rows("3.1/22", "3.1/23")
    def test_terminating_and_unready_with_and_without_publication(self):
        yes, no = services.Offer("published", 79), services.Offer("withheld", 80)
        for offer in (yes, no):
            self.put(f"{offer.name}-pods", self.backend(offer, "pod1b", ready=False),
                     self.backend(offer, "pod2b", ready=False, terminating=True))
            self.published(offer, offer == yes)
        self.becomes({"pod1b", "pod2b"}, scene.EVERYWHERE, *self.inside_and_node_ports(yes))
        self.refuses(scene.EVERYWHERE, *self.inside_and_node_ports(no))

    @conformance.rows("3.1/38", "3.1/40")
    def test_terminating_pods_serve_if_there_is_no_other(self):
        offer = services.Offer("last-resort", 81)
        self.serve(offer)
        self.back(offer, "pod1b", "pod2b", terminating=True)
        self.becomes({"pod1b", "pod2b"}, scene.EVERYWHERE, *offer.frontends)
        self.put("last-resort-pods", self.backend(offer, "pod1b", terminating=True),
                 self.backend(offer, "pod2b"))
        self.becomes("pod2b", scene.EVERYWHERE, *offer.frontends)
        self.back(offer, "pod1b", "pod2b", ready=False, terminating=True)
        self.refuses(scene.EVERYWHERE, *offer.frontends)

    @conformance.rows("3.1/39")
    def test_internal_local_falls_back_to_its_own_terminating_pod(self):
        """Its own, even if there is a better one on the other node."""
        offer = services.Offer("last-inside", 82)
        self.serve(offer, internalTrafficPolicy="Local")
        self.back(offer, "pod1b", terminating=True)
        self.becomes("pod1b", ON_NODE1, offer.cluster_ip)
        self.becomes("timeout", ON_NODE2, offer.cluster_ip)
        self.put("last-inside-pods", self.backend(offer, "pod1b", terminating=True),
                 self.backend(offer, "pod2b"))
        self.becomes("pod2b", ON_NODE2, offer.cluster_ip)
        self.becomes("pod1b", ON_NODE1, offer.cluster_ip)
        self.becomes("pod2b", ON_NODE1, offer.node_port_of(NODE1))

    @conformance.rows("3.1/41")
    def test_external_local_falls_back_to_its_own_terminating_pod(self):
        offer = services.Offer("last-outside", 83)
        self.serve(offer, externalTrafficPolicy="Local")
        self.back(offer, "pod1b", terminating=True)
        self.becomes("pod1b", ("client",), offer.node_port_of(NODE1), offer.load_balancer)
        self.becomes("timeout", ("client",), offer.node_port_of(NODE2), offer.external_ip)
        self.becomes("pod1b", (*ON_NODE1, *ON_NODE2), offer.cluster_ip, offer.load_balancer)
        self.put("last-outside-pods", self.backend(offer, "pod1b", terminating=True),
                 self.backend(offer, "pod2b"))
        self.becomes("pod2b", ("client",), offer.node_port_of(NODE2), offer.external_ip)
        self.becomes("pod1b", ("client",), offer.node_port_of(NODE1), offer.load_balancer)
        self.becomes("pod2b", (*ON_NODE1, *ON_NODE2), offer.cluster_ip, offer.load_balancer)

    # ---- hints ----

    def hinted(self, offer, hints, **spec):
        """hints: pod -> what its endpoint is hinted for. Slices are written by hand."""
        service = offer.manifest(**spec)
        del service["spec"]["selector"]
        ports = [(proto.lower(), proto, 8000) for proto in ("TCP", "UDP")]
        slices = []
        for family in plan.FAMILIES:
            endpoints = [{"addresses": [self.cluster.pods[pod].address(family)],
                          "nodeName": self.cluster.pods[pod].node.name, **hint}
                         for pod, hint in hints.items()]
            slices.append(manifests.endpoint_slice(offer.name, family, ports, endpoints))
        self.put(offer.name, service, *slices)

    def split(self, offer, on_node1, on_node2):
        """Who serves the clients of each node; outside ones come in by its node port."""
        for wanted, places, node in ((on_node1, ON_NODE1, NODE1), (on_node2, ON_NODE2, NODE2)):
            self.becomes(wanted, places, offer.cluster_ip)
            self.becomes(wanted, (*places, "client"), offer.node_port_of(node))

    @staticmethod
    def for_zones(*zones, nodes=()):
        return {"hints": {"forZones": [{"name": name} for name in zones],
                          "forNodes": [{"name": name} for name in nodes]}}

    @conformance.rows("3.2/topology-hints", "3.2/traffic-distribution-prefer-close",
                      "3.2/traffic-distribution-prefer-same-zone")
    def test_requests_stay_in_their_zone(self):
        offer = services.Offer("by-zone", 84)
        both = {"pod1b", "pod2b"}
        self.hinted(offer, {"pod1b": self.for_zones("zone-a"), "pod2b": self.for_zones("zone-b")})
        self.split(offer, "pod1b", "pod2b")
        self.hinted(offer, {"pod1b": self.for_zones("zone-a"), "pod2b": {}})
        self.split(offer, both, both)  # whoever writes hints has not finished
        self.hinted(offer, {"pod1b": self.for_zones("zone-a"), "pod2b": self.for_zones("zone-c")})
        self.split(offer, "pod1b", both)  # nobody is hinted for zone b
        self.hinted(offer, {"pod1b": self.for_zones("zone-a", "zone-b"),
                            "pod2b": self.for_zones("zone-b")})
        self.split(offer, "pod1b", both)

    @conformance.rows("3.2/topology-hints")
    def test_zones_of_nodes_change(self):
        offer = services.Offer("moving-zones", 85)
        self.addCleanup(self.zones, **ZONES)
        self.hinted(offer, {"pod1b": self.for_zones("zone-a"), "pod2b": self.for_zones("zone-b")})
        self.split(offer, "pod1b", "pod2b")
        self.zones(node1="zone-b", node2="zone-a")
        self.split(offer, "pod2b", "pod1b")
        self.zones(node1="zone-b")
        self.split(offer, "pod2b", {"pod1b", "pod2b"})

    @conformance.rows("3.2/traffic-distribution-prefer-same-node")
    def test_requests_stay_on_their_node(self):
        """Hints for nodes go before those for zones, which are here for the other node."""
        offer = services.Offer("by-node", 86)
        self.hinted(offer, {"pod1b": self.for_zones("zone-b", nodes=["node1"]),
                            "pod2b": self.for_zones("zone-a", nodes=["node2"])})
        self.split(offer, "pod1b", "pod2b")
        self.hinted(offer, {"pod1b": self.for_zones("zone-b", nodes=["node1"]),
                            "pod2b": self.for_zones("zone-a", nodes=["node3"])})
        self.split(offer, "pod1b", "pod1b")  # for node 2 by its zone

    @conformance.rows("3.2/topology-hints")
    def test_hints_bind_no_local_policy(self):
        """Under a policy Local a node's own endpoints count, wherever they are hinted for."""
        offer = services.Offer("hinted-local", 87)
        self.hinted(offer, {"pod1b": self.for_zones("zone-b"), "pod2b": self.for_zones("zone-a")},
                    internalTrafficPolicy="Local", externalTrafficPolicy="Local")
        for own, places, node in (("pod1b", ON_NODE1, NODE1), ("pod2b", ON_NODE2, NODE2)):
            self.becomes(own, places, offer.cluster_ip)
            self.becomes(own, ("client",), offer.node_port_of(node))
        self.becomes("pod2b", ON_NODE1, offer.load_balancer)
        self.becomes("pod1b", ON_NODE2, offer.load_balancer)


if __name__ == "__main__":
    unittest.main()
