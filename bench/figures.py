# SPDX-License-Identifier: Apache-2.0
"""Which plots a part of the report has."""
import collections
import dataclasses

import plot
import summary
import tables
import ways


@dataclasses.dataclass(frozen=True)
class Figure:
    title: str
    svg: str
    note: str = ""


def key(text):
    return "".join(letter if letter.isalnum() else "-" for letter in text.lower())


def bar(record, title, convert=lambda value: value):
    """What plot.bars() takes for one record."""
    known = ways.way(record.part, record.way)
    values = [convert(value) for value in record.values]
    return (title, known.colour, known.dashed, convert(summary.best(record)),
            tables.statistics.median(values), *summary.spread(values))


def bar_figure(title, groups, label, alone=False):
    said = "; ".join(f"{group}: " + ", ".join(f"{row[0]} {tables.number(row[3])}" for row in rows)
                     for group, rows in groups)
    return Figure(title, plot.drawn(
        key(title), plot.bars_height(groups),
        lambda axes: plot.bars(axes, groups, label, tables.number), f"{title}. {label}: {said}",
        alone))


MAIN_TITLE = "Packets per second through a node"


def main(records, alone=False):
    """The rates of all ways, for each kind of traffic."""
    shown = [record for record in records if record.part == "node" and record.unit == "ns"
             and record.what in tables.MAIN and record.way != "floor" and record.values]
    kinds = tables.grouped(sorted(tables.main_cases(shown), key=tables.main_order), tables.traffic)
    groups = [(kind.capitalize(), [bar(record, ways.way("node", record.way).title,
                                       lambda value: 1e3 / value) for record in rows])
              for kind, rows in kinds.items()]
    return [bar_figure(MAIN_TITLE, groups, "million packets per second, one CPU for everything",
                       alone)] if groups else []


def bar_groups(records):
    """Records of one measure: a group for each case, a bar for each way."""
    named = tables.Cases([record.case for record in records])
    ordered = sorted(records, key=tables.by_case)
    cases = tables.grouped(ordered, lambda record: ways.cases(
        {each: record.case[each] for each in named.keys if each in record.case}))
    return named, [(title, [bar(record, ways.way(record.part, record.way).title)
                            for record in rows]) for title, rows in cases.items()]


def bars(records, what, title):
    found = [record for record in records if record.what == what and record.values]
    if not found:
        return []
    named, groups = bar_groups(found)
    unit = ways.unit(found[0].unit)
    better = "more is better" if summary.is_rate(found[0].unit) else "less is better"
    return [bar_figure(named.caption(title), groups, f"{unit}; {better}")]


def beside(record, x, ignored):
    """What must be the same along one line of a plot over x."""
    case = {name: value for name, value in record.case.items() if name not in {x, *ignored}}
    if {"services", "endpoints"} <= record.case.keys() and x == "services":
        del case["endpoints"]
        case[ways.EACH] = record.case["endpoints"] / record.case["services"]
    return case


def commonest(records, x, ignored):
    """Of what else is varied, the combination with most values of x."""
    found = collections.defaultdict(set)
    for record in records:
        if x in record.case:
            found[tuple(beside(record, x, ignored).items())].add((record.case[x], record.way))
    if not found:
        return None
    return dict(max(found, key=lambda case: (len({value for value, _ in found[case]}),
                                             len(found[case]))))


def growth(records, whats, x, title, ylabel, ignored=(), only=None):
    """Values over a number on logarithmic axes, a line for each way."""
    records = [record for record in records if record.what in whats and record.values
               and (only is None or record.way in only) and min(record.values) > 0]
    rest = commonest(records, x, ignored)
    if rest is None:
        return []
    fit = [record for record in records if summary.agree(beside(record, x, ignored), rest)]
    series = [line(index, same, x, len(whats) > 1) for index, same in enumerate(
        tables.grouped(sorted(fit, key=line_order), lambda each: (each.what, each.way)).values())]
    if max(len(points) for *_, points in series) < 2:
        return []
    where = f"{title} ({ways.cases(rest)})" if rest else title
    said = "; ".join(f"{name} " + ", ".join(
        tables.number(best) if at is None else f"{tables.number(best)} at {at:,}"
        for at, best, _, _ in points) for name, _, _, points in series)
    return [Figure(where, plot.drawn(key(title), 3.1, lambda axes: plot.lines(
        axes, series, f"number of {ways.NOUNS[x][1]}", ylabel), f"{where}. {ylabel}: {said}"))]


def line_order(record):
    return ways.rank(record.part, record.way)


def line(index, records, x, several):
    """What plot.lines() takes for the records of one way and measure."""
    first = records[0]
    known = ways.way(first.part, first.way)
    name = first.what.split(", ")[0] if several else known.title
    colour = plot.SEVERAL[index % len(plot.SEVERAL)] if several else known.colour
    points = {record.case.get(x): (summary.best(record), *summary.spread(record.values))
              for record in records}
    if None in points:
        points = {None: points[None]}
    return (name, colour, known.dashed, [(at, *points[at]) for at in sorted(
        points, key=lambda at: at or 0)])


def stages(records):
    found = [record for record in records if tables.is_stage(record) and record.values]
    if not found:
        return []
    names = list(dict.fromkeys(record.what.removeprefix(tables.STAGE) for record in found))
    programs = tables.grouped(found, lambda record: (record.way, ways.cases(record.case)))
    rows = [(f"{ways.way(way_records[0].part, way).title}\n{case}", [sum(
        max(0.0, summary.best(record)) for record in way_records
        if record.what == tables.STAGE + name) for name in names])
        for (way, case), way_records in programs.items()]
    title = "Where the time of a packet goes"
    said = "; ".join(name.replace("\n", ", ") + ": " + ", ".join(
        f"{stage} {tables.number(value)}" for stage, value in zip(names, values))
        for name, values in rows)
    return [Figure(title, plot.drawn(
        key(title), 1.0 + 0.5 * len(rows), lambda axes: plot.stacks(
            axes, rows, names, "ns per packet", tables.number), f"{title}, ns: {said}"))]


def packet(records):
    return [*growth(records, ["established flow"], "flows", "Established flow against flows",
                    "ns per packet"),
            *growth(records, ["established flow, by services"], "services",
                    "Established flow against Services", "ns per packet"),
            *stages(records)]


def node(records):
    return [*growth(records, ["established"], "flows", "Time of a packet against flows",
                    "ns per packet"),
            *growth(records, ["established"], "services", "Time of a packet against Services",
                    "ns per packet")]


def connection(records):
    return [*bars(records, "short connection", "Short connections"),
            *bars(records, "transaction", "Request and reply"),
            *bars(records, "bulk", "Bulk transfer"),
            *bars(records, "bpf time", "BPF time of a short connection"),
            *growth(records, ["short connection"], "services", "Short connections against Services",
                    "µs per connection")]


START = "cold start"
COMPLETE = "cold start, last byte parsed to tables complete"
CHANGES = [f"{change}, event to published" for change in (
    "one endpoint's change", "one Service added", "backend set replaced")]
MEMORY = ["peak memory", "kernel memory of maps"]


def control(records):
    return [*growth(records, [START], "services", "Cold start against Services",
                    "seconds from start to complete"),
            *growth(records, CHANGES, "services", "Changes against Services",
                    "ms from event to published"),
            *growth(records, [COMPLETE], "endpoints", "From parsed to complete against endpoints",
                    "ms", ignored=["services"]),
            *growth(records, MEMORY, "endpoints", "Memory against endpoints", "MB",
                    ignored=["services"], only=["weir"])]


OF_PART = {"packet": packet, "node": node, "connection": connection, "control": control}
