# SPDX-License-Identifier: Apache-2.0
"""The three capabilities: that agents of these tests have no others, and what is said without one."""
import json
import pathlib
import subprocess
import unittest

from cluster import agent, base, services

NUMBERS = {"net_admin": 12, "perfmon": 38, "bpf": 39}  # include/uapi/linux/capability.h
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
WEB = services.Offer("web", 41)


def setUpModule():
    base.require_root()


class Privileges(base.ClusterCase):
    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        services.publish_pods(cls.cluster, web=["pod1b", "pod2b"])
        services.publish(cls.cluster, WEB)
        cls.cluster.start_agents()
        cls.cluster.wait_serving("web")
        cls.agent = cls.cluster.agents["node1"]

    def run_without(self, *missing, command):
        left = [name for name in agent.CAPABILITIES if name not in missing]
        return subprocess.run(self.agent.command(*command, capabilities=left), capture_output=True,
                              text=True, timeout=20)

    def other_pins(self):
        return f"{self.agent.pin_path}-other"

    def test_agents_have_these_and_no_others(self):
        for each in self.cluster.agents.values():
            text = pathlib.Path(f"/proc/{each.process.pid}/status").read_text(encoding="utf-8")
            status = dict(line.split(":\t") for line in text.splitlines() if ":\t" in line)
            self.assertEqual(status["Name"], "weir")
            for name in SETS:
                self.assertEqual(int(status[name], 16), sum(1 << n for n in NUMBERS.values()), name)
            self.assertEqual(set(status["Uid"].split()), {"0"})
            self.assertEqual(status["NoNewPrivs"], "1")

    def test_a_start_without_one_of_them_names_it(self):
        for name in NUMBERS:
            with self.subTest(missing=name):
                done = self.run_without(name, command=(
                    "run", "--manifests", str(self.cluster.manifests.path), "--healthz-bind-address=",
                    "--pin-path", self.other_pins()))
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertEqual(done.stderr.splitlines(), [
                    f"weir: run: missing CAP_{name.upper()}: run as root, or with CAP_BPF, "
                    "CAP_NET_ADMIN and CAP_PERFMON"])
                self.assertFalse(pathlib.Path(self.other_pins()).exists())

    def test_check_names_what_is_missing(self):
        for missing in ((), ("bpf",), ("net_admin",), ("perfmon",), ("bpf", "perfmon")):
            with self.subTest(missing=missing):
                done = self.run_without(*missing, command=("check", "-o", "json"))
                row, = [row for row in json.loads(done.stdout) if row["check"] == "capabilities"]
                self.assertEqual(row["result"], "failed" if missing else "ok")
                self.assertEqual(done.returncode, 1 if missing else 0, done.stdout)
                for name in NUMBERS:
                    said = f"CAP_{name.upper()}" in row["detail"]
                    self.assertEqual(said, name in missing or not missing, row["detail"])

    def test_what_reads_names_programs_without_more(self):
        """An id alone is not told its name without CAP_SYS_ADMIN."""
        status = self.agent.query("status")
        for row in (*status["attachments"], *status["host_edge"]):
            self.assertTrue(row["program"].startswith("weir_"), row)


if __name__ == "__main__":
    unittest.main()
