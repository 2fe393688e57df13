# SPDX-License-Identifier: Apache-2.0
"""Tests whose agents follow a real API server: objects come and go by kubectl."""
import json

from . import client, manifests, plan, scene, shell, truth

SAME_TIMEOUT = 60.0  # who lost its server for ten seconds may wait for as long before the next attempt


class LiveScene(scene.Scene):
    """One API server a class; flags: of kube-apiserver. Services come from offer() and slices()."""

    flags = {}
    zones = ("a", "b")

    @classmethod
    def prepare(cls):
        cls.control = cls.cluster.add_control(**cls.flags)
        for node, zone in zip(plan.NODES, cls.zones):
            cls.control.api.create(manifests.node(node, zone))
            cls.cluster.add_worker(node.name)
            shell.sysctls(cls.cluster.ns(node.name), scene.NO_ICMP_LIMIT)
        cls.prepare_agents()

    @classmethod
    def prepare_agents(cls):
        cls.cluster.start_agents(*cls.options)
        cls.cluster.wait_serving("kubernetes")

    # ---- objects ----

    def kubectl(self, *arguments, **how):
        return self.control.kubectl(*arguments, **how)

    def put(self, name, *objects):
        """Applied now, deleted when the test ends: a name for each group is not needed."""
        self.control.apply(*objects)
        for each in objects:
            self.addCleanup(self.control.delete, f"{each['kind'].lower()}/{each['metadata']['name']}")

    @classmethod
    def slices(cls, offer, *places, **how):
        """Both families' slices of these pods and no others."""
        return [cls.slice_of(offer, family, places, **how) for family in plan.FAMILIES]

    @classmethod
    def slice_of(cls, offer, family, places, suffix="", zones=None, **conditions):
        """zones: {pod: zone} of hints; conditions: of all of them."""
        ports = [(name, protocol, target) for name, protocol, _, target, _ in offer.ports("TCP", "UDP")]
        endpoints = []
        for place in places:
            pod = cls.cluster.pods[place]
            endpoint = {"addresses": [pod.address(family)], "nodeName": pod.node.name,
                        "conditions": {"ready": True} | conditions}
            if zones:
                endpoint["hints"] = {"forZones": [{"name": zones[place]}]}
            endpoints.append(endpoint)
        return manifests.endpoint_slice(offer.name, family, ports, endpoints, suffix)

    def back(self, offer, *places, **how):
        self.control.apply(*self.slices(offer, *places, **how))

    def serve(self, offer, *places, **spec):
        self.put(offer.name, offer.manifest(**spec), *self.slices(offer, *places))

    # ---- what is so ----

    def truth(self, node_name):
        """What the API's objects, as kubectl gives them, mean for this node."""
        objects = json.loads(self.kubectl("get", "services,endpointslices,nodes", "-A", "-o", "json"))
        kinds = {kind: [each for each in objects["items"] if each["kind"] == kind]
                 for kind in ("Service", "EndpointSlice", "Node")}
        return truth.expected(kinds["Service"], kinds["EndpointSlice"], kinds["Node"], node_name)

    def same(self, *agents, timeout=SAME_TIMEOUT):
        """Until the tables of these agents (default: all) hold what the API's objects mean."""
        for each in agents or self.cluster.agents.values():
            wanted = self.truth(each.node.name)
            client.eventually(lambda: holds(each, wanted), timeout, 0.2)
            self.assertEqual(programmed(each), wanted, each.node.name)

    def unprogrammed(self, agent):
        """Nothing at all in its tables: not a service, not an address."""
        return programmed(agent) in ({}, None)

    # ---- load ----

    def start_load(self, offer):
        """New connections and open ones to the cluster IP, from a pod of each node."""
        targets = [("tcp", offer.cluster_ip.address[family], offer.cluster_ip.port)
                   for family in plan.FAMILIES]
        for place in scene.INSIDE:
            worker = self.cluster.workers[place]
            worker.call("load_start", name="short", kind="short", targets=targets, threads=2, pace=0.01)
            worker.call("load_start", name="open", kind="streams", targets=targets, threads=4, pace=0.02)

    def stop_load(self):
        """Nothing was lost; returns the pods that answered new connections."""
        pods = set()
        for place in scene.INSIDE:
            worker = self.cluster.workers[place]
            short, streams = (worker.call("load_stop", name=name, within=30) for name in ("short", "open"))
            self.assertEqual((short["failed"], streams["broken"]), ([], []), place)
            self.assertGreater(short["count"], 10)
            pods |= set(short["pods"])
        return pods


def programmed(agent, question=truth.programmed):
    """None while there are no tables."""
    try:
        return question(agent)
    except (shell.CommandFailed, json.JSONDecodeError):
        return None


def holds(agent, wanted):
    """Whether that is in its tables. The whole is only asked for where the outline fits."""
    return (programmed(agent, truth.programmed_outline) == truth.outline(wanted)
            and programmed(agent) == wanted)
