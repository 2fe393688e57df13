# SPDX-License-Identifier: Apache-2.0
"""Services that become something else while the agents run, and what a Service leaves as it is."""
import unittest

from cluster import base, client, cluster, conformance, manifests, plan, services, shell

NODE1, NODE2 = plan.NODES
ONE = services.Offer("one", 61)  # pod1b
TWO = services.Offer("two", 62)  # pod2b, and what tests make of it
LATE = services.Offer("late", 63)  # not there at first
ZONED = services.Offer("zoned", 64)  # by an EndpointSlice with hints
ZONE = "topology.kubernetes.io/zone"
FOREIGN = {"service.kubernetes.io/headless": "", "service.kubernetes.io/service-proxy-name": "other"}


def setUpModule():
    base.require_root()


def labelled(object_, **labels):
    return object_ | {"metadata": object_["metadata"] | {"labels": labels}}


class Changes(base.ClusterCase):
    @classmethod
    def prepare(cls):
        cls.zones("a", "b")
        services.publish_pods(cls.cluster, one=["pod1b"], two=["pod2b"])
        services.publish(cls.cluster, ONE, TWO)
        cls.cluster.start_agents()
        cls.cluster.wait_serving("one", "two")

    @classmethod
    def zones(cls, *zones):
        cls.cluster.manifests.put("nodes", *(
            labelled(manifests.node(node), **({ZONE: zone} if zone else {}))
            for node, zone in zip(plan.NODES, zones)))

    def put(self, manifest):
        self.cluster.manifests.put(manifest["metadata"]["name"], manifest)

    def pod_at(self, frontend, place="pod1a", **changed):
        """Who answers there, or the error."""
        answer = self.cluster.ask(place, "tcp", frontend.address[4], **(
            {"port": frontend.port, "timeout": 0.3} | changed))
        return answer["pod"] or answer["error"]

    def becomes(self, wanted, frontend):
        self.assertTrue(client.eventually(lambda: self.pod_at(frontend) == wanted),
                        f"{frontend.kind}: {wanted}, got {self.pod_at(frontend)}")

    def served(self):
        for frontend in (TWO.cluster_ip, TWO.load_balancer, TWO.node_port_of(NODE1)):
            self.becomes("pod2b", frontend)

    def not_served(self):
        """An address of the service range is silent; the node answers for its own ports."""
        self.becomes("timeout", TWO.cluster_ip)
        self.becomes("refused", TWO.node_port_of(NODE1))

    @conformance.rows("1.1/external-name", "1.1/external-name-flip")
    def test_type_flips_to_external_name_and_back(self):
        self.addCleanup(self.put, TWO.manifest())
        for kind in ("LoadBalancer", "NodePort"):
            self.put(TWO.manifest(type="ExternalName", externalName="a.example"))
            self.not_served()
            self.put(TWO.manifest(type=kind))
            self.becomes("pod2b", TWO.cluster_ip)
            self.becomes("pod2b", TWO.node_port_of(NODE1))

    @conformance.rows("1.1/headless-label", "1.1/headless-label-toggle",
                      "1.1/proxy-name-label", "1.1/proxy-name-label-toggle")
    def test_labels_of_others_come_and_go(self):
        self.addCleanup(self.put, TWO.manifest())
        for label, value in FOREIGN.items():
            with self.subTest(label=label):
                self.put(labelled(TWO.manifest(), **{label: value}))
                self.not_served()
                self.put(TWO.manifest())
                self.served()

    @conformance.rows("1.1/load-balancer-shared")
    def test_two_services_share_a_load_balancer_address(self):
        self.addCleanup(self.put, TWO.manifest())
        shared = manifests.with_vips(TWO.manifest(), ONE.load_balancer.address.values())
        for port in shared["spec"]["ports"]:
            port["port"] = services.PORT + 1
        self.put(shared)
        for place in ("pod2a", "client"):
            self.assertTrue(client.eventually(lambda: self.pod_at(
                ONE.load_balancer, place, port=services.PORT + 1) == "pod2b"), place)
            self.assertEqual(self.pod_at(ONE.load_balancer, place), "pod1b")

    @conformance.rows("1.1/ip-mode-proxy")
    def test_an_address_that_its_load_balancer_serves_is_left_to_it(self):
        self.addCleanup(self.put, TWO.manifest())
        proxied = TWO.manifest()
        for entry in proxied["status"]["loadBalancer"]["ingress"]:
            entry["ipMode"] = "Proxy"
        self.put(proxied)
        self.becomes("unreachable", TWO.load_balancer)
        self.assertEqual(self.pod_at(TWO.cluster_ip), "pod2b")
        self.assertEqual(self.pod_at(TWO.node_port_of(NODE1)), "pod2b")

    @conformance.rows("1.2/hints-zone", "1.2/hints-zone-change", "1.2/hints-no-zone")
    def test_a_node_moves_to_another_zone(self):
        ports = [{"name": proto.lower(), "protocol": proto, "port": cluster.SERVER_PORT}
                 for proto in ("TCP", "UDP")]
        endpoints = [{"addresses": [self.cluster.pods[pod].address(4)], "nodeName": node.name,
                      "hints": {"forZones": [{"name": zone}]}}
                     for pod, node, zone in (("pod1b", NODE1, "a"), ("pod2b", NODE2, "b"))]
        zoned = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                 "metadata": {"name": "zoned-1",
                              "labels": {"kubernetes.io/service-name": ZONED.name}},
                 "ports": ports, "endpoints": endpoints}
        self.cluster.manifests.put("zoned", ZONED.manifest(), zoned)
        self.addCleanup(self.cluster.manifests.remove, "zoned.json")
        self.addCleanup(self.zones, "a", "b")
        for zone, pods in (("a", ["pod1b"]), ("b", ["pod2b"]), (None, ["pod1b", "pod2b"]),
                           ("a", ["pod1b"])):
            self.zones(zone, "b")
            agent = self.cluster.agents["node1"]
            wanted = {self.cluster.pods[pod].address(4) for pod in pods}
            agent.wait_until(lambda: agent.endpoints("default/zoned") == wanted, f"zone {zone}")
            self.assertIn(self.pod_at(ZONED.cluster_ip), pods)

    # ---- UDP sockets that stay open ----

    def udp(self, place, frontend, timeout=0.5):
        """A function that asks over one socket, and says who answered or the error."""
        worker, name = self.cluster.workers[place], f"{place} {frontend.kind}"
        worker.call("socket_open", name=name, proto="udp", timeout=timeout,
                    address=frontend.address[4], port=frontend.port)
        self.addCleanup(worker.call, "socket_close", name=name)

        def ask():
            answer = worker.call("socket_ask", name=name, proto="udp")
            return answer["pod"] or answer["error"]
        return ask

    @conformance.rows("1.3/udp-early")
    def test_udp_that_came_too_early_is_served_when_its_service_is(self):
        """First there is no Service, then it has no endpoint."""
        asks = [self.udp(place, frontend) for place in ("pod1a", "client") for frontend in (
            LATE.cluster_ip, LATE.load_balancer, LATE.node_port_of(NODE1))]
        for ask in asks:
            self.assertIn(ask(), ("timeout", "refused", "unreachable"))
        services.publish(self.cluster, LATE)
        self.addCleanup(self.cluster.manifests.remove, "late.json")
        self.cluster.wait_serving("late")
        for ask in asks:
            self.assertTrue(client.eventually(lambda: ask() == "refused"))
        self.addCleanup(services.publish_pods, self.cluster, one=["pod1b"], two=["pod2b"])
        services.publish_pods(self.cluster, one=["pod1b"], two=["pod2b"], late=["pod2a"])
        for ask in asks:
            self.assertTrue(client.eventually(lambda: ask() == "pod2a"))

    @conformance.rows("1.1/target-port", "1.3/udp-port-change")
    def test_udp_leaves_an_endpoint_that_changes_its_port(self):
        self.addCleanup(self.put, TWO.manifest())
        other = cluster.SERVER_PORT + 1
        self.cluster.workers["pod2b"].call("serve", name="pod2b, again", port=other)
        asks = [self.udp(place, frontend) for place, frontend in (
            ("pod1a", TWO.cluster_ip), ("client", TWO.node_port_of(NODE1)))]
        self.assertEqual([ask() for ask in asks], ["pod2b"] * 2)
        changed = TWO.manifest()
        for port in changed["spec"]["ports"]:
            port["targetPort"] = other
        self.put(changed)
        for ask in asks:
            self.assertTrue(client.eventually(lambda: ask() == "pod2b, again"))

    # ---- what is left as it is ----

    def listening(self, number):
        shown = shell.run(*shell.inside(self.cluster.ns("node1")), "ss", "-Hlntu")
        return [line for line in shown.splitlines() if f":{number} " in line]

    @conformance.rows("1.1/node-port-no-socket")
    def test_no_socket_listens_on_a_node_port(self):
        self.assertEqual(self.pod_at(TWO.node_port_of(NODE1), "client"), "pod2b")
        self.assertEqual(self.listening(TWO.node_port), [])
        self.addCleanup(self.put, TWO.manifest())
        self.cluster.manifests.remove("two.json")
        self.not_served()
        self.assertEqual(self.listening(TWO.node_port), [])
        self.assertTrue(self.listening(10256))  # /healthz: what is there is found


if __name__ == "__main__":
    unittest.main()
