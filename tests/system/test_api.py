# SPDX-License-Identifier: Apache-2.0
"""Services, EndpointSlices and Nodes of a real API server, changed by kubectl, under real traffic."""
import json
import unittest

from cluster import base, conformance, live, plan, scene, services

NODE1, NODE2 = plan.NODES
WEB = services.Offer("web", 111)
ZONE = "topology.kubernetes.io/zone"
FOREIGN = ("service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless")


def setUpModule():
    base.require_root()


class Api(live.LiveScene):
    def patch(self, kind, name, **spec):
        self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def test_created_scaled_rolled_deleted(self):
        places = (*scene.INSIDE, "client")
        self.serve(WEB, "pod1b")
        self.becomes("pod1b", scene.EVERYWHERE, WEB.cluster_ip)
        self.becomes("pod1b", places, *WEB.frontends)
        self.back(WEB, "pod1b", "pod2b")
        self.becomes(("pod1b", "pod2b"), scene.INSIDE, WEB.cluster_ip)
        self.start_load(WEB)
        self.same()
        # As a rolling update: the old one is told to go, serves on, and is gone.
        leaving = self.slices(WEB, "pod1b", suffix="-old", ready=False, serving=True, terminating=True)
        self.put("old", *leaving)
        self.back(WEB, "pod2b")
        self.becomes("pod2b", scene.INSIDE, WEB.cluster_ip)
        self.same()
        self.back(WEB, "pod2b", "pod2a")
        self.becomes(("pod2b", "pod2a"), ("pod1a",), WEB.cluster_ip)
        self.assertLessEqual({"pod1b", "pod2b", "pod2a"}, self.stop_load())
        self.control.delete("service/web")
        self.unserved(scene.INSIDE, WEB.cluster_ip)
        self.same()  # its slices are still there
        self.control.apply(WEB.manifest())
        self.becomes(("pod2b", "pod2a"), ("pod1a",), WEB.cluster_ip)

    def test_the_last_endpoint_goes_and_comes(self):
        self.serve(WEB, "pod1b")
        self.becomes("pod1b", scene.INSIDE, WEB.cluster_ip)
        self.back(WEB)
        self.becomes("refused", scene.INSIDE, WEB.cluster_ip, protocols=("udp",))
        self.same()
        self.back(WEB, "pod2b")
        self.becomes("pod2b", scene.INSIDE, WEB.cluster_ip)

    def test_terminating_endpoints_serve_where_none_is_ready(self):
        self.serve(WEB, "pod1b", "pod2b")
        self.same()
        self.back(WEB, "pod1b", "pod2b", ready=False, serving=True, terminating=True)
        self.same()
        self.becomes(("pod1b", "pod2b"), scene.INSIDE, WEB.cluster_ip)
        self.back(WEB, "pod1b", "pod2b", ready=False, serving=False, terminating=True)
        self.same()

    @conformance.rows("1.1/proxy-name-label-toggle", "1.1/headless-label-toggle")
    def test_labels_of_other_proxies_come_and_go(self):
        """To the agent's watch they are a Service that is deleted and added."""
        self.serve(WEB, "pod1b")
        for label in FOREIGN:
            self.becomes("pod1b", scene.INSIDE, WEB.cluster_ip)
            self.kubectl("label", "service", "web", f"{label}=other")
            self.unserved(scene.INSIDE, WEB.cluster_ip)
            self.same()
            self.kubectl("label", "service", "web", f"{label}-")
        self.becomes("pod1b", scene.INSIDE, WEB.cluster_ip)

    @conformance.rows("1.1/external-name-flip")
    def test_types_flip(self):
        self.serve(WEB, "pod1b")
        node_port = WEB.node_port_of(NODE1)
        self.becomes("pod1b", ("client",), node_port)
        self.patch("service", "web", type="ClusterIP")
        self.unserved(("client",), node_port)
        self.becomes("pod1b", scene.INSIDE, WEB.cluster_ip)
        self.same()
        self.patch("service", "web", type="ExternalName", externalName="a.example")
        self.unserved(scene.INSIDE, WEB.cluster_ip)
        self.same()
        ports = WEB.manifest()["spec"]["ports"]
        self.patch("service", "web", type="NodePort", externalName=None, ports=ports,
                   clusterIPs=WEB.manifest()["spec"]["clusterIPs"], ipFamilyPolicy="RequireDualStack",
                   clusterIP=WEB.cluster_ip.address[4])
        self.becomes("pod1b", scene.INSIDE, WEB.cluster_ip)
        self.becomes("pod1b", ("client",), node_port)
        self.same()

    @conformance.rows("1.2/hints-zone", "1.2/hints-zone-change", "1.2/hints-no-zone")
    def test_a_node_moves_to_another_zone(self):
        zones = {"pod1b": "a", "pod2b": "b"}
        self.put("zoned", WEB.manifest(), *self.slices(WEB, *zones, zones=zones))
        self.addCleanup(self.kubectl, "label", "node", "node1", "--overwrite", f"{ZONE}=a")
        for label, wanted in ((f"{ZONE}=a", "pod1b"), (f"{ZONE}=b", "pod2b"), (f"{ZONE}-", tuple(zones)),
                              (f"{ZONE}=a", "pod1b")):
            self.kubectl("label", "node", "node1", "--overwrite", label)
            self.becomes(wanted, ("pod1a",), WEB.cluster_ip)
        self.same()

    def test_endpoints_move_between_slices(self):
        """The same pods all the time; no connection may notice which object names them."""
        self.serve(WEB, "pod1b", "pod2b")
        self.becomes(("pod1b", "pod2b"), scene.INSIDE, WEB.cluster_ip)
        self.start_load(WEB)
        for _ in range(2):
            self.put("more", *self.slices(WEB, "pod2b", suffix="-more"))  # in both for a while
            self.back(WEB, "pod1b")
            self.same()
            self.back(WEB, "pod1b", "pod2b")
            self.control.delete("endpointslice/web-v4-more", "endpointslice/web-v6-more")
            self.same()
        self.assertEqual(self.stop_load(), {"pod1b", "pod2b"})

    def test_many_at_once(self):
        """Hundreds of changes as fast as the server takes them; what counts is where they end."""
        offers = [services.Offer(f"many-{number}", 120 + number) for number in range(4)]
        for offer in offers:
            self.serve(offer, "pod1b")
        for turn in range(40):
            place = ("pod1b", "pod2b")[turn % 2]
            for offer in offers:
                for each in self.slices(offer, place):
                    self.control.api.replace(each)
                self.control.api.patch("Service", offer.name, {"metadata": {"annotations": {"turn": str(turn)}}})
        self.same()
        self.becomes("pod2b", ("pod1a",), *(offer.cluster_ip for offer in offers))


if __name__ == "__main__":
    unittest.main()
