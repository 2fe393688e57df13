# SPDX-License-Identifier: Apache-2.0
"""
What weir must reach, and whether a run of the bench shows it. A target holds only if it does for
every case that was measured of it, so the worst case is the one that is shown.

Costs of packets and of programs are compared by their minimum, which is steady. What shares the
machine with all of the kernel (packet rates, connections) is compared round by round, so that what
slows a whole round does not count, and the median of these ratios decides.
"""
import dataclasses
import statistics
import typing

import summary
from summary import Select


@dataclasses.dataclass(frozen=True)
class Statistic:
    text: str
    unit: str
    value: typing.Callable  # of (over, under) or, without `under`, of (over)
    rounds: typing.Callable  # the same for each round: shows how steady the value is


TIME_OF_BEST = Statistic("minimum over minimum", "×",
                         lambda a, b: summary.best(a) / summary.best(b), summary.times)
MORE_THAN_BEST = Statistic("minimum less minimum", "ns",
                           lambda a, b: summary.best(a) - summary.best(b),
                           lambda a, b: [x - y for x, y in zip(a.values, b.values)])
SPEED_BY_ROUND = Statistic("median of the ratios by round", "×",
                           lambda a, b: statistics.median(summary.speeds(a, b)), summary.speeds)


def own(text, unit, value):
    return Statistic(text, unit, value, lambda a: a.values)


@dataclasses.dataclass(frozen=True)
class Target:
    name: str
    over: Select
    under: Select | None
    statistic: Statistic
    most: float | None = None  # one of the two
    least: float | None = None

    @property
    def demand(self):
        word, bound = ("at most", self.most) if self.least is None else ("at least", self.least)
        return f"{word} {bound:g} {self.statistic.unit}"

    def met_by(self, value):
        return value <= self.most if self.least is None else value >= self.least


@dataclasses.dataclass(frozen=True)
class Outcome:
    target: Target
    values: list  # (value, record, values by round), the worst first

    @property
    def verdict(self):
        if not self.values:
            return "not measured"
        return "met" if self.target.met_by(self.values[0][0]) else "missed"


def outcome(target, records):
    if target.under is None:
        compared = [(record,) for record in target.over.of(records)]
    else:
        compared = summary.pairs(records, target.over, target.under)
    values = [(target.statistic.value(*each), each[0], target.statistic.rounds(*each))
              for each in compared]
    return Outcome(target, sorted(values, key=lambda value: value[0],
                                  reverse=target.least is None))


def outcomes(records):
    return [outcome(target, records) for target in TARGETS]


def established(way, **case):
    return Select("packet", way, "established flow", case)


def by_services(number):
    """The same flows, whatever else there is."""
    return Select("packet", "xdp", "established flow, by services", {"services": number})


def node(way, what="established", **case):
    return Select("node", way, what, case)


def faster(name, way, than, least, what="established", **case):
    """Through a node. With 1,000 Services; a way that knows no Services is measured without."""
    return Target(name, node(way, what, services=1000, **case), node(than, what, **case),
                  SPEED_BY_ROUND, least=least)


def connection(what, place, way="weir"):
    return Select("connection", way, what, {"from": place})


def control(what, way="weir", **case):
    return Select("control", way, what, case)


PACKET = [
    *(Target(f"XDP, established, {flows}: time over the reference",
             established("xdp", flows=number, services=1),
             established("reference xdp", flows=number), TIME_OF_BEST, most=1.25)
      for flows, number in (("1 flow", 1), ("65,536 flows", 65536))),
    Target("XDP, established: time with 100,000 Services over time with one",
           by_services(100_000), by_services(1), TIME_OF_BEST, most=1.05),
    *(Target(f"{title}, not a Service: time above parsing and one lookup",
             Select("packet", way, "not a service"), Select("packet", f"parse+lookup {way}"),
             MORE_THAN_BEST, most=10) for title, way in (("XDP", "xdp"), ("tc", "tc"))),
]
NODE = [
    faster("XDP, 1,000 flows: rate over plain XDP redirect", "xdp-wire", "redirect-wire", 0.75,
           flows=1000),
    faster("XDP, 1,000 flows: rate over kube-proxy nftables", "xdp-wire", "nft", 5, flows=1000),
    faster("XDP, 100,000 flows: rate over plain XDP redirect", "xdp-wire", "redirect-wire", 0.5,
           flows=100_000),
    faster("XDP, 100,000 flows: rate over kube-proxy nftables", "xdp-wire", "nft", 4,
           flows=100_000),
    faster("XDP, every packet a new connection: rate over kube-proxy nftables", "xdp-wire", "nft",
           3, what="new connections"),
    faster("tc, 1,000 flows: rate over plain kernel forwarding", "tc", "plain", 0.9, flows=1000),
    faster("tc, 1,000 flows: rate over kube-proxy nftables", "tc", "nft", 2, flows=1000),
]
MICROSECONDS = own("minimum", "µs", summary.best)
CONNECTION = [
    *(Target(f"{title} to cluster IP: {text}", connection(what, place), None, MICROSECONDS, most=3)
      for title, place in (("pod", "pod"), ("node process", "node"))
      for what, text in (("bpf time", "BPF time a short connection"),
                         ("bpf time, net", "the same without the clock's own time"))),
    # What repeats no better than 5 % cannot be told apart.
    *(Target(f"{title} to cluster IP: bulk TCP over direct to the pod", connection("bulk", place),
             connection("bulk", place, "direct"), SPEED_BY_ROUND, least=0.95)
      for title, place in (("pod", "pod"), ("node process", "node"))),
]
MILLISECONDS = own("median", "ms", summary.median)
CONTROL = [
    Target("cold start, 5,000 Services and 250,000 endpoints: from last byte parsed to complete",
           control("cold start, last byte parsed to tables complete", services=5000,
                   endpoints=250_000), None, own("minimum", "ms", summary.best), most=1000),
    Target("JSON parsed", control("parsing", form="json"), None,
           own("maximum", "MB/s", summary.best), least=100),
    Target("YAML parsed: rate over libyaml's bare events", control("parsing", form="yaml"),
           control("parsing", "libyaml, bare", form="yaml"), SPEED_BY_ROUND, least=0.5),
    Target("one endpoint's change, whatever the number of Services: from event to published",
           control("one endpoint's change, event to published"), None, MILLISECONDS, most=1),
    Target("agent's memory at its peak, 10,000 Services and 100,000 endpoints",
           control("peak memory", services=10_000, endpoints=100_000), None,
           own("maximum", "MB", lambda record: max(record.values)), most=150),
]
TARGETS = [*PACKET, *NODE, *CONNECTION, *CONTROL]
