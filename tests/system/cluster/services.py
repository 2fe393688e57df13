# SPDX-License-Identifier: Apache-2.0
"""Services of the tests: each with every kind of frontend, at addresses that follow from its number."""
import dataclasses

from . import cluster, expect, manifests, plan

PORT = 80
LOOPBACK = {4: "127.0.0.1", 6: "::1"}


def address_in(cidrs, number):
    return {family: cidrs[family].split("/")[0].removesuffix("0") + str(number)
            for family in plan.FAMILIES}


@dataclasses.dataclass(frozen=True)
class Offer:
    """A LoadBalancer Service, dual stack, with the same port number for TCP and UDP."""

    name: str
    number: int

    @property
    def node_port(self):
        return 30080 + self.number

    @property
    def selector(self):
        return {"app": self.name}

    def ports(self, *protocols, port=PORT, target=cluster.SERVER_PORT, node_port=None):
        """As manifest() takes them; without a node port, unless one is given."""
        return [(proto.lower(), proto, port, target, node_port) for proto in protocols]

    def manifest(self, selector=None, ports=None, families=plan.FAMILIES, **spec):
        ports = ports or self.ports("TCP", "UDP", node_port=self.node_port)
        cluster_ips = address_in(plan.SERVICE_CIDR, self.number)
        service = manifests.service(
            self.name, selector or self.selector, ports, families, **{
                "type": "LoadBalancer",
                "clusterIPs": [cluster_ips[family] for family in families],
                "externalIPs": list(address_in(plan.EXTERNAL_CIDR, self.number).values())} | spec)
        vips = address_in(plan.LOAD_BALANCER_POOL, self.number)
        return manifests.with_vips(service, vips.values())

    @property
    def cluster_ip(self):
        return expect.Frontend("cluster IP", address_in(plan.SERVICE_CIDR, self.number), PORT,
                               plan.NODES[0])

    @property
    def load_balancer(self):
        return expect.Frontend("load balancer", address_in(plan.LOAD_BALANCER_POOL, self.number),
                               PORT, plan.NODES[0])

    @property
    def external_ip(self):
        return expect.Frontend("external IP", address_in(plan.EXTERNAL_CIDR, self.number), PORT,
                               plan.NODES[1])

    def node_port_of(self, node):
        own = {family: node.address(family) for family in plan.FAMILIES}
        return expect.Frontend(f"node port of {node.name}", own, self.node_port, node)

    @property
    def frontends(self):
        return [self.cluster_ip, self.load_balancer, self.external_ip,
                *(self.node_port_of(node) for node in plan.NODES)]


def localhost(offer, node):
    """For this node's own processes."""
    return expect.Frontend("localhost", LOOPBACK, offer.node_port, node)


def pod_objects(running, ready=None, **labels):
    """Every pod as an object; labels: pod name -> labels; ready: names, by default all."""
    return [manifests.pod(pod, labels.get(pod.name, {}), ready is None or pod.name in ready)
            for pod in running.pods.values()]


def publish_pods(running, **backends):
    """backends: offer name -> pod names (dashes of a name as underscores)."""
    labels = {pod: {"app": name.replace("_", "-")} for name, pods in backends.items() for pod in pods}
    running.manifests.put("pods", *pod_objects(running, **labels))


def publish_nodes(running):
    running.manifests.put("nodes", *(manifests.node(node) for node in plan.NODES))


def publish(running, *offers, **spec):
    for offer in offers:
        running.manifests.put(offer.name, offer.manifest(**spec))
