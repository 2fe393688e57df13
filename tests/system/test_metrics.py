# SPDX-License-Identifier: Apache-2.0
"""/metrics of a running agent: that it says what really happened, where it is asked to, and no more."""
import itertools
import json
import pathlib
import re
import subprocess
import sys
import time
import unittest

from cluster import agent, base, client, plan, services, shell

sys.path.append(str(agent.SOURCE / "tests/unit/observe"))
import exposition  # noqa: E402  pylint: disable=wrong-import-position

NODE1 = plan.NODES[0]
PORT = 10249
WEB, SHUT = services.Offer("web", 61), services.Offer("shut", 62)
NOBODY = ["192.0.2.200/32"]  # may use SHUT's load-balancer addresses
# Only where Services come from the API.
OF_WATCHES = re.compile("weir_watch_")
LISTENER = "import socket; s = socket.create_server(('127.0.0.1', {})); print('up', flush=True); input()"
ports = itertools.count(41000)  # of clients: a flow is one connection, and no two have one


def setUpModule():
    base.require_root()


def service(name, port="tcp", protocol="TCP", family="IPv4"):
    return (("family", family), ("protocol", protocol), ("service_name", name),
            ("service_namespace", "default"), ("service_port", port))


OTHER = (("family", ""), ("protocol", ""), ("service_name", "other"), ("service_namespace", ""),
         ("service_port", ""))


def documented():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|",
                      (agent.SOURCE / "docs/OPERATING.md").read_text(encoding="utf-8"), re.M)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


class Metrics(base.ClusterCase):
    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        services.publish_pods(cls.cluster, web=["pod1b", "pod2b"], shut=["pod1b"])
        services.publish(cls.cluster, WEB)
        services.publish(cls.cluster, SHUT, loadBalancerSourceRanges=NOBODY)
        cls.worker = cls.cluster.add_worker("node1")
        cls.agent = cls.cluster.agents["node1"]
        cls.options = ()
        cls.cluster.start_agents()
        cls.cluster.wait_serving("web", "shut")

    def setUp(self):
        self.run_with()

    def run_with(self, *options):
        """The agent of node1, with these options; a start takes long where sanitizers are on."""
        if self.agent.running() and options == type(self).options:
            return
        self.agent.stop()
        self.start(*options)

    def start(self, *options):
        said = len(self.agent.log())
        self.agent.start(*options)
        type(self).options = options
        self.agent.wait_until(lambda: "services, node node1" in self.agent.log()[said:], "start")

    def families(self, address="127.0.0.1", port=PORT):
        answer = self.worker.call("fetch", address=address, port=port, path="/metrics")
        self.assertEqual((answer["error"], answer["status"]), (None, 200))
        self.assertEqual(answer["headers"]["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        return exposition.parse(answer["body"])

    def value(self, name, labels=(), families=None):
        family = (families or self.families()).get(re.sub("_count$", "", name))
        return family.samples.get((name, tuple(sorted(labels))), 0) if family else 0

    def grows(self, by, name, labels, action):
        """By exactly this much, and by no more a while later."""
        before = self.value(name, labels)
        action()
        seen = []

        def there():
            seen.append(self.value(name, labels) - before)
            return seen[-1] >= by

        client.eventually(there)
        time.sleep(0.05)
        self.assertEqual(self.value(name, labels) - before, by, f"{name} {labels}: {seen[-3:]}")

    def ask(self, times, proto="tcp", family=4, frontend=WEB.cluster_ip, **how):
        for _ in range(times):
            yield self.cluster.ask("client", proto, frontend.address[family], frontend.port,
                                   source_port=next(ports), **how)

    def served(self, times, **how):
        for answer in self.ask(times, **how):
            self.assertIsNone(answer["error"])

    def test_n_connections_are_n_connections(self):
        for protocol, family, times in (("TCP", 4, 7), ("TCP", 6, 3), ("UDP", 4, 5)):
            proto = protocol.lower()
            labels = service("web", proto, protocol, f"IPv{family}")
            others = [service("web", "tcp", "TCP", f"IPv{10 - family}"), OTHER]
            before = [self.value("weir_service_connections_total", one) for one in others]
            with self.subTest(protocol=protocol, family=family):
                self.grows(times, "weir_service_connections_total", labels,
                           lambda: self.served(times, proto=proto, family=family))
                self.assertEqual([self.value("weir_service_connections_total", one) for one in others],
                                 before)
        self.grows(4, "weir_flow_events_total", [("event", "established")], lambda: self.served(4))

    def test_traffic_is_what_the_tool_says(self):
        self.served(3)
        fields = {"connections": "weir_service_connections_total", "packets": "weir_service_packets_total",
                  "bytes": "weir_service_bytes_total"}

        def same():
            rows = self.agent.query("service", "list")
            families = self.families()
            wrong = [(row, field) for row in rows for field, name in fields.items()
                     if row[field] != self.value(name, service(
                         row["service"].split("/")[1].split(":")[0], row["service"].split(":")[1],
                         row["protocol"], row["family"]), families)]
            self.assertEqual(self.value("weir_services", families=families), len(rows))
            return not wrong

        self.assertTrue(client.eventually(same), "never the same")
        flows = sum(row["live_flows"] for row in self.agent.query("backend", "list"))
        families = self.families()
        self.assertEqual(sum(families["weir_service_flows"].samples.values()), flows)
        self.assertEqual(self.value("weir_flows", families=families), flows)
        self.assertGreater(flows, 0)
        # Most bytes are still the flows': they come with a tick's first packet, or a flow's end.
        self.assertGreater(self.value("weir_service_bytes_total", service("web"), families), 0)

    def test_drops_show(self):
        def knock():
            for answer in self.ask(6, proto="udp", frontend=SHUT.load_balancer, timeout=0.05):
                self.assertEqual(answer["error"], "timeout")

        self.grows(6, "weir_drops_total", [("reason", "source_range")], knock)
        counted = self.agent.counters()
        families = self.families()
        for name in ("drop_source_range", "flow_new", "forward_xdp"):
            family, label = {"drop": ("weir_drops_total", "reason"), "flow": ("weir_flow_events_total", "event"),
                             "forward": ("weir_translated_total", "where")}[name.split("_")[0]]
            value = name if label == "where" else name.split("_", 1)[1]
            self.assertEqual(self.value(family, [(label, value)], families), counted.get(name, 0), name)

    def test_publications(self):
        done = [("result", "done")]
        before = self.families()
        begin = time.time()
        services.publish(self.cluster, services.Offer("late", 63))
        self.cluster.wait_serving("late")
        after = self.families()
        self.cluster.manifests.remove("late.json")

        def grown(name, labels=()):
            return self.value(name, labels, after) - self.value(name, labels, before)

        self.assertEqual(grown("kubeproxy_sync_proxy_rules_service_changes_total"), 1)
        self.assertGreaterEqual(grown("weir_publications_total", done), 1)
        self.assertEqual(grown("kubeproxy_sync_proxy_rules_duration_seconds_count"),
                         grown("weir_publications_total", done))
        self.assertEqual(grown("weir_services"), 4)  # two protocols, two families
        for what in ("service", "endpoint"):
            self.assertEqual(self.value(f"kubeproxy_sync_proxy_rules_{what}_changes_pending", families=after), 0)
        queued, synced = (self.value(f"kubeproxy_sync_proxy_rules_last_{what}timestamp_seconds", families=after)
                          for what in ("queued_", ""))
        self.assertLess(begin - 0.1, queued)
        self.assertLessEqual(queued, synced)
        self.assertLess(synced, time.time() + 0.1)

    def test_a_conflict_is_one_as_long_as_it_lasts(self):
        rival = services.Offer("rival", 64)
        self.assertEqual(self.value("weir_frontend_conflicts"), 0)
        # WEB's external addresses, both ports, both families.
        services.publish(self.cluster, rival, externalIPs=list(WEB.external_ip.address.values()))
        self.assertTrue(client.eventually(lambda: self.value("weir_frontend_conflicts") == 4))
        self.cluster.manifests.remove("rival.json")
        self.assertTrue(client.eventually(lambda: self.value("weir_frontend_conflicts") == 0))

    def test_probes_devices_and_fill(self):
        def probe():
            for _ in range(3):
                self.worker.call("fetch", address="127.0.0.1", port=10256, path="/livez")

        self.grows(3, "kubeproxy_proxy_livez_total", [("code", "200")], probe)
        families = self.families()
        devices = {labels: count for (_, labels), count in families["weir_attached_devices"].samples.items()}
        self.assertEqual(devices[(("edge", "uplink"), ("mode", "xdp-native"))], 1)
        self.assertEqual(devices[(("edge", "pod"), ("mode", "tc"))], 2)
        self.assertEqual(sum(devices.values()), 3)
        for row in self.agent.query("status")["tables"]:
            table = [("table", row["table"])]
            if ("weir_table_limit", tuple(table)) not in families["weir_table_limit"].samples:
                continue
            self.assertEqual(self.value("weir_table_limit", table, families), row["max_entries"])
            counted = families["weir_table_entries"].samples.get(("weir_table_entries", tuple(table)))
            if counted is not None and row["table"] not in ("weir_flow", "weir_expiry"):
                self.assertEqual(counted, row["entries"], row["table"])
        self.assertLess(time.time() - self.value("weir_expiry_last_run_timestamp_seconds"), 5)

    def test_names_are_those_of_the_documentation(self):
        wanted = documented()
        for path in ("/healthz", "/livez"):
            self.worker.call("fetch", address="127.0.0.1", port=10256, path=path)
        families = self.families()
        self.assertGreater(len(families), 35)
        for name, family in families.items():
            with self.subTest(name=name):
                kind, labels = wanted.pop(name)
                self.assertEqual(family.kind, kind)
                if not OF_WATCHES.match(name):
                    self.assertLessEqual(family.labels, labels)
        self.assertEqual([name for name in wanted if not OF_WATCHES.match(name)], [])

    def test_other_paths(self):
        for path, status, body in (("/healthz", 200, "ok"), ("/proxyMode", 200, "weir"),
                                   ("/livez", 404, "404 page not found\n")):
            answer = self.worker.call("fetch", address="127.0.0.1", port=PORT, path=path)
            self.assertEqual((answer["status"], answer["body"]), (status, body))

    def test_only_this_node_is_answered(self):
        for family in plan.FAMILIES:
            answer = self.cluster.workers["client"].call(
                "fetch", address=NODE1.address(family), port=PORT, path="/metrics")
            self.assertEqual(answer["error"], "refused")
        self.assertEqual(self.value("weir_build_info", [("abi", "1"), ("version", "0.1.0")]), 1)

    def test_another_address_and_so_many_services(self):
        self.served(2)  # WEB's IPv4 TCP has the most
        shown = sum(self.families()["weir_service_connections_total"].samples.values())
        self.run_with("--metrics-bind-address", f"{NODE1.address(4)}:10300", "--metrics-services", "1")
        self.assertEqual(self.worker.call("fetch", address="127.0.0.1", port=PORT)["error"], "refused")
        answer = self.cluster.workers["client"].call("fetch", address=NODE1.address(4), port=10300,
                                                     path="/metrics")
        families = exposition.parse(answer["body"])
        samples = families["weir_service_connections_total"].samples
        self.assertEqual({labels for _, labels in samples}, {service("web"), OTHER})
        self.assertEqual(sum(samples.values()), shown)
        self.assertEqual(self.value("weir_services_summed", families=families),
                         self.value("weir_services", families=families) - 1)

    def test_a_port_in_use_is_said_and_taken_when_free(self):
        self.agent.stop()
        said = len(self.agent.log())
        command = [*shell.inside(self.cluster.ns("node1")), sys.executable, "-c", LISTENER.format(PORT)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            try:
                other.stdout.readline()
                self.start()
                self.agent.wait_until(lambda: "metrics: listen on 127.0.0.1:10249: bind: Address already in "
                                              "use; it is tried again" in self.agent.log()[said:], "line")
                self.served(1)
            finally:
                other.communicate("\n")
        self.assertTrue(client.eventually(lambda: self.worker.call(
            "fetch", address="127.0.0.1", port=PORT, path="/metrics")["status"] == 200))
        self.assertEqual(self.agent.log()[said:].count("it is tried again"), 1)
        self.assertIn("metrics: listens on 127.0.0.1:10249 now", self.agent.log()[said:])

    def test_status_names_the_source(self):
        self.assertEqual(self.agent.query("status")["source"], {"kind": "manifests", "resources": []})

    def served_services(self):
        return [(row["service"], row["family"], row["frontends"])
                for row in self.agent.query("service", "list")]

    def test_tables_of_before_the_source_was_told(self):
        """As an older build leaves them: without the map, and with another hash of the programs."""
        maps = pathlib.Path(self.agent.pin_path) / "v1/maps"
        self.agent.stop()
        before = self.served_services()
        (maps / "weir_source").unlink()
        self.assertIsNone(self.agent.query("status")["source"])
        key = ["key", "0", "0", "0", "0"]
        config = json.loads(shell.run("bpftool", "-j", "map", "lookup", "pinned", str(maps / "weir_config"), *key))
        raw = config["value"]
        raw[48:56] = ["0"] * 8  # weir_config.programs
        shell.run("bpftool", "map", "update", "pinned", str(maps / "weir_config"), *key, "value", *raw)
        self.start()
        self.assertEqual(self.agent.query("status")["source"]["kind"], "manifests")
        self.assertEqual(self.served_services(), before)
        self.served(1)


if __name__ == "__main__":
    unittest.main()
