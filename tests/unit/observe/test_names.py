# SPDX-License-Identifier: Apache-2.0
"""
What the dashboard, the alerts and the documentation name is what weir has: WEIR_METRICS_TEXT is a
program that writes every family, with every label.
"""
import json
import os
import pathlib
import re
import subprocess
import unittest

import exposition

SOURCE = pathlib.Path(__file__).resolve().parents[3]
DOCS = SOURCE / "docs/OPERATING.md"
ALERTS = SOURCE / "deploy/prometheus/alerts.yaml"
DASHBOARD = SOURCE / "deploy/grafana/weir.json"
TARGET = {"instance", "job"}  # what Prometheus itself puts on each series
OF_PROMETHEUS = {"up": set()}


def families():
    text = subprocess.run([os.environ["WEIR_METRICS_TEXT"]], check=True, capture_output=True, text=True)
    return exposition.parse(text.stdout)


def alert_queries():
    """{alert: expr}; a folded expression is one line."""
    found, name, folding = {}, None, False
    for line in ALERTS.read_text(encoding="utf-8").splitlines():
        if line.startswith("      - alert: "):
            name = line.split(": ", 1)[1]
        elif line.startswith("        expr: "):
            text = line.split(": ", 1)[1]
            folding = text == ">-"
            found[name] = "" if folding else text
        elif folding and line.startswith("          "):
            found[name] += " " + line.strip()
        else:
            folding = False
    return found


def panels():
    return [panel for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
            if panel["type"] != "row"]


def dashboard_queries():
    found = {f"{panel['id']} {panel['title']} {target['refId']}": target["expr"]
             for panel in panels() for target in panel["targets"]}
    for variable in json.loads(DASHBOARD.read_text(encoding="utf-8"))["templating"]["list"]:
        if variable["type"] == "query":
            # label_values(metric, label): as a query, the label is one that is grouped by.
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()
            found[f"variable {variable['name']}"] = f"sum by ({label}) ({metric})"
    return found


def documented():
    """{metric: (type, labels)}"""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", DOCS.read_text(encoding="utf-8"), re.M)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


class Names(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.families = families()
        cls.series = exposition.series_names(cls.families) | OF_PROMETHEUS

    def check(self, queries):
        for where, query in queries.items():
            with self.subTest(where=where, query=query):
                metrics, grouped = exposition.names_in(query)
                self.assertTrue(metrics)
                allowed = set(TARGET)
                for metric, labels in metrics:
                    self.assertIn(metric, self.series)
                    self.assertLessEqual(labels, self.series[metric] | TARGET)
                    allowed |= self.series[metric]
                self.assertLessEqual(grouped, allowed)

    def test_alerts(self):
        queries = alert_queries()
        self.assertGreater(len(queries), 15)
        self.check(queries)

    def test_dashboard(self):
        queries = dashboard_queries()
        self.assertGreater(len(queries), 30)
        self.check(queries)

    def test_values_of_labels_in_queries(self):
        """A reason or event that nothing has is as wrong as a name."""
        values = {}
        for family in self.families.values():
            for _, labels in family.samples:
                for label, value in labels:
                    values.setdefault(label, set()).add(value)
        for where, query in (alert_queries() | dashboard_queries()).items():
            for label, operator, wanted in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', query):
                if label in TARGET or "$" in wanted:
                    continue
                with self.subTest(where=where, label=label):
                    self.assertLessEqual(set(wanted.split("|")) if "~" in operator else {wanted},
                                         values[label])

    def test_documentation_is_complete(self):
        self.assertEqual(documented(), {name: (family.kind, family.labels)
                                        for name, family in self.families.items()})

    def test_every_family_is_seen_in_a_dashboard_or_alert(self):
        """But for those that are only for a person who looks for them."""
        aside = {"process_start_time_seconds", "process_virtual_memory_bytes"}
        named = {metric for query in (dashboard_queries() | alert_queries()).values()
                 for metric, _ in exposition.names_in(query)[0]}
        seen = {name for name in self.families if any(name + part in named for part in
                                                      ("", *exposition.PARTS))}
        self.assertEqual(set(self.families) - seen, aside)


class Alerts(unittest.TestCase):
    def test_each_has_what_a_person_needs(self):
        text = ALERTS.read_text(encoding="utf-8")
        anchors = {heading.lower() for heading in re.findall(r"^### (\w+)$",
                                                             DOCS.read_text(encoding="utf-8"), re.M)}
        names = re.findall(r"^      - alert: (\w+)$", text, re.M)
        self.assertEqual(set(name.lower() for name in names), anchors)
        for name, rule in zip(names, re.split(r"^      - alert: ", text, flags=re.M)[1:]):
            with self.subTest(alert=name):
                self.assertRegex(rule, r"\n        for: \d+m\n")
                self.assertRegex(rule, r"\n          severity: (critical|warning)\n")
                self.assertRegex(rule, r"\n          summary: \".+\"\n")
                self.assertRegex(rule, r"\n          description: \".+\"\n")
                self.assertIn(f"\n          runbook: docs/OPERATING.md#{name.lower()}\n", rule)

    def test_each_has_a_test_where_it_fires_and_one_where_not(self):
        text = (ALERTS.parent / "alerts_test.yaml").read_text(encoding="utf-8")
        for name in alert_queries():
            with self.subTest(alert=name):
                checks = re.findall(rf"alertname: {name}\n        exp_alerts:( \[\])?", text)
                self.assertIn("", checks)
                self.assertIn(" []", checks)


class Dashboard(unittest.TestCase):
    def test_panels(self):
        seen = set()
        for panel in panels():
            with self.subTest(panel=panel["title"]):
                self.assertNotIn(panel["id"], seen)
                seen.add(panel["id"])
                for part in (panel, *panel["targets"]):
                    self.assertEqual(part["datasource"], {"type": "prometheus", "uid": "${datasource}"})
                place = panel["gridPos"]
                self.assertLessEqual(place["x"] + place["w"], 24)
                for target in panel["targets"]:
                    for metric, labels in exposition.names_in(target["expr"])[0]:
                        self.assertIn("instance", labels, metric)

    def test_the_data_source_is_a_variable(self):
        variables = json.loads(DASHBOARD.read_text(encoding="utf-8"))["templating"]["list"]
        self.assertEqual([v["query"] for v in variables if v["type"] == "datasource"], ["prometheus"])


class Queries(unittest.TestCase):
    """What reads them is no oracle if it overlooks names."""

    def test_names(self):
        query = ('histogram_quantile(0.99, sum by (instance, le) (rate(a_bucket{x="y", z!~"b|c"}[5m]))) > 2 '
                 'and on (job) time() - d{} > 60 or e / ignoring (f) g')
        metrics, grouped = exposition.names_in(query)
        self.assertEqual(metrics, [("a_bucket", {"x", "z"}), ("d", set()), ("e", set()), ("g", set())])
        self.assertEqual(grouped, {"instance", "le", "job", "f"})
        with self.assertRaises(ValueError):
            exposition.names_in("summe(a)")


if __name__ == "__main__":
    unittest.main()
