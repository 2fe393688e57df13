# SPDX-License-Identifier: Apache-2.0
"""How an agent starts, restarts, refuses to start, and goes without a trace."""
import os
import re
import subprocess
import time
import unittest

from cluster import base, client, conformance, manifests, plan, services, shell

WEB = services.Offer("web", 41)
TABLES = ("weir_address", "weir_service", "weir_current", "weir_version", "weir_slot", "weir_backend")
# A program is attached by a call that succeeds; the attempt to find out about tcx does not.
WRITES = re.compile(r"bpf\(BPF_MAP_(UPDATE|DELETE)_(ELEM|BATCH)|bpf\(BPF_LINK_(CREATE|UPDATE).*= \d")


def setUpModule():
    base.require_root()


class Case(base.ClusterCase):
    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        services.publish_pods(cls.cluster, web=["pod1b", "pod2b"])
        services.publish(cls.cluster, WEB)
        cls.agent = cls.cluster.agents["node1"]

    def setUp(self):
        for each in self.cluster.agents.values():
            if not each.running():
                each.start()
        self.cluster.wait_serving("web")

    def works(self, place="pod1a"):
        answer = self.cluster.ask(place, "tcp", WEB.cluster_ip.address[4], WEB.cluster_ip.port,
                                  timeout=0.7)
        return answer["error"] is None

    def trace_a_life(self, name, calls="bpf"):
        """Starts the agent, lets it settle, ends it; returns what it called of these."""
        output = self.cluster.directory / name
        # -D: strace is the child, so that the agent gets our signals and we its exit status.
        self.agent.start(tracer=("strace", "-D", "-f", "-e", f"trace={calls}", "-o", str(output)))
        self.cluster.wait_serving("web")
        self.assertTrue(self.works())
        time.sleep(1)  # whatever it may still want to write
        self.assertEqual(self.agent.stop(), 0)
        self.assertTrue(client.eventually(lambda: "+++ exited with 0 +++" in output.read_text()))
        return output.read_text().splitlines()


class Restart(Case):
    def tables(self):
        """What the agent writes; the kernel half counts in weir_backend by itself."""
        rows = {table: self.agent.query("map", "dump", table) for table in TABLES}
        for row in rows["weir_backend"]:
            for counter in ("live_flows", "connections", "packets", "bytes"):
                del row[counter]
        return rows

    def test_unchanged_input_writes_nothing(self):
        self.works()
        self.agent.stop()
        before = self.tables()
        calls = self.trace_a_life("strace")
        self.assertTrue(any("BPF_OBJ_GET" in call for call in calls), "strace saw no pinned map")
        self.assertEqual([call for call in calls if WRITES.search(call)], [])
        self.assertEqual(self.tables(), before)

    def test_a_first_start_is_seen_to_write(self):
        """What the test above counts is there to be counted."""
        self.agent.stop()
        self.agent.weir("cleanup")
        self.assertTrue(any(WRITES.search(call) for call in self.trace_a_life("strace-first")))

    @conformance.rows("3.1/9")
    def test_sigterm_leaves_the_datapath(self):
        self.assertEqual(self.agent.stop(), 0)
        self.assertTrue(all(self.works(place) for place in ("pod1a", "pod2a", "client")))

    @conformance.rows("3.1/10")
    def test_changes_while_away_are_caught_up(self):
        late = services.Offer("late", 42)
        self.agent.stop()
        self.cluster.manifests.put("late", late.manifest(selector=WEB.selector))
        self.agent.start()
        self.cluster.wait_serving("late")
        question = ("tcp", late.cluster_ip.address[6], services.PORT)
        self.assertIsNone(self.cluster.ask("pod1a", *question)["error"])
        self.agent.stop()
        self.cluster.manifests.remove("late.json")
        self.agent.start()
        self.assertTrue(client.eventually(
            lambda: self.cluster.ask("pod1a", *question, timeout=0.2)["error"]))
        self.assertTrue(self.works())


class FullTable(Case):
    """The table of source ranges, whose size is fixed."""

    ENTRIES = 65536

    def foreign(self, change, value=()):
        """Changes that many entries of a set that no Service has: prefix length, set, address."""
        table = f"{self.agent.pin_path}/v1/maps/weir_source_range"
        batch = self.cluster.directory / "foreign"
        with batch.open("w", encoding="ascii") as lines:
            for number in range(self.ENTRIES):
                key = (160).to_bytes(4, "little") + b"\xff" * 4 + bytes(12) + number.to_bytes(4, "big")
                words = ("map", change, "pinned", table, "key", *map(str, key), *value)
                lines.write(" ".join(words) + "\n")
        shell.run("bpftool", "batch", "file", str(batch), timeout=60)

    def reaches(self, offer):
        address = offer.load_balancer.address[4]
        return self.cluster.ask("client", "tcp", address, services.PORT, timeout=0.5)["error"] is None

    def test_a_failed_publication_is_made_again(self):
        """The plan had room, and the kernel has not: somebody else has filled the table."""
        ranged = services.Offer("ranged", 44)
        self.foreign("update", ("value", "1", "0", "0", "0"))
        services.publish(self.cluster, ranged, selector=WEB.selector,
                         loadBalancerSourceRanges=["198.51.100.0/24"])
        self.addCleanup(self.cluster.manifests.remove, "ranged.json")
        self.assertTrue(client.eventually(
            lambda: "write map weir_source_range: No space left on device" in self.agent.log()))
        self.assertFalse(self.reaches(ranged))
        self.assertTrue(self.works())
        self.foreign("delete")
        # Nobody touches a manifest from here on.
        self.assertTrue(client.eventually(lambda: self.reaches(ranged), 30), self.agent.log())

    def test_room_that_is_given_back_is_used(self):
        """One Service gives up in the same moment what another wants, more than half of the table."""
        offers = [services.Offer(name, number) for name, number in (("giver", 45), ("taker", 46))]
        # Services with the same ranges would share them.
        many, others = ([f"10.{net}.{number >> 8}.{number & 255}/32"
                         for number in range(self.ENTRIES * 5 // 8)] for net in (1, 2))

        def publish(*ranges):
            items = [offer.manifest(selector=WEB.selector, loadBalancerSourceRanges=each)
                     for offer, each in zip(offers, ranges)]
            self.cluster.manifests.put("pair", {"apiVersion": "v1", "kind": "List", "items": items})

        def reached():
            return [self.reaches(offer) for offer in offers]

        publish(many, [])
        self.addCleanup(self.cluster.manifests.remove, "pair.json")
        self.assertTrue(client.eventually(lambda: reached() == [False, True], 10), self.agent.log())
        publish([], others)
        self.assertTrue(client.eventually(lambda: reached() == [True, False], 10), self.agent.log())
        self.assertIn("taker:tcp TCP IPv4: source ranges: table of 65536 is full", self.agent.log())


class Sockets(Case):
    @conformance.rows("1.1/protocol-sctp-module")
    def test_an_sctp_port_opens_no_socket_of_that_kind(self):
        """A kernel loads the module for the first socket."""
        service = manifests.service("signal", WEB.selector, [("sctp", "SCTP", 80, 8000, None)])
        self.cluster.manifests.put("signal", service)
        self.addCleanup(self.cluster.manifests.remove, "signal.json")
        self.cluster.wait_serving("signal")
        self.agent.stop()
        calls = self.trace_a_life("strace-sockets", "socket")
        self.assertTrue(any("NETLINK" in call for call in calls), "strace saw no socket")
        self.assertEqual([call for call in calls if "SCTP" in call], [])


class Cleanup(Case):
    def test_cleanup_removes_every_trace(self):
        namespace = shell.inside(self.cluster.ns("node1"))
        self.assertTrue(self.agent.programs())
        self.agent.stop()
        self.agent.weir("cleanup")
        self.assertFalse(os.path.exists(self.agent.pin_path))
        self.assertEqual(self.agent.programs(), [])
        self.assertNotIn("clsact", shell.run(*namespace, "tc", "qdisc", "show"))
        self.assertNotIn("xdp", shell.run(*namespace, "ip", "link", "show"))
        self.assertFalse(self.works())
        direct = self.cluster.ask("pod1a", "tcp", self.cluster.pods["pod2b"].address(4), 8000)
        self.assertIsNone(direct["error"])
        self.agent.weir("cleanup")  # nothing left to do is no error


class BadStart(Case):
    def refused(self, *arguments):
        """Runs an agent that must end by itself with status 1 and one line; returns the line."""
        command = self.agent.command(*arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=15)
        self.assertEqual(done.returncode, 1, done.stderr)
        lines = [line for line in done.stderr.splitlines() if "info" not in line.lower()]
        self.assertEqual(len(lines), 1, done.stderr)
        return lines[0]

    def other_pins(self):
        return f"{self.agent.pin_path}-other"

    def run_arguments(self, **changed):
        """The agent's own arguments, with options replaced: uplink="x" for --uplink x."""
        words = self.agent.arguments()
        for option, value in changed.items():
            index = words.index("--" + option.replace("_", "-"))
            words[index + 1] = value
        return [*words, "--healthz-bind-address=", "--metrics-bind-address="]  # another agent is there

    def test_no_such_interface(self):
        line = self.refused(*self.run_arguments(uplink="nosuch", pin_path=self.other_pins()))
        self.assertIn("nosuch", line)
        self.assertFalse(os.path.exists(self.other_pins()))

    def test_second_agent_on_one_pin_path(self):
        line = self.refused(*self.run_arguments())
        self.assertIn(self.agent.pin_path, line)
        self.assertTrue(self.works())

    def attaches_nothing(self, device, **changed):
        """Refused because of a device, with nothing attached to that or any other."""
        before = self.agent.programs()
        line = self.refused(*self.run_arguments(pin_path=self.other_pins(), **changed))
        self.assertIn(device, line)
        self.assertEqual(self.agent.programs(), before)
        shell.run(*self.agent.command("cleanup", "--pin-path", self.other_pins()))
        self.assertFalse(os.path.exists(self.other_pins()))

    def test_xdp_of_somebody_else(self):
        self.attaches_nothing("eth0", xdp="native")

    def test_no_native_xdp(self):
        """One device has it, and comes first; the other has not."""
        shell.ip(self.agent.namespace, "link add name up0 type veth peer name up1",
                 "link add name up2 link up1 type macvlan",
                 "link set up0 up", "link set up1 up", "link set up2 up")
        self.attaches_nothing("up2", uplink="up[02]", xdp="native")

    def test_no_such_manifests(self):
        line = self.refused(*self.run_arguments(manifests="/nosuch/dir", pin_path=self.other_pins()))
        self.assertIn("/nosuch/dir", line)

    def test_pin_path_outside_bpffs(self):
        line = self.refused(*self.run_arguments(pin_path="/tmp/weir-no-bpffs"))
        self.assertIn("/tmp/weir-no-bpffs", line)
        self.assertFalse(os.path.exists("/tmp/weir-no-bpffs"))

    def test_without_permission(self):
        command = [*shell.inside(self.agent.namespace), "setpriv", "--reuid", "65534", "--clear-groups",
                   "--inh-caps=-all", "--bounding-set=-all", self.agent.binary,
                   *self.run_arguments(pin_path=self.other_pins())]
        done = subprocess.run(command, capture_output=True, text=True, timeout=15)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertTrue(done.stderr.strip())

    def test_unknown_option_is_a_usage_error(self):
        done = subprocess.run(self.agent.command("run", "--nosuch"), capture_output=True, text=True,
                              timeout=15)
        self.assertEqual(done.returncode, 2, done.stderr)


BAD = {
    "syntax.yaml": ("apiVersion: v1\nkind: [Service\n", "syntax.yaml"),
    "type.yaml": ("apiVersion: v1\nkind: Service\nmetadata: {name: typed}\n"
                  "spec: {ports: [{port: many}]}\n", "port"),
    "protocol.yaml": ("apiVersion: v1\nkind: Service\nmetadata: {name: proto}\n"
                      "spec: {ports: [{port: 80, protocol: CARP}]}\n", "protocol"),
    "range.yaml": ("apiVersion: v1\nkind: Service\nmetadata: {name: ranged}\n"
                   "spec: {ports: [{port: 70000}]}\n", "port"),
    "family.yaml": ("apiVersion: v1\nkind: Service\nmetadata: {name: wrong}\nspec:\n"
                    "  ipFamilies: [IPv6]\n  clusterIP: 10.96.0.77\n  clusterIPs: [10.96.0.77]\n"
                    "  ports: [{port: 80}]\n", "clusterIP"),
    "duplicate.yaml": ("apiVersion: v1\nkind: Service\nmetadata: {name: zz-twice}\n"
                       f"spec: {{clusterIP: {WEB.cluster_ip.address[4]}, ports: [{{port: 80}}]}}\n",
                       WEB.cluster_ip.address[4]),
}


class BadManifest(Case):
    def lines_about(self, name):
        return [line for line in self.agent.log().splitlines() if name in line]

    def test_each_is_one_line_and_the_rest_is_served(self):
        for name, (text, word) in BAD.items():
            self.cluster.manifests.put_text(name, text)
            self.assertTrue(client.eventually(lambda: self.lines_about(name)), self.agent.log())
            with self.subTest(file=name):
                lines = self.lines_about(name)
                self.assertEqual(len(lines), 1, lines)
                self.assertIn(word, lines[0])
                self.assertTrue(self.works() and self.agent.running())
            self.cluster.manifests.remove(name)
            self.cluster.wait_endpoints("default/web", "pod1b", "pod2b")

    def test_last_good_version_stays(self):
        kept = services.Offer("kept", 43)
        self.cluster.manifests.put("kept", kept.manifest(selector=WEB.selector))
        self.cluster.wait_serving("kept")
        self.cluster.manifests.put_text("kept.json", "{")
        self.assertTrue(client.eventually(lambda: self.lines_about("kept.json")))
        answer = self.cluster.ask("pod1a", "tcp", kept.cluster_ip.address[4], services.PORT)
        self.assertIsNone(answer["error"])
        self.cluster.manifests.remove("kept.json")


if __name__ == "__main__":
    unittest.main()
