# SPDX-License-Identifier: Apache-2.0
"""The page is well-formed whatever is missing; tables and plots say what was measured."""
import html.parser
import re
import unittest
import xml.etree.ElementTree as xml

import made_up
from made_up import Record
import figures
import plot
import report
import tables
import targets
import ways

VOID = {"meta", "br"}


class Page(html.parser.HTMLParser):
    """Keeps the texts, the plots and the ids; every element must be closed by its own name."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.outside, self.texts, self.rows = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href") and not value.startswith("#"):
                self.outside.append(value)
        if tag == "tr":
            self.rows.append([])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)


def page_of(records):
    return report.page(made_up.results(records), records)


class WholePage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.records = made_up.records()
        cls.text = page_of(cls.records)
        cls.page = Page(cls.text)
        cls.plots = re.findall(r"<svg.*?</svg>", cls.text, re.DOTALL)

    def test_is_well_formed(self):
        self.assertEqual(self.page.open, [])
        self.assertEqual(len(self.page.ids), len(set(self.page.ids)))

    def test_needs_nothing_else(self):
        self.assertEqual(self.page.outside, ["results.json"])
        self.assertNotRegex(self.text, r"<script|<link|@import|url\((?!#)")

    def test_plots_are_xml_and_say_what_they_show(self):
        self.assertEqual(len(self.plots), 1 + 3 + 2 + 4 + 4)
        for plot in self.plots:
            root = xml.fromstring(plot)
            self.assertEqual(root.get("role"), "img")
            self.assertRegex(root.get("aria-label"), r"\w.*\d")

    def test_plots_take_their_colours_from_the_page(self):
        defined = set(re.findall(r"(--\w+):", self.text))
        for plot in self.plots:
            self.assertLessEqual(set(re.findall(r"var\((--\w+)\)", plot)), defined)
            self.assertEqual(set(re.findall(r"#[0-9a-f]{6}\b", plot)), set())

    def test_references_within_plots_exist(self):
        used = re.findall(r'(?:href="#|url\(#)([^")]+)', self.text)
        self.assertLessEqual(set(used), set(self.page.ids))

    def test_is_the_same_again(self):
        self.assertEqual(page_of(made_up.records()), self.text)

    def test_has_every_target_with_its_verdict(self):
        for each in targets.outcomes(self.records):
            row = next(row for row in self.page.rows if each.target.name in row)
            self.assertIn(each.verdict, row[0])

    def test_text_of_the_machine_is_text(self):
        self.assertIn("Some CPU &lt;of&gt; 2 &amp; more", self.text)


class Missing(unittest.TestCase):
    def test_all_parts_but_one(self):
        for name in ways.PARTS:
            records = [each for each in made_up.records() if each.part == name]
            with self.subTest(name):
                text = page_of(records)
                self.assertEqual(Page(text).open, [])
                self.assertEqual(text.count("This part was not measured."), 3)
                self.assertIn("not measured", report.text(made_up.results(records), records))

    def test_everything(self):
        self.assertEqual(Page(page_of([])).open, [])
        self.assertEqual(report.main_svg([]), "")

    def test_all_but_one_record(self):
        for record in (made_up.records()[0], Record("node", "new way", "new", "count", {}, [1])):
            self.assertEqual(Page(page_of([record])).open, [])

    def test_a_part_that_failed_says_why(self):
        results = made_up.results(made_up.records())
        results["parts"][0]["error"] = "OSError: <no> such & such"
        text = report.page(results, [])
        self.assertIn("This part failed: OSError: &lt;no&gt; such &amp; such", text)
        self.assertIn("packet failed: OSError: <no>", report.text(results, []))

    def test_values_that_no_logarithm_has(self):
        records = [Record("packet", "xdp", "established flow", "ns", {"flows": flows}, [0.0, -1.0])
                   for flows in (1, 1000)]
        text = page_of(records)
        self.assertEqual(Page(text).open, [])
        self.assertNotIn("<svg", text)


class Tables(unittest.TestCase):
    def test_missed_targets_are_shown_as_missed(self):
        slow = [Record("node", way, "established", "ns", {"flows": 1000, "services": 1000}, [ns])
                for way, ns in (("xdp-wire", 1000), ("redirect-wire", 300), ("nft", 5100))]
        rows = [row for row in Page(page_of(slow)).rows if row and "1,000 flows" in row[1]]
        self.assertEqual([(row[0], row[1], row[3]) for row in rows if "XDP" in row[1]], [
            ("✗ missed", "XDP, 1,000 flows: rate over plain XDP redirect", "0.30 ×"),
            ("✓ met", "XDP, 1,000 flows: rate over kube-proxy nftables", "5.10 ×")])
        self.assertRegex(report.text(made_up.results(slow), slow), "targets: 1 met, 1 missed, ")

    def test_ratios_by_round(self):
        records = [Record("node", way, "established", "ns", {"flows": 1}, values)
                   for way, values in (("tc", [10, 40, 90]), ("nft", [20, 80, 90]))]
        table, = tables.ratios("node", records)
        self.assertEqual(table.rows, [
            ["weir, tc / kube-proxy, nftables", "established", "2.00", "2.00", "1.20", "2.00"]])
        self.assertEqual(table.caption, "Ratios round by round: times as fast (1 flow)")

    def test_values(self):
        records = [Record("connection", "weir", f"runs of {name}", "runs", {"from": "pod"}, values)
                   for name, values in (("weir_xdp", [3, 1, 2]), ("weir_pod_in", [0.05]))]
        table, = tables.values(records)
        self.assertEqual(table.caption, "runs: runs (from pod)")
        self.assertEqual(table.head, ["measure", "way", *tables.SPREAD, "rounds"])
        self.assertEqual(table.rows, [
            ["weir_xdp", "weir", "1.00", "2.00", "1.20", "2.80", "3"],
            ["weir_pod_in", "weir", "0.050", "0.050", "0.050", "0.050", "1"]])

    def test_cases_that_differ_have_a_column(self):
        named = tables.Cases([{"flows": 1000, "family": 4}, {"family": 4}])
        self.assertEqual((named.common, named.keys), ({"family": 4}, ["flows"]))
        self.assertEqual(named.columns({"family": 4}), [tables.ABSENT])

    def test_only_packets_have_a_rate(self):
        records = [Record("node", "tc", what, "ns", {}, [200]) for what in ("established", "program")]
        first, second = tables.values(records)
        self.assertEqual((first.head[-1], first.rows[0][-1]), ("M/s at best", "5.00"))
        self.assertEqual(second.head[-1], "rounds")

    def test_of_readme(self):
        table = tables.main(made_up.records())
        self.assertEqual(table.head, ["way", "1 flow", "1,000 flows", "100,000 flows",
                                      "every packet a new connection"])
        self.assertEqual([row[0] for row in table.rows][:2],
                         ["plain XDP redirect (the limit)", "weir, XDP"])
        self.assertRegex(table.rows[1][2], r"^\d\.\d\d \(\d\.\d×\)$")
        self.assertIn("| weir, XDP ", table.markdown())


class Plots(unittest.TestCase):
    def test_growth_is_along_one_line(self):
        """What else is varied does not mix into it."""
        records = [Record("node", "xdp", "established", "ns", {"flows": flows, "services": services},
                          [float(flows + services)])
                   for flows, services in ((1, 1000), (1000, 1000), (100_000, 1000), (1000, 1))]
        by_flows, = figures.growth(records, ["established"], "flows", "Title", "ns")
        self.assertEqual(by_flows.title, "Title (1,000 Services)")
        self.assertIn("weir, XDP, into a socket buffer 1,001 at 1, 2,000 at 1,000, "
                      "101,000 at 100,000\"", by_flows.svg)

    def test_one_point_is_no_growth(self):
        record = Record("node", "xdp", "established", "ns", {"flows": 1}, [1.0])
        self.assertEqual(figures.growth([record], ["established"], "flows", "Title", "ns"), [])

    def test_stages_are_in_their_order(self):
        records = [Record("packet", "xdp", f"stage: {name}", "ns", {"flows": 1}, [value])
                   for name, value in (("parse", 10.0), ("lookup", 20.0), ("rewrite", -1.0))]
        figure, = figures.stages(records)
        self.assertIn("weir, XDP, 1 flow: parse 10.0, lookup 20.0, rewrite 0", figure.svg)

    def test_what_disturbed_a_round_does_not_stretch_them(self):
        axes = plot.figure.Figure().add_subplot()
        plot.bars(axes, [("", [("weir", "blue", False, 10, 11, 10, 1000)])], "ns", str)
        self.assertLess(axes.get_xlim()[1], 20)
        axes = plot.figure.Figure().add_subplot()
        plot.lines(axes, [("weir", "blue", False, [(1, 10, 10, 1000), (9, 40, 40, 50)])], "x", "y")
        self.assertLess(axes.get_ylim()[1], 100)

    def test_what_is_level_looks_level(self):
        axes = plot.figure.Figure().add_subplot()
        plot.lines(axes, [("weir", "blue", False, [(1, 10, 10, 10), (9, 11, 11, 11)])], "x", "y")
        low, high = axes.get_ylim()
        self.assertGreater(high / low, 3.9)

    def test_of_readme_stands_alone(self):
        svg = report.main_svg(made_up.records())
        self.assertEqual(xml.fromstring(svg).tag, "{http://www.w3.org/2000/svg}svg")
        self.assertRegex(svg, r'<svg[^>]* width="')
        self.assertNotIn("var(--", svg)
