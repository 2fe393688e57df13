# SPDX-License-Identifier: Apache-2.0
"""
What kube-proxy left: that `weir check` finds it, that the command it names removes it and nothing
else. The rules are a real kube-proxy's (bench/data/rulesets), among those of strangers.
"""
import gzip
import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from cluster import agent, base, cleanup, client, names, shell

RULESETS = agent.SOURCE / "bench/data/rulesets"
NAMESPACE = f"{names.cluster_id()}-leftovers"
# Chains of the kubelet and of kube-router, and a rule that speaks of kube-proxy's.
STRANGERS = """*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-KUBELET-CANARY - [0:0]
:STRANGER - [0:0]
-A PREROUTING -m comment --comment "before KUBE-SERVICES" -j STRANGER
-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE
-A STRANGER -p tcp -m tcp --dport 8080 -j DNAT --to-destination {address}
COMMIT
*filter
:INPUT ACCEPT [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-ROUTER-INPUT - [0:0]
:KUBE-POD-FW-ABCDEFGHIJKLMNOP - [0:0]
-A INPUT -j KUBE-ROUTER-INPUT
-A INPUT -j KUBE-FIREWALL
-A KUBE-ROUTER-INPUT -s 10.0.0.0/8 -j KUBE-POD-FW-ABCDEFGHIJKLMNOP
COMMIT
"""


def setUpModule():
    base.require_root()


def recorded(kind, services=1):
    return gzip.decompress((RULESETS / f"{services}.{kind}.gz").read_bytes()).decode()


class Leftovers(unittest.TestCase):
    def setUp(self):
        shell.run("ip", "netns", "add", NAMESPACE)
        self.addCleanup(cleanup.remove_namespace, NAMESPACE)

    def inside(self, *command, stdin=None):
        return shell.run(*shell.inside(NAMESPACE), *command, stdin=stdin, timeout=60)

    def found(self, prefix=agent.confined()):
        """[what, command] of each thing, asked with no more than the three capabilities."""
        done = subprocess.run(
            [*shell.inside(NAMESPACE), *prefix, agent.find_binary(), "check", "-o", "json",
             "--pin-path", f"{names.BPFFS}/{NAMESPACE}"],
            capture_output=True, text=True, timeout=30, check=False)
        rows = [row for row in json.loads(done.stdout) if row["check"] == "kube_proxy"]
        if [row["result"] for row in rows] == ["ok"]:
            return []
        self.assertEqual({row["result"] for row in rows}, {"warning"}, rows)
        return [row["detail"].split("; to remove: ") for row in rows]

    def remove(self, found):
        for _, command in found:
            self.inside("sh", "-c", command)

    def saved(self, tool):
        """Rules and chains, without counters, comments and kube-proxy's; the order is theirs."""
        lines = self.inside(f"{tool}-save").splitlines()
        return [line.split(" [")[0] for line in lines if line and line[0] not in "#"]

    def rules_of_iptables(self, tool, recorded_rules, address):
        restore = f"{tool}-restore"
        strangers = STRANGERS.format(address=address)
        if tool.startswith("ip6"):
            strangers = strangers.replace("172.17.0.0/16", "fd17::/64").replace("10.0.0.0/8",
                                                                                "fd00::/8")
        self.inside(restore, stdin=strangers)
        before = self.saved(tool)
        self.assertEqual(self.found(), [])
        self.inside(restore, "--noflush", stdin=recorded_rules)
        self.assertGreater(len(self.saved(tool)), len(before))
        found = self.found()
        self.assertEqual(len(found), 1, found)
        self.assertIn(f"{tool}-restore", found[0][1])
        self.remove(found)
        self.assertEqual(self.found(), [])
        # What there is now may be more by empty tables, and by the kubelet's chain of the record.
        after = self.saved(tool)
        self.assertEqual([line for line in before if line not in after], [])
        self.assertEqual([line for line in after if "KUBE-S" in line and line not in before], [])

    def test_iptables_in_nf_tables(self):
        self.rules_of_iptables("iptables-nft", recorded("ipt", 100), "10.1.1.1")

    def test_iptables_legacy(self):
        self.rules_of_iptables("iptables-legacy", recorded("ipt"), "10.1.1.1")

    def ipv6(self):
        """The record has IPv4 alone: the same chains with addresses of IPv6."""
        text = recorded("ipt")
        for old, new in (("127.0.0.0/8", "::1/128"), ("10.244.0.0/16", "fd00:244::/64"),
                         ("icmp-port-unreachable", "icmp6-port-unreachable")):
            text = text.replace(old, new)
        lines = []
        for line in text.splitlines():
            words = line.split(" ")
            for at, word in enumerate(words):
                if at and words[at - 1] in ("-s", "-d") and "." in word:
                    words[at] = "fd00::" + word.split("/")[0].replace(".", ":") + "/128"
                elif at and words[at - 1] == "--to-destination" and "." in word:
                    address, port = word.split(":")
                    words[at] = f"[fd00::{address.replace('.', ':')}]:{port}"
            lines.append(" ".join(words))
        return "\n".join(lines) + "\n"

    def test_ip6tables_in_nf_tables(self):
        self.rules_of_iptables("ip6tables-nft", self.ipv6(), "[fd01::1]:80")

    def test_ip6tables_legacy(self):
        self.rules_of_iptables("ip6tables-legacy", self.ipv6(), "[fd01::1]:80")

    def test_nftables(self):
        stranger = "table ip mine { chain c { type filter hook input priority 0; }; }\n"
        self.inside("nft", "-f", "-", stdin=stranger)
        before = self.inside("nft", "list", "ruleset")
        self.inside("nft", "-f", "-", stdin=recorded("nft") + "table ip6 kube-proxy {}\n")
        found = self.found()
        self.assertEqual(sorted(command for _, command in found),
                         ["nft delete table ip kube-proxy", "nft delete table ip6 kube-proxy"])
        self.remove(found)
        self.assertEqual(self.found(), [])
        self.assertEqual(self.inside("nft", "list", "ruleset"), before)

    def test_the_device_of_ipvs(self):
        self.inside("ip", "link", "add", "kube-ipvs0", "type", "bridge")
        found = self.found()
        self.assertEqual(found, [["IPVS: device kube-ipvs0", "ip link delete kube-ipvs0"]])
        self.remove(found)
        self.assertEqual(self.found(), [])

    def pretend(self, *prefix):
        """A process that calls itself kube-proxy."""
        directory = tempfile.mkdtemp(prefix=f"{NAMESPACE}-")
        self.addCleanup(shutil.rmtree, directory)
        binary = shutil.copy(shutil.which("sleep"), f"{directory}/kube-proxy")
        process = subprocess.Popen([*prefix, "setpriv", "--pdeathsig", "KILL", binary, "60"])
        self.addCleanup(process.wait, 5)
        self.addCleanup(process.kill)
        comm = pathlib.Path(f"/proc/{process.pid}/comm")
        self.assertTrue(client.eventually(lambda: comm.read_text().strip() == "kube-proxy"))

    def test_a_running_kube_proxy(self):
        self.pretend(*shell.inside(NAMESPACE))
        (what, command), = self.found()
        self.assertIn("a process kube-proxy", what)
        self.assertIn("delete daemonset kube-proxy", command)

    def test_a_kube_proxy_of_another_network_namespace(self):
        """To see where a process is takes as many capabilities as it has."""
        self.pretend()
        self.assertEqual(self.found(prefix=()), [])


if __name__ == "__main__":
    unittest.main()
