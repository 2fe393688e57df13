# SPDX-License-Identifier: Apache-2.0
"""The agent in a container that is made of deploy/kubernetes/daemonset.yaml."""
import json
import pathlib
import unittest

from cluster import base, cgroups, client, container, plan, services, shell

WEB = services.Offer("web", 41)
# So that something is to be reserved.
LOCAL_PORTS = "32768 62000"
RESERVED = "/proc/sys/net/ipv4/ip_local_reserved_ports"


def setUpModule():
    base.require_root()


class Contained(base.ClusterCase):
    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        services.publish_pods(cls.cluster, web=["pod1b", "pod2b"])
        services.publish(cls.cluster, WEB)
        cls.node = plan.NODES[0]
        cls.agent = cls.cluster.agents["node1"]
        cls.root = container.make_root(cls.agent.binary, cls.cluster.directory)
        cls.cluster.add_worker("node1")
        cls.cluster.agents["node2"].start()
        shell.sysctls(cls.agent.namespace, {"net/ipv4/ip_local_port_range": LOCAL_PORTS})

    def start(self, **options):
        lines = {"manifests": [str(self.cluster.manifests.path)], "uplink": ["eth0"],
                 "xdp": self.cluster.variant.xdp, "service-cidr": list(plan.SERVICE_CIDR.values()),
                 "load-balancer-pool": list(plan.LOAD_BALANCER_POOL.values())}
        made = container.Container(self.agent, self.root, lines, **options)
        self.addCleanup(self.agent.weir, "cleanup", check=False)
        self.addCleanup(made.remove)
        made.start()
        return made

    def serving(self, made):
        self.assertTrue(client.eventually(
            lambda: "services, node node1" in self.agent.log() or made.process.poll() is not None, 40))
        self.assertIsNone(made.process.poll(), self.agent.log())

    def reserved(self):
        return shell.run(*shell.inside(self.agent.namespace), "cat", RESERVED).strip()

    def works(self, place):
        """Every frontend kind by both protocols and families."""
        for family in plan.FAMILIES:
            for proto in ("tcp", "udp"):
                for frontend in (WEB.cluster_ip, WEB.node_port_of(self.node)):
                    answer = self.cluster.ask(place, proto, frontend.address[family], frontend.port,
                                              timeout=2)
                    self.assertIsNone(answer["error"], (place, family, proto, frontend))

    def test_traffic_flows_and_outlives_the_container(self):
        made = self.start()
        self.serving(made)
        for place in ("pod1a", "client", "node1"):
            self.works(place)
        status = pathlib.Path(f"/proc/{made.pid()}/status").read_text(encoding="utf-8")
        for line in ("CapPrm:\t000000c000001000", "CapBnd:\t000000c000001000", "NoNewPrivs:\t1"):
            self.assertIn(line, status)
        self.assertEqual(self.reserved(), "61000-62000")
        self.assertEqual(made.stop(), 0)
        self.works("pod1a")
        self.works("node1")

    def test_the_host_edge_is_the_nodes(self):
        """Not on the container's own cgroup, which is mounted where the node's is elsewhere."""
        made = self.start()
        self.serving(made)
        self.assertIn("cgroup /host/sys/fs/cgroup", self.agent.log())
        self.assertEqual({row["cgroup_id"] for row in self.agent.query("status")["host_edge"]}, {1})
        self.assertTrue({row["program_id"] for row in self.agent.query("status")["host_edge"]}
                        <= cgroups.program_ids())

    def test_without_the_nodes_cgroup_nothing_is_attached_and_it_is_said(self):
        made = self.start(without=("cgroup",))
        self.serving(made)
        line, = [line for line in self.agent.log().splitlines() if "no host edge" in line]
        self.assertIn("/sys/fs/cgroup is not the root of the node's cgroup v2", line)
        self.assertEqual(self.agent.query("status")["host_edge"], [])
        self.works("pod1a")
        row = self.check(made)["cgroup"]
        self.assertEqual(row["result"], "warning")
        self.assertIn("/sys/fs/cgroup is not the root", row["detail"])

    def test_without_the_nodes_settings_it_says_so_and_ends(self):
        shell.run(*shell.inside(self.agent.namespace), "tee", RESERVED, stdin="\n")
        made = self.start(without=("sysctl-net", "--sysctl-path"))
        self.assertNotEqual(made.process.wait(40), 0)
        line, = self.agent.log().splitlines()
        self.assertIn("reserve ports 61000-62000: ", line)
        self.assertIn("Read-only file system", line)
        self.assertIn("--sysctl-path", line)

    def test_a_seccomp_profile_without_bpf_is_named(self):
        made = self.start(forbidden=("bpf",))
        self.assertNotEqual(made.process.wait(40), 0)
        line, = self.agent.log().splitlines()
        self.assertIn("bpf() is forbidden: by a seccomp profile", line)

    def check(self, made):
        done = made.exec("/usr/bin/weir", "check", "-o", "json", "--sysctl-path", "/host/proc/sys")
        return {row["check"]: row for row in json.loads(done.stdout)}

    def test_check_and_tools_in_the_container(self):
        made = self.start()
        self.serving(made)
        rows = self.check(made)
        self.assertEqual({name for name, row in rows.items() if row["result"] == "failed"}, set())
        self.assertEqual(rows["cgroup"]["result"], "ok", rows["cgroup"])
        self.assertEqual(rows["source_ports"]["result"], "ok", rows["source_ports"])
        listed = made.exec("/usr/bin/weir", "service", "list", "-o", "json")
        self.assertIn("default/web:tcp", listed.stdout, listed.stderr)
        self.assertFalse(made.exec("/usr/bin/weir", "map", "list").stderr)

    def test_nothing_is_written_into_its_root(self):
        made = self.start()
        self.serving(made)
        bundle = made.directory / "config.json"
        self.assertTrue(json.loads(bundle.read_text(encoding="utf-8"))["root"]["readonly"])
        made.stop()
        newest = max(path.lstat().st_mtime for path in self.root.rglob("*") if path.is_file())
        self.assertLess(newest, bundle.stat().st_mtime + 1)


if __name__ == "__main__":
    unittest.main()
