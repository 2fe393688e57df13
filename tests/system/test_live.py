# SPDX-License-Identifier: Apache-2.0
"""Edits of manifests and of the network while the agents run, and how soon they are felt."""
import dataclasses
import json
import os
import time
import unittest

from cluster import base, client, conformance, manifests, plan, services

NODE1, NODE2 = plan.NODES
SOON = 1.0  # seconds; what is promised is 0.1, on a machine that does nothing else
STANDING = services.Offer("standing", 31)


def setUpModule():
    base.require_root()


class Live(base.ClusterCase):
    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        services.publish_pods(cls.cluster, standing=["pod1b"])
        services.publish(cls.cluster, STANDING)
        cls.cluster.start_agents()
        cls.cluster.wait_serving("standing")
        cls.measured = {}
        cls.addClassCleanup(cls.print_measured)

    @classmethod
    def print_measured(cls):
        for what, seconds in cls.measured.items():
            print(f"measured: {what}: {1000 * seconds:.1f} ms")

    def offer(self, name, number):
        """A service on the standing pod."""
        added = services.Offer(name, number)
        return added, added.manifest(selector=STANDING.selector)

    def felt(self, what, frontend, change):
        """Time from the change to the first connection that somebody answers."""
        waiting = self.cluster.workers["pod1a"].start(
            "first_answer", address=frontend.address[4], port=frontend.port, timeout=5)
        time.sleep(0.2)
        begin = time.monotonic()
        change()
        answer = waiting.result()
        self.assertIsNone(answer["error"], what)
        self.assertGreater(answer["at"], begin, f"{what}: answered before")
        self.took(what, answer["at"] - begin)
        return answer

    def took(self, what, seconds):
        self.measured[what] = seconds
        self.assertLess(seconds, SOON, what)

    def gone(self, what, frontend, change):
        """Time from the change to the start of the first connection that fails."""
        begin = asked = time.monotonic()
        change()
        while asked < begin + 5:
            asked = time.monotonic()
            answer = self.cluster.ask("pod1a", "tcp", frontend.address[4], frontend.port, timeout=0.1)
            if answer["error"]:
                return self.took(what, asked - begin)
        self.fail(f"{what}: still answered after 5 s")

    @conformance.rows("3.1/4", "3.2/service-latency")
    def test_file_comes_changes_and_goes(self):
        added, manifest = self.offer("added", 32)
        put = self.cluster.manifests.put
        self.felt("new file", added.cluster_ip, lambda: put("added", manifest))
        manifest["spec"]["ports"][0]["port"] = 8080
        changed = dataclasses.replace(added.cluster_ip, port=8080)
        self.felt("edit by rename", changed, lambda: put("added", manifest))
        manifest["spec"]["ports"][0]["port"] = 8081
        text = json.dumps(manifest)
        changed = dataclasses.replace(added.cluster_ip, port=8081)
        self.felt("edit in place", changed,
                  lambda: self.cluster.manifests.write_in_place("added.json", text))
        self.gone("deleted file", changed, lambda: self.cluster.manifests.remove("added.json"))

    def test_file_moves_in_out_and_about(self):
        moved, manifest = self.offer("moved", 33)
        directory = self.cluster.manifests
        outside = manifests.Directory(self.cluster.directory / "outside")
        outside.put("moved", manifest)
        self.felt("file moved in", moved.cluster_ip, lambda: os.rename(
            outside.path / "moved.json", directory.path / "moved.json"))
        directory.rename("moved.json", "other.json")
        time.sleep(0.3)
        answer = self.cluster.ask("pod1a", "tcp", moved.cluster_ip.address[4], services.PORT)
        self.assertIsNone(answer["error"])
        self.gone("file moved out", moved.cluster_ip, lambda: os.rename(
            directory.path / "other.json", outside.path / "moved.json"))

    def test_rename_costs_no_connection(self):
        renamed, manifest = self.offer("renamed", 34)
        directory = self.cluster.manifests
        self.felt("new file again", renamed.cluster_ip, lambda: directory.put("renamed", manifest))
        worker = self.cluster.workers["pod2a"]
        target = ["tcp", renamed.cluster_ip.address[4], services.PORT]
        worker.call("load_start", name="renames", kind="short", targets=[target], threads=2, pace=0.001)
        for number in range(10):
            old, new = ("renamed.json", "b.json") if number % 2 == 0 else ("b.json", "renamed.json")
            directory.rename(old, new)
            time.sleep(0.05)
        report = worker.call("load_stop", name="renames")
        self.assertEqual(report["failures"], 0, report["failed"])
        directory.remove("renamed.json")

    @conformance.rows("3.1/2", "3.2/service-latency")
    def test_new_pod_is_client_and_backend_at_once(self):
        pod = plan.Pod(NODE1, "c")
        links = self.links()
        self.cluster.add_pod(pod)
        begin = time.monotonic()
        answer = self.cluster.workers["pod1c"].call(
            "first_answer", address=STANDING.cluster_ip.address[6], port=services.PORT)
        self.assertEqual(answer["pod"], "pod1b")
        self.took("new pod as a client, after its server was up", answer["at"] - begin)
        came = services.Offer("came", 35)
        services.publish(self.cluster, came)
        self.felt("new pod as a backend", came.cluster_ip, lambda: services.publish_pods(
            self.cluster, standing=["pod1b"], came=["pod1c"]))
        services.publish_pods(self.cluster, standing=["pod1b"])
        self.cluster.manifests.remove("came.json")
        self.cluster.remove_pod(pod)
        self.assertTrue(client.eventually(lambda: self.links() == links), self.links() - links)

    def links(self):
        """Pinned links of node1, wherever its agent keeps them."""
        return {os.path.join(directory, name)
                for directory, _, files in os.walk(self.cluster.agents["node1"].pin_path)
                for name in files if "gress" in name or "xdp" in name}


if __name__ == "__main__":
    unittest.main()
