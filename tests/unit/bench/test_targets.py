# SPDX-License-Identifier: Apache-2.0
"""A target is met, missed, or not measured; the worst case counts."""
import unittest

import made_up
from made_up import Record
import summary
import tables
import targets
from summary import Select

MOST = targets.Target("time", Select("node", "xdp"), Select("node", "nft"), targets.TIME_OF_BEST,
                      most=1.25)
LEAST = targets.Target("speed", Select("node", "xdp"), Select("node", "nft"),
                       targets.SPEED_BY_ROUND, least=2)
OWN = targets.Target("own", Select("node", "xdp"), None, targets.own("median", "ms", summary.median),
                     most=1)


def record(way, values, **case):
    return Record("node", way, "established", "ns", case, values)


class Verdicts(unittest.TestCase):
    def verdict(self, target, *records):
        found = targets.outcome(target, records)
        return found.verdict, round(found.values[0][0], 3) if found.values else None

    def test_minimum_over_minimum(self):
        self.assertEqual(self.verdict(MOST, record("xdp", [90, 25]), record("nft", [20, 50])),
                         ("met", 1.25))
        self.assertEqual(self.verdict(MOST, record("xdp", [90, 26]), record("nft", [20, 50])),
                         ("missed", 1.3))

    def test_median_of_ratios_by_round(self):
        """Medians of the values themselves would say 1.0."""
        over, under = record("xdp", [10, 20, 30]), record("nft", [40, 20, 15])
        self.assertEqual(self.verdict(LEAST, over, under), ("missed", 1))
        over, under = record("xdp", [10, 40, 90]), record("nft", [20, 80, 40])
        self.assertEqual(self.verdict(LEAST, over, under), ("met", 2))

    def test_a_figure_of_its_own(self):
        self.assertEqual(self.verdict(OWN, record("xdp", [9, 0.5, 0.9])), ("met", 0.9))
        self.assertEqual(self.verdict(OWN, record("xdp", [9, 0.5, 1.1])), ("missed", 1.1))

    def test_not_measured(self):
        self.assertEqual(self.verdict(MOST, record("xdp", [1])), ("not measured", None))
        self.assertEqual(self.verdict(OWN), ("not measured", None))

    def test_the_worst_case_counts(self):
        good, bad = (record("xdp", [ns], flows=flows) for ns, flows in ((10, 1), (15, 2)))
        base = record("nft", [10])
        for order in ((good, bad, base), (bad, good, base)):
            self.assertEqual(self.verdict(MOST, *order), ("missed", 1.5))
        slow, fast = (record("xdp", [ns], flows=flows) for ns, flows in ((8, 1), (4, 2)))
        for order in ((slow, fast, base), (fast, slow, base)):
            self.assertEqual(self.verdict(LEAST, *order), ("missed", 1.25))


class OfTheSuite(unittest.TestCase):
    def test_each_bounds_one_side(self):
        for target in targets.TARGETS:
            self.assertNotEqual(target.most is None, target.least is None, target.name)

    def test_each_is_measured_by_a_whole_run(self):
        missing = [each.target.name for each in targets.outcomes(made_up.records())
                   if not each.values]
        self.assertEqual(missing, [])

    def test_none_is_measured_by_none(self):
        self.assertEqual({each.verdict for each in targets.outcomes([])}, {"not measured"})

    def test_rows_say_what_was_measured(self):
        outcome = targets.outcome(MOST, [record("xdp", [26], flows=1), record("nft", [20])])
        self.assertEqual(list(tables.target_rows([outcome])), [
            ("missed", ["time", "at most 1.25 ×", "1.30 ×", "1.30 to 1.30",
                        "minimum over minimum; 1 flow"])])

    def test_rounding_does_not_hide_a_miss(self):
        self.assertEqual(tables.measured(LEAST, 1.996), "1.9960 ×")
        self.assertEqual(tables.measured(LEAST, 1.99), "1.99 ×")
        self.assertEqual(tables.measured(LEAST, 2.004), "2.00 ×")
