# SPDX-License-Identifier: Apache-2.0
"""
From kube-proxy to weir and back on one node while clients are connected, with the rules of a real
kube-proxy (bench/data/rulesets): what docs/MIGRATING.md says becomes of connections.
"""
import gzip
import unittest

from cluster import agent, base, manifests, plan, services, shell

RULESETS = agent.SOURCE / "bench/data/rulesets"
CLUSTER_IP, NODE_PORT = "10.96.1.1", 30000  # of the Service in the record
# The record's endpoints, node and target port, and this cluster's.
HERE = {"10.244.2.2": "10.244.1.20", "10.244.2.3": "10.244.2.20", "10.244.2.4": "10.244.1.20",
        "10.244.2.5": "10.244.2.20", "192.0.2.1": "10.90.0.11", "8080": "8000"}
LOADERS = {"nft": ("nft", "-f", "-"), "ipt": ("iptables-nft-restore", "--noflush")}
CONNECTIONS = 4
WAYS = {"pod1a": (CLUSTER_IP, 80), "client": (plan.NODES[0].address(4), NODE_PORT),
        "node1": (CLUSTER_IP, 80)}


def setUpModule():
    base.require_root()


def rules(kind):
    text = gzip.decompress((RULESETS / f"1.{kind}.gz").read_bytes()).decode()
    for old, new in HERE.items():
        text = text.replace(old, new)
    return text


class Migration:
    kind = None
    lost = ()  # places whose first connections end with kube-proxy's rules

    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        services.publish_pods(cls.cluster, web=["pod1b", "pod2b"])
        ports = [("t", "TCP", 80, 8000, NODE_PORT), ("u", "UDP", 80, 8000, NODE_PORT)]
        cls.cluster.manifests.put("s0", manifests.service(
            "s0", {"app": "web"}, ports, families=(4,), type="NodePort", clusterIPs=[CLUSTER_IP]))
        cls.namespace = cls.cluster.ns("node1")
        cls.agent = cls.cluster.agents["node1"]
        cls.cluster.agents["node2"].start()
        cls.cluster.add_worker("node1")
        # These nodes refuse service addresses by route; kube-proxy needs one, for the node itself.
        router = plan.ROUTER_INSIDE[4]
        shell.ip(cls.namespace, f"route replace {CLUSTER_IP}/32 via {router}")

    def kube_proxy_comes(self):
        shell.run(*shell.inside(self.namespace), *LOADERS[self.kind], stdin=rules(self.kind))

    def left_by_kube_proxy(self):
        """The commands that weir check names, which remove it."""
        return [row["detail"].split("; to remove: ")[1] for row in self.agent.query("check")
                if row["check"] == "kube_proxy" and row["result"] != "ok"]

    def kube_proxy_goes(self):
        for command in self.left_by_kube_proxy():
            shell.run(*shell.inside(self.namespace), "sh", "-c", command)

    def connect(self, era):
        """TCP connections of each client; every one must come about and answer."""
        for place, (address, port) in WAYS.items():
            for number in range(CONNECTIONS):
                self.cluster.workers[place].call(
                    "socket_open", name=f"{era}-{number}", proto="tcp", address=address, port=port)
        self.ended_at(era)

    def ended_at(self, era, *ended, ignore=()):
        """At these places all connections of an era have ended, at the others none."""
        asked = {place: [self.cluster.workers[place].start(
            "socket_ask", name=f"{era}-{number}", proto="tcp") for number in range(CONNECTIONS)]
            for place in WAYS}
        for place, pending in asked.items():
            answers = [one.result(20)["error"] for one in pending]
            with self.subTest(era=era, place=place):
                if place in ended:
                    self.assertNotIn(None, answers)
                elif place not in ignore:
                    self.assertEqual(answers, [None] * CONNECTIONS)

    def test_there_and_back(self):
        self.kube_proxy_comes()
        self.connect("kube-proxy")
        self.agent.start()
        self.agent.wait_until(lambda: "services, node" in self.agent.log(), "start")
        # Those of the node's own processes are translated where weir does not look again.
        self.ended_at("kube-proxy", "pod1a", "client")
        self.connect("beside kube-proxy")
        self.kube_proxy_goes()
        self.assertEqual(self.left_by_kube_proxy(), [])
        self.ended_at("kube-proxy", "pod1a", "client", ignore=self.lost)
        self.ended_at("beside kube-proxy")
        self.connect("weir")

        self.agent.stop()
        self.ended_at("weir")
        self.kube_proxy_comes()
        self.ended_at("weir")
        self.connect("beside again")
        self.agent.weir("cleanup")
        for era in ("weir", "beside again"):
            self.ended_at(era, "pod1a", "client")
        self.connect("kube-proxy again")


class Nftables(Migration, base.ClusterCase):
    kind = "nft"
    lost = ("node1",)  # with its last chain the kernel translates nothing any more


class Iptables(Migration, base.ClusterCase):
    kind = "ipt"
    lost = ()


if __name__ == "__main__":
    unittest.main()
