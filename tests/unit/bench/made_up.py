# SPDX-License-Identifier: Apache-2.0
"""Records as a run would hand them over, of numbers that nobody measured."""
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "bench"))
from record import Record  # noqa: E402

ROUNDS = 9
COLD = "cold start, last byte parsed to tables complete"
CHANGED = ("one endpoint's change", "one Service added", "backend set replaced")


class Maker:
    def __init__(self):
        self.random = random.Random(4)
        self.records = []

    def add(self, part, way, what, unit, value, **case):
        values = [value * (1 + self.random.expovariate(12)) for _ in range(ROUNDS)]
        self.records.append(Record(part, way, what, unit, case, values))


def packet(make):
    costs = {"xdp": 62, "tc": 118, "reference xdp": 55, "reference tc": 90}
    misses = {1: 1, 1000: 1.06, 65536: 1.6, 262_144: 2.2}
    for way, cost in costs.items():
        for flows, slower in misses.items():
            for family in (4, 6):
                make.add("packet", way, "established flow", "ns", cost * slower + family,
                         family=family, flows=flows, services=1)
        if "reference" not in way:
            for services in (1, 1000, 10_000, 100_000):
                make.add("packet", way, "established flow, by services", "ns",
                         cost * 1.06 + services / 30_000,
                         family=4, flows=1000, services=services)
            make.add("packet", way, "not a service", "ns", cost / 3, family=4)
            make.add("packet", f"parse+lookup {way}", "not a service", "ns", cost / 4, family=4)
            stages = {"parse": 11, "address": 9, "flow": 24, "rewrite": 12, "send": 6}
            for flows in (1, 65536):
                for stage, part in stages.items():
                    make.add("packet", way, f"stage: {stage}", "ns", part * (1 + flows / 2e5),
                             flows=flows)


def node(make):
    costs = {"redirect-wire": 330, "xdp-wire": 410, "redirect": 640, "xdp": 730, "plain": 1060,
             "tc": 1200, "nft": 2600, "ipt": 2900}
    for way, cost in costs.items():
        served = way in ("xdp-wire", "xdp", "tc", "nft", "ipt")
        many = {"services": 1000} if served else {}
        for flows, slower in ((1, 1), (1000, 1.03), (100_000, 1.4)):
            make.add("node", way, "established", "ns", cost * slower, flows=flows, **many)
        for services in (1, 100) if served else ():
            make.add("node", way, "established", "ns", cost * 1.02, flows=1000, services=services)
        make.add("node", way, "new connections", "ns", cost * (5 if way in ("nft", "ipt") else 2),
                 **many)
    for flows in (1, "new"):
        make.add("node", "tc", "program", "ns", 150, program="weir_up_in", flows=flows)
    make.records.append(Record("node", "all", "bursts lost", "bursts", {}, [0]))


def connection(make):
    for place in ("pod", "node", "outside"):
        for to in ("same node", "other node") if place != "outside" else ("other node",):
            case = {"from": place, "to": to, "services": 1000}
            for way, cost in (("weir", 61), ("direct", 58), ("nft", 79), ("ipt", 88),
                              ("weir-xdp", 65), ("direct-xdp", 60)):
                make.add("connection", way, "short connection", "us", cost, **case)
                make.add("connection", way, "transaction", "us", cost / 3, **case)
                make.add("connection", way, "bulk", "Gbit/s", 900 / cost, **case)
            for measure, more in (("", 0), (", net", -1.2), (" of weir_pod_in", -2)):
                make.add("connection", "weir", f"bpf time{measure}", "us",
                         more + (3.4 if place == "pod" else 2.1), **case)


def control(make):
    for services, each in ((1000, 4), (10_000, 4), (50_000, 4), (10_000, 10), (5_000, 50)):
        case = {"services": services, "endpoints": services * each}
        for form in ("one JSON file", "a file a Service"):
            start = {**case, "manifests": form}
            make.add("control", "weir", "cold start", "s", services * each / 4e5 + 0.6, **start)
            make.add("control", "weir", COLD, "ms", services * each / 400 + 9, **start)
            make.add("control", "weir", "peak memory", "MB", 40 + services * each / 1500, **start)
            make.add("control", "weir", "kernel memory of maps", "MB", 270, **start)
        for what in CHANGED:
            make.add("control", "weir", f"{what}, event to published", "ms", 0.4, **case)
    for services, seconds in ((100, 1.0), (1000, 2.2), (10_000, 253)):
        make.records.append(Record("control", "kube-proxy nft (recorded)", "cold start", "s",
                                   {"services": services, "endpoints": 4 * services}, [seconds]))
    for form, bare, rate in (("json", "RapidJSON, bare", 210), ("yaml", "libyaml, bare", 60)):
        make.add("control", "weir", "parsing", "MB/s", rate * 0.6, form=form, bytes=10**7)
        make.add("control", bare, "parsing", "MB/s", rate, form=form, bytes=10**7)


def records():
    make = Maker()
    for part in (packet, node, connection, control):
        part(make)
    return make.records


def results(found):
    parts = dict.fromkeys(record.part for record in found)
    return {"form": 1, "date": "2026-01-02T03:04:05+00:00",
            "machine": {"kernel": "6.18.0", "architecture": "x86_64", "cpu": "Some CPU <of> 2 & more",
                        "cpus": 2, "memory_gib": 8.0, "hypervisor": True, "bpf_jit": True},
            "versions": {"revision": "0123456789ab", "clang": "14.0.6", "libbpf": "1.1.2"},
            "quick": False, "full": False,
            "parts": [{"name": name, "load_before": 0.5, "load_after": 1.5, "error": None,
                       "seconds": 100.0} for name in parts],
            "records": [record.json() for record in found]}
