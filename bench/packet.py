# SPDX-License-Identifier: Apache-2.0
"""Part "packet": nanoseconds a packet of the programs as a node runs them, on fresh packets."""
import json
import os
import pathlib
import subprocess

import packet_cell as cell
from record import Record

CLIENT = {4: "198.18.0.0", 6: "2001:db8:100::"}
STRANGER = {4: "203.0.113.77", 6: "2001:db8:300::1"}
HOOKS = ("xdp", "tc")
PROGRAM = {"xdp": "weir_xdp", "tc": "weir_up_in"}


class Tool:
    """bench/packet.cpp as a process."""

    def __init__(self, binary):
        cpu = max(os.sched_getaffinity(0))
        self.process = subprocess.Popen(["taskset", "-c", str(cpu), binary], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def __call__(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"weir_bench_packet ended at: {' '.join(map(str, words))}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


STAGES = ("parse", "filter", "hash", "lookup", "check", "decide", "send")
FLOWS = {6: (1, 1000, 65536), 4: (1, 1000, 65536, 262144)}
RUNS = 200_000
NEW_FLOWS = 50_000  # of one run: two records each, in half-open tables of 131,072
SERVICES = (1, 1000, 10_000, 100_000)
# XDP leaves some packets of a tick to the stack, so that it keeps the next hop alive.
TRANSLATED_AT_LEAST = {"xdp": 0.5, "tc": 0.99}


class Bench:
    def __init__(self, running, tool, rounds):
        self.running = running
        self.tool = tool
        self.rounds = rounds
        self.records = []

    def at(self, node):
        self.tool("target", node.namespace, f"{node.pins}/v1", "eth0", cell.NODE_MAC)

    def run(self, hook, program, count, translates):
        ran = self.tool("run", hook, program, count)
        part = ran["changed"] / (count - 1)
        if part < TRANSLATED_AT_LEAST[hook] if translates else part > 0.01:
            raise RuntimeError(f"{program}: {part:.3f} of the packets came back changed")
        return ran["ns"]

    def compare(self, what, case, ways, count=RUNS, before=lambda: None):
        """
        ways: {way: (hook, program, whether it translates)}. Net of the empty program in the same
        harness, whose fastest run is what the harness costs.
        """
        empty = {hook: [] for hook in HOOKS}
        taken = {way: [] for way in ways}
        for _ in range(self.rounds):
            for hook in {hook for hook, _, _ in ways.values()}:
                empty[hook].append(self.run(hook, f"bench_empty_{hook}", count, False))
            for way, (hook, program, translates) in ways.items():
                before()
                taken[way].append(self.run(hook, program, count, translates))
        for way, values in taken.items():
            floor = min(empty[ways[way][0]])
            self.add(way, what, case, [value - floor for value in values])
        for hook, values in empty.items():
            if values:
                self.add(f"harness {hook}", what, case, values)

    def add(self, way, what, case, values):
        self.records.append(Record("packet", way, what, "ns", case, values))

    def established(self):
        node = self.running.nodes[0]
        self.at(node)
        for family, counts in FLOWS.items():
            self.running.forget_flows(node)
            self.tool("aim", family, CLIENT[family], cell.NODE[family], cell.NODE_PORT)
            for flows in counts:
                self.tool("establish", "weir_xdp", flows)
                case = {"family": family, "flows": flows, "services": node.services}
                for what, kind in (("established flow", "established"), ("reply", "reply")):
                    self.tool("list", kind, flows)
                    ways = {hook: (hook, PROGRAM[hook], True) for hook in HOOKS}
                    if family == 4:
                        ways |= {f"reference {hook}": (hook, f"ref_{hook}", True) for hook in HOOKS}
                    self.compare(what, case, ways)

    def stages(self):
        """What each stage adds, by the fastest run of each."""
        node = self.running.nodes[0]
        self.at(node)
        self.tool("stages")
        self.tool("aim", 4, CLIENT[4], cell.NODE[4], cell.NODE_PORT)
        for flows in (1, 65536):
            self.tool("establish", "weir_xdp", flows)
            self.tool("list", "established", flows)
            programs = {stage: f"stage_{stage}" for stage in STAGES}
            programs["rewrite and count"] = "weir_xdp"
            taken = {stage: [] for stage in ["empty", *programs]}
            for _ in range(self.rounds):
                taken["empty"].append(self.run("xdp", "bench_empty_xdp", RUNS, False))
                for stage, program in programs.items():
                    taken[stage].append(self.run("xdp", program, RUNS, program == "weir_xdp"))
            for (_, last), (stage, values) in zip(taken.items(), list(taken.items())[1:]):
                self.add("xdp", f"stage: {stage}", {"family": 4, "flows": flows},
                         [min(values) - min(last)])

    def strangers(self):
        """To nobody weir knows, and to the node itself on a port of its own."""
        targets = {"not a service": (STRANGER[4], 80), "the node's own traffic": (cell.NODE[4], 40000)}
        for what, (address, port) in targets.items():
            self.tool("aim", 4, CLIENT[4], address, port)
            self.tool("list", "new", 1000)
            for node in self.running.nodes:
                self.at(node)
                ways = {hook: (hook, PROGRAM[hook], False) for hook in HOOKS}
                if node is self.running.nodes[0]:
                    ways |= {f"parse+lookup {hook}": (hook, f"ref_parse_{hook}", False)
                             for hook in HOOKS}
                self.compare(what, {"family": 4, "flows": 1000, "services": node.services}, ways)

    def new_flows(self):
        """Every packet opens a flow; with the half-open tables empty, and full of such."""
        aims = {"new flow": (4, cell.NODE[4], cell.NODE_PORT), "new flow, IPv6": (6, cell.NODE[6], cell.NODE_PORT),
                "affinity": (4, cell.NODE[4], cell.AFFINITY_PORT),
                "source ranges": (4, cell.VIP[4], cell.RANGES_PORT)}
        for what, (family, address, port) in aims.items():
            self.tool("aim", family, CLIENT[family], address, port)
            for node in self.running.nodes if what == "new flow" else self.running.nodes[:1]:
                self.at(node)
                for table in ("empty", "full"):
                    self.new_flow(f"{what}, {table} table", family, node, table == "empty")

    def new_flow(self, what, family, node, empty):
        if not empty:
            for _ in range(3):
                self.tool("list", "new", NEW_FLOWS)
                self.tool("run", "xdp", "weir_xdp", NEW_FLOWS)

        def before():
            if empty:
                self.tool("forget")
            self.tool("list", "new", NEW_FLOWS)
        ways = {hook: (hook, PROGRAM[hook], True) for hook in HOOKS}
        case = {"family": family, "flows": NEW_FLOWS, "services": node.services}
        self.compare(what, case, ways, NEW_FLOWS, before)

    def growth(self):
        """The same flows with more and more services beside theirs."""
        self.tool("aim", 4, CLIENT[4], cell.NODE[4], cell.NODE_PORT)
        for node in self.running.nodes:
            self.at(node)
            self.tool("establish", "weir_xdp", 1000)
        self.tool("list", "established", 1000)
        taken = {(node.services, hook): [] for node in self.running.nodes for hook in HOOKS}
        floor = {hook: [] for hook in HOOKS}
        for _ in range(2 * self.rounds):
            for hook in HOOKS:
                floor[hook].append(self.run(hook, f"bench_empty_{hook}", RUNS, False))
            for node in self.running.nodes:
                self.at(node)
                for hook in HOOKS:
                    taken[node.services, hook].append(self.run(hook, PROGRAM[hook], RUNS, True))
        for (services, hook), values in taken.items():
            self.add(hook, "established flow, by services", {"family": 4, "flows": 1000, "services": services},
                     [value - min(floor[hook]) for value in values])


def measure(options, say):
    binary = pathlib.Path(options.generator).with_name("weir_bench_packet")
    counts = SERVICES[:2] if options.quick else SERVICES
    say(f"packet: nodes with {', '.join(map(str, counts))} services")
    with cell.Cell(options.weir, counts) as running:
        tool = Tool(getattr(options, "packet_bench", None) or binary)
        try:
            bench = Bench(running, tool, 3 if options.quick else 7)
            for step in (bench.strangers, bench.growth, bench.stages, bench.new_flows,
                         bench.established):
                say(f"packet: {step.__name__.replace('_', ' ')}")
                step()
            return bench.records
        finally:
            tool.close()
