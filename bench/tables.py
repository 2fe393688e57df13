# SPDX-License-Identifier: Apache-2.0
"""The tables of the report, as data; they become text, Markdown and, in page.html, HTML."""
import dataclasses
import re
import statistics

import tabulate

import summary
import ways

SPREAD = ["best", "median", "p10", "p90"]
ABSENT = "–"
STAGE = "stage: "


@dataclasses.dataclass(frozen=True)
class Table:
    caption: str
    head: list
    rows: list  # of texts
    words: int  # columns from the left that are not numbers

    def _render(self, form):
        align = ["left"] * self.words + ["right"] * (len(self.head) - self.words)
        return tabulate.tabulate(self.rows, self.head, tablefmt=form, disable_numparse=True,
                                 colalign=align if self.rows else None)

    def text(self):
        return f"{self.caption}\n\n{self._render('plain')}\n"

    def markdown(self):
        return self._render("github")


def number(value):
    """Three digits that count, or four."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    digits = next((digits for least, digits in ((100, 0), (10, 1), (0.1, 2), (0.01, 3))
                   if size >= least), 4)
    return f"{value:.{digits}f}"


def ratio(value):
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def spread_of(values, best, say=number):
    return [say(value) for value in (best, statistics.median(values), *summary.spread(values))]


def grouped(items, key):
    """{key: items of it}, in the order in which keys first come."""
    groups = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


class Cases:
    """The cases of a table's rows: what all have in common is said once, the rest has columns."""

    def __init__(self, cases):
        keys = list(dict.fromkeys(key for case in cases for key in case))
        self.common = {key: cases[0][key] for key in keys
                       if all(case.get(key, ABSENT) == cases[0].get(key) for case in cases)}
        self.keys = [key for key in keys if key not in self.common]

    def columns(self, case):
        return [ABSENT if key not in case else f"{case[key]:,}" if isinstance(case[key], int)
                else str(case[key]) for key in self.keys]

    def caption(self, text):
        return f"{text} ({ways.cases(self.common)})" if self.common else text


def by_case(record):
    """Numbers by size; then the ways in their order."""
    return ([(0, value, "") if isinstance(value, int | float) else (1, 0, value)
             for _, value in sorted(record.case.items())], ways.rank(record.part, record.way))


def is_stage(record):
    return record.what.startswith(STAGE)


def family(record):
    """(what a table is about, which measure of it): "runs of weir_xdp" is one of "runs"."""
    about, *measure = re.split(": |, | of ", record.what, maxsplit=1)
    return about, measure[0] if measure else ""


def values(records):
    """The tables of a part: one for each thing measured and unit."""
    measured = [record for record in records if record.values]
    return [value_table(*key, rows) for key, rows in grouped(
        measured, lambda record: (family(record)[0], record.unit)).items()]


def value_table(about, unit, records):
    part, named = records[0].part, Cases([record.case for record in records])
    measures = list(dict.fromkeys(family(record)[1] for record in records))
    several, rates = len(measures) > 1, part == "node" and about in MAIN
    if not several:
        about = records[0].what
    rows = []
    for record in sorted(records, key=lambda record: (
            measures.index(family(record)[1]), by_case(record))):
        best = summary.best(record)
        rows.append([*[family(record)[1] or "in all"] * several, ways.way(part, record.way).title,
                     *named.columns(record.case), *spread_of(record.values, best),
                     str(len(record.values)), *([number(1e3 / best)] if rates else [])])
    return Table(named.caption(f"{about}: {ways.unit(unit)}"),
                 [*["measure"] * several, "way", *named.keys, *SPREAD, "rounds",
                  *["M/s at best"] * rates], rows, several + 1 + len(named.keys))


def ratios(part, records):
    """One table of all pairs of ways of a part, each ratio taken round by round."""
    about = ways.PARTS[part]
    compare = summary.times if about.by_time else summary.speeds
    measures = dict.fromkeys(each.what for each in records if not is_stage(each))
    found = [(one, other, compare(one, other)) for key, than in about.compared for what in measures
             for one, other in summary.pairs(records, summary.Select(part, key, what),
                                             summary.Select(part, than, what))]
    if not found:
        return []
    named = Cases([one.case for one, _, _ in found])
    best = min if about.by_time else max
    rows = [[f"{ways.way(part, one.way).title} / {ways.way(part, other.way).title}", one.what,
             *named.columns(one.case), *spread_of(each, best(each), ratio)]
            for one, other, each in found]
    said = "times the time" if about.by_time else "times as fast"
    return [Table(named.caption(f"Ratios round by round: {said}"),
                  ["ratio", "measure", *named.keys, *SPREAD], rows, 2 + len(named.keys))]


def target_rows(outcomes):
    """(verdict, texts) for each target."""
    for each in outcomes:
        if not each.values:
            yield each.verdict, [each.target.name, each.target.demand, ABSENT, ABSENT, ABSENT]
            continue
        value, record, rounds = each.values[0]
        low, high = summary.spread(rounds)
        where = ways.cases(record.case)
        if len(each.values) > 1:
            where = f"{where}; the worst of {len(each.values)}"
        yield each.verdict, [each.target.name, each.target.demand, measured(each.target, value),
                             f"{ratio(low)} to {ratio(high)}",
                             f"{each.target.statistic.text}; {where}"]


def measured(target, value):
    """With more digits where two would be on the other side of the bound."""
    near = target.met_by(value) != target.met_by(round(value, 2))
    return f"{f'{value:.4f}' if near else ratio(value)} {target.statistic.unit}"


TARGET_HEAD = ["verdict", "target", "must reach", "measured", "p10 to p90", "taken as"]


def target_table(outcomes):
    rows = [[verdict, *texts] for verdict, texts in target_rows(outcomes)]
    return Table("Targets", TARGET_HEAD, rows, len(TARGET_HEAD))


def main(records):
    """What README shows: a row for each way through a node, a column for each kind of traffic."""
    shown = [record for record in records if record.part == "node" and record.unit == "ns"
             and record.what in MAIN and record.way != "floor" and record.values]
    chosen = sorted(main_cases(shown), key=main_order)
    kinds = list(grouped(chosen, traffic))
    ordered = sorted(chosen, key=lambda record: ways.rank("node", record.way))
    rows = []
    for key, mine in grouped(ordered, lambda record: record.way).items():
        cells = {traffic(record): main_cell(record, chosen) for record in mine}
        rows.append([ways.way("node", key).title, *(cells.get(kind, ABSENT) for kind in kinds)])
    return Table("Through a node: million packets per second in the best round, and how many times "
                 "as fast as kube-proxy's nftables rules (the median of rounds)",
                 ["way", *kinds], rows, 1)


def main_cell(record, chosen):
    rate = number(1e3 / summary.best(record))
    peers = [other for other in chosen if other.way == "nft" and traffic(other) == traffic(record)
             and summary.agree(record.case, other.case)]
    return f"{rate} ({statistics.median(summary.speeds(record, peers[0])):.1f}×)" if peers else rate


def main_order(record):
    return (MAIN.index(record.what), record.case.get("flows", 0),
            ways.rank("node", record.way))


MAIN = ("established", "new connections")


def traffic(record):
    if record.what != "established":
        return "every packet a new connection"
    return ways.case("flows", record.case["flows"]) if "flows" in record.case else record.what


def main_cases(records):
    """Of each way and kind of traffic the one with most Services, 1,000 being enough."""
    for same in grouped(records, lambda record: (record.way, traffic(record))).values():
        yield max(same, key=lambda record: min(record.case.get("services", 0), 1000))
