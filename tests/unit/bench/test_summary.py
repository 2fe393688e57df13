# SPDX-License-Identifier: Apache-2.0
"""Quantiles, ratios by round, and which records belong together."""
import unittest

from made_up import Record
import summary
from summary import Select


def record(values, way="xdp", unit="ns", what="established", **case):
    return Record("node", way, what, unit, case, values)


class Values(unittest.TestCase):
    def test_spread_is_between_values(self):
        self.assertEqual(summary.spread([10, 0, 5, 20, 15]), (2, 18))
        self.assertEqual(summary.spread(list(range(101))), (10, 90))

    def test_spread_of_one_value_is_that_value(self):
        self.assertEqual(summary.spread([7]), (7, 7))

    def test_best_is_the_least_time_and_the_most_rate(self):
        self.assertEqual(summary.best(record([3, 2, 9])), 2)
        self.assertEqual(summary.best(record([3, 2, 9], unit="MB/s")), 9)

    def test_median(self):
        self.assertEqual(summary.median(record([9, 1, 4, 3])), 3.5)


class Ratios(unittest.TestCase):
    def test_are_taken_by_round(self):
        """Of two ways which a disturbance slows alike the ratio stays."""
        over, under = record([10, 50, 20]), record([20, 100, 40])
        self.assertEqual(summary.times(over, under), [0.5, 0.5, 0.5])
        self.assertEqual(summary.speeds(over, under), [2, 2, 2])

    def test_more_of_a_rate_is_faster(self):
        over, under = record([10, 30], unit="Gbit/s"), record([20, 20], unit="Gbit/s")
        self.assertEqual(summary.speeds(over, under), [0.5, 1.5])
        self.assertEqual(summary.times(over, under)[0], 2)

    def test_end_with_the_shorter_of_the_two(self):
        self.assertEqual(summary.times(record([1, 2, 3]), record([1])), [1])


class Pairs(unittest.TestCase):
    def pairs(self, records, over, under):
        return [(one.case, other.case) for one, other in summary.pairs(
            records, Select("node", "xdp", None, over), Select("node", "nft", None, under))]

    def test_of_one_case(self):
        records = [record([1], way, flows=flows) for way in ("xdp", "nft") for flows in (1, 1000)]
        self.assertEqual(self.pairs(records, {}, {}), [({"flows": 1}, {"flows": 1}),
                                                       ({"flows": 1000}, {"flows": 1000})])

    def test_one_may_not_know_what_the_other_is_varied_by(self):
        records = [record([1], flows=1, services=1000), record([1], "nft", flows=1)]
        self.assertEqual(self.pairs(records, {}, {}),
                         [({"flows": 1, "services": 1000}, {"flows": 1})])

    def test_the_closest_is_taken(self):
        records = [record([1], flows=1, services=10), record([1], "nft"),
                   record([1], "nft", flows=1, services=10), record([1], "nft", flows=1)]
        self.assertEqual(self.pairs(records, {}, {}), [({"flows": 1, "services": 10},) * 2])

    def test_what_both_fix_may_differ(self):
        records = [record([1], flows=1), record([1], "nft", flows=1000)]
        self.assertEqual(self.pairs(records, {}, {}), [])
        self.assertEqual(self.pairs(records, {"flows": 1}, {"flows": 1000}),
                         [({"flows": 1}, {"flows": 1000})])

    def test_units_must_be_the_same(self):
        self.assertEqual(self.pairs([record([1]), record([1], "nft", unit="us")], {}, {}), [])

    def test_without_values_there_is_nothing(self):
        for values in ([], [1, 0], [-1]):
            self.assertEqual(self.pairs([record(values), record([1], "nft")], {}, {}), [])
            self.assertEqual(self.pairs([record([1]), record(values, "nft")], {}, {}), [])
