# SPDX-License-Identifier: Apache-2.0
"""Services that come, change and go at run time, after upstream's test/e2e/network/service.go."""
import dataclasses
import os
import statistics
import time
import unittest

from cluster import base, conformance, manifests, plan, scene, services, shell

NODE1, NODE2 = plan.NODES
SECOND_PORT = 8001  # of each backend's second server


def setUpModule():
    base.require_root()


def at_port(frontend, port):
    return dataclasses.replace(frontend, port=port)


class Changes(scene.Scene):
    @classmethod
    def prepare(cls):
        super().prepare()
        for pod in ("pod1b", "pod2b"):
            cls.listen(pod, SECOND_PORT)

    @conformance.rows("3.1/7")
    def test_services_go_up_and_down(self):
        stays, goes, late = (services.Offer(f"up-{n}", n) for n in (1, 2, 3))
        self.serve(stays, "pod1b")
        self.serve(goes, "pod2b")
        self.becomes("pod1b", scene.EVERYWHERE, *stays.frontends)
        self.becomes("pod2b", scene.EVERYWHERE, *goes.frontends)
        self.remove(goes.name)
        self.unserved(scene.EVERYWHERE, goes.cluster_ip)
        self.becomes("pod1b", scene.EVERYWHERE, *stays.frontends)
        self.serve(late, "pod1b", "pod2b")
        self.becomes({"pod1b", "pod2b"}, scene.EVERYWHERE, late.cluster_ip)
        self.serve(goes, "pod2b")
        self.becomes("pod2b", scene.EVERYWHERE, *goes.frontends)

    @conformance.rows("3.1/7")
    def test_a_removed_services_address_is_silent(self):
        """Also while there are flows, which some service's address needs to be remembered for."""
        offer = services.Offer("removed", 22)
        self.serve(offer, "pod1b", "pod2b")
        self.becomes({"pod1b", "pod2b"}, scene.EVERYWHERE, offer.cluster_ip)
        self.remove(offer.name)
        self.unserved(scene.EVERYWHERE, offer.cluster_ip)
        # Longer than until the next SYN: it is silence, and not an answer to the first one.
        self.all_are({"timeout"}, self.outcomes(scene.EVERYWHERE, [offer.cluster_ip], timeout=1.5))

    @conformance.rows("3.1/8")
    def test_created_again_with_other_addresses(self):
        old, new = services.Offer("again", 4), services.Offer("again", 5)
        self.serve(old, "pod1b", "pod2b")
        self.becomes({"pod1b", "pod2b"}, scene.EVERYWHERE, old.cluster_ip)
        self.remove("again")
        self.unserved(scene.EVERYWHERE, old.cluster_ip)
        self.put("again", new.manifest())
        self.becomes({"pod1b", "pod2b"}, scene.EVERYWHERE, new.cluster_ip)
        self.unserved(scene.EVERYWHERE, old.cluster_ip)

    @conformance.rows("3.1/4")
    def test_ports_come_and_go(self):
        offer = services.Offer("ports", 6)
        more = offer.ports("TCP", "UDP", port=81, target=SECOND_PORT, node_port=30200)
        more = [(f"{name}-2", *rest) for name, *rest in more]
        few = offer.ports("TCP", "UDP", node_port=offer.node_port)
        second = [at_port(offer.cluster_ip, 81), at_port(offer.load_balancer, 81)]
        node_ports = [at_port(offer.node_port_of(node), 30200) for node in plan.NODES]
        self.serve(offer, "pod1b", ports=few)
        self.refuses(("pod1a", "client", "node1"), *second)
        self.put(offer.name, offer.manifest(ports=few + more))
        self.becomes("pod1b:8001", scene.EVERYWHERE, *second, *node_ports)
        self.becomes("pod1b", scene.EVERYWHERE, *offer.frontends)
        self.put(offer.name, offer.manifest(ports=few))
        self.refuses(("pod1a", "client", "node1"), *second, *node_ports)
        self.becomes("pod1b", scene.EVERYWHERE, *offer.frontends)

    @conformance.rows("3.1/3")
    def test_several_ports_by_name(self):
        """Each name is a port of one pod alone; a third has both, with the numbers exchanged."""
        offer = services.Offer("named", 7)
        ports = [("first", "TCP", 80, "one", None), ("second", "TCP", 81, "two", None)]
        first, second = offer.cluster_ip, at_port(offer.cluster_ip, 81)
        pods = {"one": self.backend(offer, "pod1b", ports={"one": 8000}),
                "two": self.backend(offer, "pod2b", ports={"two": SECOND_PORT}),
                "both": self.backend(offer, "pod2b", "-both", ports={"one": SECOND_PORT, "two": 8000})}

        def there(*names):
            self.put("named-pods", *(pods[name] for name in names))

        def are(*in_ports):
            for frontend, wanted in zip((first, second), in_ports):
                places = ("node1", "node2") if wanted == "refused" else scene.EVERYWHERE
                self.becomes(wanted, places, frontend, protocols=("tcp",))

        self.put("named", offer.manifest(ports=ports, type="ClusterIP"))
        there()
        are("refused", "refused")
        there("one")
        are("pod1b", "refused")
        there("one", "two")
        are("pod1b", "pod2b:8001")
        there("one", "two", "both")
        are({"pod1b", "pod2b:8001"}, {"pod2b:8001", "pod2b"})
        there("two")
        are("refused", "pod2b:8001")

    @conformance.rows("3.1/13")
    def test_node_port_of_one_protocol_then_of_two(self):
        offer = services.Offer("two-protocols", 8)
        frontends = [offer.cluster_ip, *map(offer.node_port_of, plan.NODES)]
        places = ("pod1a", "client", "node1")
        for protocols, other in ((("tcp",), ("udp",)), (("tcp", "udp"), ()), (("udp",), ("tcp",))):
            ports = offer.ports(*(p.upper() for p in protocols), node_port=offer.node_port)
            self.serve(offer, "pod1b", type="NodePort", ports=ports)
            self.becomes("pod1b", scene.EVERYWHERE, *frontends, protocols=protocols)
            if other:
                self.refuses(places, *frontends, protocols=other)

    @conformance.rows("3.1/14", "3.1/15", "3.1/16", "3.1/17")
    def test_external_name_and_back(self):
        """Under the same addresses as before, so that a leftover would be seen."""
        offer = services.Offer("flips", 9)
        node_ports = [offer.node_port_of(node) for node in plan.NODES]
        name = manifests.service(offer.name, offer.selector, offer.ports("TCP"),
                                 type="ExternalName", externalName="example.org")
        inside = offer.manifest(type="ClusterIP", ports=offer.ports("TCP", "UDP"))
        outside = offer.manifest(type="NodePort")
        self.back(offer, "pod2b")
        for served in (inside, outside, inside):
            with self.subTest(type=served["spec"]["type"]):
                self.put(offer.name, served)
                self.becomes("pod2b", scene.EVERYWHERE, offer.cluster_ip)
                self.becomes("pod2b" if served is outside else "refused", ("client", "pod1a"),
                             *node_ports)
                self.put(offer.name, name)
                self.unserved(scene.EVERYWHERE, offer.cluster_ip)
                self.refuses(("client", "pod1a"), *node_ports)

    def listening(self, port):
        """Sockets of the nodes' processes on this port."""
        return [line for node in plan.NODES for line in shell.run(
            *shell.inside(self.cluster.ns(node.name)), "ss", "-tulnH", f"sport = :{port}").splitlines()]

    @conformance.rows("3.1/20", "3.2/update-node-port-http", "3.2/update-node-port-udp")
    def test_node_ports_are_released(self):
        first, second = services.Offer("released", 10), services.Offer("taker", 11)
        node_ports = [first.node_port_of(node) for node in plan.NODES]
        self.serve(first, "pod1b", type="NodePort")
        self.becomes("pod1b", scene.EVERYWHERE, *node_ports)
        self.assertEqual(self.listening(first.node_port), [])
        self.put(first.name, first.manifest(type="ClusterIP", ports=first.ports("TCP", "UDP")))
        self.refuses(("pod1a", "client", "node1"), *node_ports)
        self.becomes("pod1b", scene.EVERYWHERE, first.cluster_ip)
        self.serve(second, "pod2b", type="NodePort",
                   ports=second.ports("TCP", "UDP", node_port=first.node_port))
        self.becomes("pod2b", scene.EVERYWHERE, *node_ports)
        self.remove(second.name)
        self.refuses(("pod1a", "client", "node1"), *node_ports)
        self.assertEqual(self.listening(first.node_port), [])
        self.cluster.workers["node1"].call("serve", name="node1", port=first.node_port)
        self.becomes("node1", ("client", *scene.INSIDE), node_ports[0])

    @conformance.rows("3.1/30", "3.1/31")
    def test_labels_that_say_it_is_not_ours(self):
        offers = {label: services.Offer(label, number) for label, number in
                  (("service-proxy-name", 12), ("headless", 13))}
        cluster_ips = [offer.cluster_ip for offer in offers.values()]
        node_ports = [offer.node_port_of(NODE1) for offer in offers.values()]

        def publish(with_label):
            for label, offer in offers.items():
                labels = {f"service.kubernetes.io/{label}": "other"} if with_label else {}
                self.put(offer.name, manifests.labelled(offer.manifest(), **labels))

        for offer in offers.values():
            self.back(offer, "pod1b")
        for with_label in (True, False, True, False):
            with self.subTest(with_label=with_label):
                publish(with_label)
                if with_label:
                    self.unserved(scene.EVERYWHERE, *cluster_ips)
                    self.refuses(("pod1a", "client", "node1"), *node_ports)
                else:
                    self.becomes("pod1b", scene.EVERYWHERE, *cluster_ips, *node_ports)

    @conformance.rows("3.1/46", "3.1/47")
    def test_one_port_of_two_protocols(self):
        for number, kind in ((14, "ClusterIP"), (15, "LoadBalancer")):
            offer = services.Offer(f"both-{number}", number)
            frontends = [offer.cluster_ip] + ([offer.load_balancer] if number == 15 else [])
            for served, other in ((("tcp", "udp"), ()), (("tcp",), ("udp",)), (("udp",), ("tcp",))):
                with self.subTest(type=kind, served=served):
                    self.serve(offer, "pod1b", "pod2b", type=kind,
                               ports=offer.ports(*(proto.upper() for proto in served)),
                               allocateLoadBalancerNodePorts=False)
                    self.becomes({"pod1b", "pod2b"}, scene.INSIDE, *frontends, protocols=served)
                    if other:
                        self.refuses(("pod1a", "node1"), *frontends, protocols=other)

    @conformance.rows("3.1/48")
    def test_sctp_needs_no_module(self):
        """What becomes of its packets is in test_sctp."""
        offer = services.Offer("sctp", 16)
        beside = services.Offer("beside-sctp", 17)
        self.serve(beside, "pod1b")
        self.serve(offer, "pod1b", type="NodePort",
                   ports=offer.ports("SCTP", node_port=offer.node_port))
        self.cluster.wait_serving(offer.name)
        self.cluster.wait_endpoints(f"default/{offer.name}", "pod1b")
        self.becomes("pod1b", scene.EVERYWHERE, *beside.frontends)
        self.assertFalse(os.path.exists("/proc/net/sctp"))

    @conformance.rows("3.1/10")
    def test_source_goes_and_comes_back(self):
        """The directory of manifests stands for the API server, which is away for a while."""
        offer, late = services.Offer("kept-on", 18), services.Offer("came-later", 19)
        self.serve(offer, "pod1b", "pod2b")
        self.becomes({"pod1b", "pod2b"}, scene.EVERYWHERE, offer.cluster_ip)
        path = self.cluster.manifests.path
        away = path.with_name("away")
        os.rename(path, away)
        self.addCleanup(lambda: away.exists() and os.rename(away, path))
        self.becomes({"pod1b", "pod2b"}, scene.EVERYWHERE, offer.cluster_ip)
        manifests.Directory(away).put(late.name, late.manifest(selector=offer.selector))
        os.rename(away, path)
        self.becomes({"pod1b", "pod2b"}, scene.EVERYWHERE, offer.cluster_ip, late.cluster_ip)
        self.put(late.name, late.manifest())  # nobody has its own label
        self.refuses(("pod1a", "node1"), late.cluster_ip)

    @conformance.rows("3.2/lb-change-type-tcp", "3.2/lb-change-type-udp")
    def test_type_and_ports_change(self):
        offer = services.Offer("changes", 20)
        node_ports = [offer.node_port_of(node) for node in plan.NODES]
        other_ports = [at_port(frontend, 30201) for frontend in node_ports]
        other_vip = at_port(offer.load_balancer, 81)
        self.serve(offer, "pod1b", type="ClusterIP", ports=offer.ports("TCP", "UDP"))
        self.becomes("pod1b", scene.EVERYWHERE, offer.cluster_ip)
        self.put(offer.name, offer.manifest(type="NodePort"))
        self.becomes("pod1b", scene.EVERYWHERE, offer.cluster_ip, *node_ports)
        self.put(offer.name, offer.manifest(
            type="NodePort", ports=offer.ports("TCP", "UDP", node_port=30201)))
        self.becomes("pod1b", scene.EVERYWHERE, offer.cluster_ip, *other_ports)
        self.refuses(("client", "node1"), *node_ports)
        self.put(offer.name, offer.manifest(ports=offer.ports("TCP", "UDP", node_port=30201)))
        self.becomes("pod1b", scene.EVERYWHERE, offer.cluster_ip, offer.load_balancer, *other_ports)
        self.put(offer.name, offer.manifest(
            ports=offer.ports("TCP", "UDP", port=81, node_port=30201)))
        self.becomes("pod1b", scene.EVERYWHERE, other_vip, *other_ports)
        self.refuses(("client", "node1"), offer.load_balancer)
        self.put(offer.name, offer.manifest(type="ClusterIP", externalIPs=[],
                                            ports=offer.ports("TCP", "UDP", port=81)))
        self.becomes("pod1b", scene.EVERYWHERE, at_port(offer.cluster_ip, 81))
        self.refuses(("client", "node1"), *other_ports)
        self.unserved(("client", "node1"), other_vip)

    @conformance.rows("3.1/1")
    def test_the_api_servers_own_service(self):
        """No selector: its slices are written by hand, and name ports of the nodes themselves."""
        offer = services.Offer("kubernetes", 21)
        service = offer.manifest(type="ClusterIP", ports=offer.ports("TCP", port=443, target=6443))
        del service["spec"]["selector"]
        for node in plan.NODES:
            self.listen(node.name, 6443)
        slices = [manifests.endpoint_slice(
            offer.name, family, [("tcp", "TCP", 6443)],
            [{"addresses": [node.address(family)]} for node in plan.NODES])
            for family in plan.FAMILIES]
        self.put(offer.name, service, *slices)
        self.becomes({"node1:6443", "node2:6443"}, (*scene.INSIDE, "node1"),
                     at_port(offer.cluster_ip, 443), protocols=("tcp",))

    @conformance.rows("3.2/service-latency")
    def test_new_services_are_served_soon(self):
        """Upstream allows half of its services 20 s, and one in a hundred 50 s."""
        pods = services.Offer("latency", 23)
        self.back(pods, "pod1b", "pod2b")
        seconds = []
        for number in range(24, 40):
            offer, family = services.Offer(f"latency-{number}", number), plan.FAMILIES[number % 2]
            begin = time.monotonic()
            self.put(offer.name, offer.manifest(selector=pods.selector))
            answer = self.cluster.workers["pod1a"].call(
                "first_answer", address=offer.cluster_ip.address[family], port=services.PORT)
            with self.subTest(service=offer.name, family=family):
                self.assertIsNone(answer["error"])
                seconds.append(answer["at"] - begin)
        print(f"measured: new services: median {1000 * statistics.median(seconds):.1f} ms, "
              f"slowest {1000 * max(seconds):.1f} ms")
        self.assertLess(statistics.median(seconds), 0.5)
        self.assertLess(max(seconds), 2)


if __name__ == "__main__":
    unittest.main()
