# SPDX-License-Identifier: Apache-2.0
"""
Nanoseconds a packet through a node: generator, node and far end take turns on one CPU, joined by veth.
See docs/PERFORMANCE.md.
"""
import contextlib
import dataclasses
import time

import cell
import kubeproxy
import rate
from record import Record

FLOWS = (1, 1000, 100_000)
GROWTH_FLOWS = 1000  # with which the number of Services grows
ESTABLISHED, NEW, PROGRAM = "established", "new connections", "program"
REPEATED = "bursts repeated"
ATTEMPTS = 6


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is measured. seconds: of all rounds, of which there are at least `rounds`."""

    seconds: float
    rounds: int
    program_rounds: int
    services: tuple  # the last of them with all flows
    frames: int
    many: int  # the same with the most flows: long enough that each flow has several in a second
    new: int  # the same of new connections
    late: tuple = ()  # Services that take minutes to load: after all others, in rounds of their own


USUAL = Size(210, 5, 5, (1, 100, 1000), 100_000, 500_000, 20_000)
QUICK = Size(30, 2, 2, (1, 1000), 40_000, 300_000, 10_000)


def size_of(options):
    if getattr(options, "quick", False):
        return QUICK
    full = getattr(options, "full", False)
    return dataclasses.replace(USUAL, late=(10_000,)) if full else USUAL


class Measurement:
    def __init__(self, running, size, say):
        self.running = running
        self.size = size
        self.say = say
        self.records = {}
        self.next_new = cell.NEW_FLOWS
        self.repeated = []

    def note(self, way, what, case, value):
        key = (way.key, what, tuple(case.items()))
        self.records.setdefault(key, Record("node", way.key, what, "ns", case, [])).values.append(value)

    def attempt(self, measure, way, traffic):
        """traffic: makes one. A burst that the machine disturbed is told of, and tried again."""
        for _ in range(ATTEMPTS):
            try:
                return measure(self.running, way, traffic())
            except rate.Disturbed as error:
                self.repeated.append(str(error))
                self.say(f"node: {error}")
        raise rate.Disturbed(f"{self.repeated[-1]}, {ATTEMPTS} times in a row")

    def established(self, flows):
        frames = self.size.many if flows == FLOWS[-1] else self.size.frames
        return lambda: cell.Traffic(flows, frames, random=flows > 1)

    def new(self):
        """Connections that nobody has made before."""
        first, self.next_new = self.next_new, self.next_new + self.size.new
        return cell.Traffic(self.size.new, self.size.new, first)

    def cases(self, all_flows):
        """(what, case, traffic)"""
        for flows in FLOWS if all_flows else (GROWTH_FLOWS,):
            yield ESTABLISHED, {"flows": flows}, self.established(flows)
        yield NEW, {}, self.new

    def measure_way(self, way, services, all_flows):
        for what, case, traffic in self.cases(all_flows):
            served = {"services": services} if way.served else {}
            self.note(way, what, case | served, self.attempt(rate.burst, way, traffic))
        self.running.forget_new(way)

    def measure_ways(self, turn, services, all_flows):
        """All of them, each time beginning with another; without Services, only once a round."""
        first = turn % len(cell.WAYS)
        for way in cell.WAYS[first:] + cell.WAYS[:first]:
            if way.served and kubeproxy.has(way.rules, services) or not way.served and all_flows:
                self.measure_way(way, services, all_flows)

    def rounds(self):
        end, turn = time.monotonic() + self.size.seconds, 0
        while turn < self.size.rounds or time.monotonic() < end:
            for services in self.size.services:
                self.running.serve(services)
                self.measure_ways(turn, services, services == self.size.services[-1])
            turn += 1
        self.say(f"node: {turn} rounds")
        for services in self.size.late:
            self.say(f"node: loading {services} Services")
            self.running.serve(services)
            for turn in range(self.size.rounds):
                self.measure_ways(turn, services, False)

    def programs(self):
        """With the last number of Services."""
        for _ in range(self.size.program_rounds):
            for way in (cell.XDP_WIRE, cell.TC, cell.REDIRECT_WIRE, cell.PLAIN):
                for what, case, traffic in self.cases(way.served):
                    case = case or {"flows": "new"}
                    for name, value in self.attempt(rate.program_times, way, traffic).items():
                        self.note(way, PROGRAM, {"program": name} | case, value)
                self.running.forget_new(way)

    def set_up(self):
        self.running.serve(self.size.services[0])  # with many, the first packets take rules long
        self.say("node: establishing flows")
        rate.establish(self.running, [way for way in cell.NODES if way.served], FLOWS[-1])
        for way in cell.WAYS:  # a first burst is slower than all others
            with contextlib.suppress(rate.Disturbed):
                rate.burst(self.running, way, self.established(FLOWS[-1])())


def check_path(running):
    """Whether it was XDP that carried what is said to be XDP's."""
    taken = running.agents[cell.XDP.node].counters()
    if taken.get("forward_tc_sent", 0) > taken.get("forward_xdp", 0) / 20:
        raise RuntimeError(f"{cell.XDP.key}: not all went through XDP: {taken}")


def measure(options, say):
    with cell.conntrack_room(), cell.Cell(str(options.weir), str(options.generator),
                                          str(options.programs)) as running:
        measurement = Measurement(running, size_of(options), say)
        say("node: setting up")
        measurement.set_up()
        say("node: packets through it")
        measurement.rounds()
        say("node: time in programs")
        measurement.programs()
        check_path(running)
    repeated = Record("node", "all", REPEATED, "bursts", {}, [len(measurement.repeated)])
    return [*measurement.records.values(), repeated]
