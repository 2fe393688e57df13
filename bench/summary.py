# SPDX-License-Identifier: Apache-2.0
"""
What is said of a Record's values, and of two Records side by side. The best round counts most: it
repeats within a few percent, while the rest moves with what else the machine does.
"""
import dataclasses
import statistics


def is_rate(unit):
    """More is better, and the largest value the best; of all else the smallest is."""
    return unit.endswith("/s")


def best(record):
    return max(record.values) if is_rate(record.unit) else min(record.values)


def median(record):
    return statistics.median(record.values)


def spread(values):
    """The 10th and the 90th percentile, between values where none lies there."""
    if len(values) < 2:
        return values[0], values[0]
    deciles = statistics.quantiles(values, n=10, method="inclusive")
    return deciles[0], deciles[-1]


def times(over, under):
    """Of each round: how many times the cost of `under` the cost of `over` is."""
    return [a / b for a, b in zip(costs(over), costs(under))]


def speeds(over, under):
    """Of each round: how many times as fast as `under` `over` is."""
    return [b / a for a, b in zip(costs(over), costs(under))]


def costs(record):
    return [1 / value for value in record.values] if is_rate(record.unit) else record.values


@dataclasses.dataclass(frozen=True)
class Select:
    """Records by what they are; None, and what is not named of the case, is anything."""

    part: str
    way: str
    what: str | None = None
    case: dict = dataclasses.field(default_factory=dict)

    def takes(self, record):
        return (self.part == record.part and self.way == record.way
                and self.what in (None, record.what)
                and all(record.case.get(key) == value for key, value in self.case.items()))

    def of(self, records):
        return [record for record in records if record.values and self.takes(record)]


def agree(one, other, apart=frozenset()):
    """Whether two cases differ in nothing that both of them name, but for the keys `apart`."""
    return all(one[key] == other[key] for key in (one.keys() & other.keys()) - apart)


def pairs(records, over, under):
    """
    Records of the two selections that belong together: they may differ in what both selections fix,
    and one of them may not know what the other was varied by. The closest one is taken. Of what is
    nothing, or less by subtraction of an empty run, there is no ratio.
    """
    apart, found = over.case.keys() & under.case.keys(), []
    records = [record for record in records if record.values and min(record.values) > 0]
    for one in over.of(records):
        fit = [other for other in under.of(records)
               if other.unit == one.unit and agree(one.case, other.case, apart)]
        if fit:
            found.append((one, max(fit, key=lambda other: len(
                one.case.items() & other.case.items()))))
    return found
