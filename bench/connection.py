# SPDX-License-Identifier: Apache-2.0
"""
TCP connections through Services and beside them: short ones, questions on one that stays, and bulk;
and the time that weir's programs take for a short one. See twonodes.py for the ways.
"""
import dataclasses
import itertools
import json
import pathlib

import kubeproxy
import runtime
import twonodes
from record import Record
from twonodes import shell

PART = "connection"
SERVICES, FEW = 1000, 1
SHORT = "short connection"
SOCKET_PROGRAMS = ("connect", "sendmsg", "recvmsg", "peername", "release")


@dataclasses.dataclass(frozen=True)
class Kind:
    """What the connector does for so many milliseconds, and what is made of what it says."""

    word: str
    what: str
    unit: str
    millis: int

    def value(self, told):
        if self.unit == "Gbit/s":
            return told["count"] * 8 / told["ns"]
        return told["ns"] / told["count"] / 1000


SHORT_KIND = Kind("short", SHORT, "us", 100)
KINDS = (SHORT_KIND, Kind("request", "transaction", "us", 60), Kind("bulk", "bulk", "Gbit/s", 150))


@dataclasses.dataclass(frozen=True)
class Path:
    """part: the namespace that asks; only between nodes is there an uplink."""

    origin: str
    to: str
    part: str
    address: tuple = (kubeproxy.cluster_ip(0), 80)

    @property
    def ways(self):
        return [way for way in twonodes.WAYS if self.to == "other node" or not way.frames]

    @property
    def node(self):
        """Whose Services are used."""
        return "node2" if self.to == "same node" else "node1"

    def aim(self, way):
        address, port = self.address if way.served else (kubeproxy.BACKENDS[0],
                                                                 kubeproxy.TARGET_PORT)
        return address, str(port)

    def case(self, services):
        return {"from": self.origin, "to": self.to, "services": services}


FAR = Path("pod", "other node", "pod1")
PATHS = (Path("pod", "same node", "pod2"), FAR, Path("node", "other node", "node1"),
         Path("outside", "other node", "outside", (twonodes.NODE_ADDRESS, kubeproxy.FIRST_NODE_PORT)))
NODE_NEAR = Path("node", "same node", "node2")  # the host edge alone: no uplink


class Results:
    def __init__(self):
        self.records = {}

    def add(self, way, what, unit, case, value):
        key = (way, what, *case.values())
        self.records.setdefault(key, Record(PART, way, what, unit, case, [])).values.append(value)

    def list(self):
        return list(self.records.values())


def burst(network, path, kind):
    words = (kind.word, *path.aim(network.way), str(kind.millis))
    return json.loads(shell.run(*network.connector(path.part, *words), timeout=30))


def rotated(items, turn):
    first = turn % len(items)
    return items[first:] + items[:first]


def rounds(field, results, paths, kinds, ways, services, count):
    """All ways after one another in each round, which begins with another way each time."""
    for turn, path, kind in itertools.product(range(count), paths, kinds):
        for way in rotated([way for way in path.ways if way in ways], turn):
            told = burst(field.network(way), path, kind)
            results.add(way.key, kind.what, kind.unit, path.case(services), kind.value(told))


def warm_up(field, paths):
    for path in paths:
        for way in path.ways:
            burst(field.network(way), path, dataclasses.replace(SHORT_KIND, millis=20))


def of_sockets(program):
    return program.removeprefix("weir_").startswith(SOCKET_PROGRAMS)


def programs(network, path):
    """
    {(node, program): pin} of what a connection of this path has to do with. Programs on the root
    cgroup see every process of the machine, so those of the other node's agent are left out.
    """
    found = {}
    for node, agent in network.agents.items():
        pins = runtime.pinned_programs(f"{agent.pin_path}/v1/programs")
        found |= {(node, name): pin for name, pin in pins.items()
                  if node == path.node or not of_sockets(name)}
    return found


def clock(field, path):
    """{"xdp" or "tc": ns} that a run of an empty program takes on the same way."""
    pins = {name.removeprefix("bench_empty_"): f"{field.pins}/{name}"
            for name in ("bench_empty_tc", "bench_empty_xdp")}
    before = runtime.read(pins)
    burst(field.network(twonodes.DIRECT_XDP), path, SHORT_KIND)
    return {name: ns / runs for name, (ns, runs) in runtime.since(pins, before).items()}


@dataclasses.dataclass
class Taken:
    """By programs, for one connection; ns, and without what reading the clock takes."""

    runs: float = 0
    gross: float = 0
    net: float = 0

    def add(self, runs, gross, clock_ns):
        self.runs += runs
        self.gross += gross
        self.net += gross - runs * clock_ns


def program_time(field, results, way, path, empty):
    network = field.network(way)
    pins = programs(network, path)
    before = runtime.read(pins)
    told = burst(network, path, SHORT_KIND)
    all_of_it, own = Taken(), Taken()
    case = path.case(SERVICES)
    for (node, name), (ns, runs) in runtime.since(pins, before).items():
        each = (runs / told["count"], ns / told["count"],
                empty["xdp" if name == "weir_xdp" else "tc"])
        all_of_it.add(*each)
        if node == path.node:
            own.add(*each)
        where = "" if node == path.node else ", other node"
        results.add(way.key, f"runs of {name}{where}", "runs", case, each[0])
        results.add(way.key, f"bpf time of {name}{where}", "us", case, each[1] / 1000)
    for label, taken in (("", all_of_it), (", client's node", own)):
        results.add(way.key, f"bpf time{label}", "us", case, taken.gross / 1000)
        results.add(way.key, f"bpf time{label}, net", "us", case, taken.net / 1000)
        results.add(way.key, f"bpf runs{label}", "runs", case, taken.runs)


def program_times(field, results, count):
    """Apart from the rounds above: the clock around every program run costs all ways time."""
    with runtime.statistics():
        for _, path in itertools.product(range(count), (*PATHS, NODE_NEAR)):
            empty = clock(field, path)
            # Where there is no uplink there was no run of XDP either.
            for name, ns in empty.items():
                results.add(twonodes.DIRECT_XDP.key, f"clock of a run, {name}", "ns",
                            path.case(SERVICES), ns)
            for way in path.ways:
                if way.xdp:
                    program_time(field, results, way, path, empty)


def growth(field, results, count):
    field.load(FEW)
    warm_up(field, [FAR])
    rounds(field, results, [FAR], [SHORT_KIND],
           (twonodes.WEIR, twonodes.DIRECT, twonodes.NFT, twonodes.IPT), FEW, count)


def connector(options):
    built = pathlib.Path(options.generator).with_name("weir_bench_connector")
    return str(getattr(options, "connector", None) or built)


def measure(options, say):
    results = Results()
    quick = getattr(options, "quick", False)
    say("connection: networks")
    with twonodes.Field(options.weir, connector(options), options.programs) as field:
        growth(field, results, 3 if quick else 8)
        say(f"connection: {SERVICES} services")
        field.load(SERVICES)
        warm_up(field, (*PATHS, NODE_NEAR))
        say("connection: time in programs")
        program_times(field, results, 2 if quick else 6)
        say("connection: rounds")
        rounds(field, results, PATHS, KINDS, twonodes.WAYS, SERVICES, 3 if quick else 12)
    return results.list()
