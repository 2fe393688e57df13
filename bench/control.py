# SPDX-License-Identifier: Apache-2.0
"""
The control plane: how long until the tables say what the manifests say, and what that takes. A
publication is seen from outside, in the pinned weir_current; what becomes of the time in between,
the agent's own log says.
"""
import os
import pathlib
import re
import time

import control_bed
import control_files
import control_parse
from control_files import Size
from record import Record

SIZES = (Size(1_000, 4), Size(10_000, 4), Size(10_000, 10), Size(50_000, 4), Size(5_000, 50))
QUICK = (Size(1_000, 4), Size(10_000, 10))
PART, WAY = "control", "weir"

# Of kube-proxy 1.36.2, four endpoints and two ports a Service, one run each; measured once on a
# machine of two CPUs, from start to the last rule visible. Services: seconds, MB.
KUBE_PROXY_NFT = {1: (1.3, 58), 100: (1.0, 61), 1_000: (2.2, 84), 10_000: (253, 265)}
KUBE_PROXY_IPTABLES = {1: 1.2, 100: 1.3, 1_000: 8.8}


class Notes:
    """Records under way: values are appended round by round."""

    def __init__(self):
        self.records = {}

    def add(self, what, unit, case, value):
        key = (what, unit, *sorted(case.items()))
        record = self.records.setdefault(key, Record(PART, WAY, what, unit, case, []))
        record.values.append(value)


def recorded():
    found = []
    for services, (seconds, megabytes) in KUBE_PROXY_NFT.items():
        case = {"services": services, "endpoints": 4 * services}
        found.append(Record(PART, "kube-proxy nft (recorded)", "cold start", "s", case, [seconds]))
        found.append(Record(PART, "kube-proxy nft (recorded)", "peak memory", "MB", case,
                            [megabytes]))
    for services, seconds in KUBE_PROXY_IPTABLES.items():
        case = {"services": services, "endpoints": 4 * services}
        found.append(Record(PART, "kube-proxy iptables (recorded)", "cold start", "s", case,
                            [seconds]))
    return found


def wait_first_log(bed, pattern):
    bed.wait(lambda: re.search(pattern, bed.text()), pattern, 0.005)


def cold_start(bed, manifests, size, case, notes):
    """From exec, with nothing pinned, to the last service's version; leaves the agent running."""
    begin = bed.start(manifests)
    path = pathlib.Path(f"{bed.pins}/v1/maps/weir_current")
    bed.wait(path.exists, "maps")
    with bed.current() as current:
        end = bed.wait(lambda: current.published() == size.services, "all services")
    wait_first_log(bed, "services, node ")  # attached: the log is whole
    notes.add("cold start", "s", case, end - begin)
    notes.add("cold start, CPU", "s", case, bed.cpu())
    notes.add("peak memory", "MB", case, bed.memory() / 1e6)
    notes.add("memory after cold start", "MB", case, bed.memory("VmRSS") / 1e6)
    notes.add("kernel memory of maps", "MB", case, bed.maps() / 1e6)
    for writes, phases in bed.phases()[:1]:
        notes.add("cold start, writes", "count", case, writes)
        add_phases("cold start", phases, case, notes)


def add_phases(what, phases, case, notes):
    """Each, and what the targets are about: all of it after reading, but for the grace."""
    for name, value in phases.items():
        notes.add(f"{what}, {name}", "ms", case, value)
    notes.add(f"{what}, last byte parsed to tables complete", "ms", case,
              sum(value for name, value in phases.items() if name not in ("read", "grace")))


def change(bed, current, make, what, case, notes):
    """From a rename to the publication, on this side; from event to published, by the agent."""
    hidden, name = make()
    skip, old, cpu = len(bed.text()), current.bytes(), bed.cpu()
    begin = time.monotonic()
    os.rename(hidden, name)
    end = bed.wait(lambda: current.bytes() != old, what, 0.0001)
    bed.wait(lambda: bed.phases(skip), "log", 0.002)
    notes.add(f"{what}, file to published", "ms", case, (end - begin) * 1e3)
    notes.add(f"{what}, CPU", "ms", case, (bed.cpu() - cpu) * 1e3)
    writes, phases = bed.phases(skip)[0]
    notes.add(f"{what}, writes", "count", case, writes)
    for name, value in phases.items():
        notes.add(f"{what}, {name}", "ms", case, value)
    notes.add(f"{what}, event to published", "ms", case,
              sum(value for name, value in phases.items() if name != "grace"))


def changes(bed, directory, size, case, rounds, notes):
    """Of one Service in the middle of the names, and one more at the end."""
    number, spare = size.services // 2, (size.services + 1) * size.endpoints
    with bed.current() as current:
        for turn in range(rounds):
            steps = {
                "one endpoint's change": lambda: control_files.write_service(
                    directory, number, size, unready=0),
                "backend set replaced": lambda: control_files.write_service(
                    directory, number, size, first=spare),
            }
            for what, make in steps.items():
                change(bed, current, make, what, case, notes)
                back(bed, current, directory, number, size)
            added = size.services + 1 + turn
            change(bed, current, lambda: control_files.write_service(directory, added, size),
                   "one Service added", case, notes)


def back(bed, current, directory, number, size):
    old = current.bytes()
    control_files.put_service(directory, number, size)
    bed.wait(lambda: current.bytes() != old, "the way back")
    time.sleep(0.02)


def calls(bed, manifests, case, notes):
    """System calls of a start, in a run that is not timed."""
    counts = bed.path / "calls"
    bed.start(manifests, tracer=("strace", "-f", "-c", "-o", str(counts)))
    wait_first_log(bed, "services, node ")
    bed.stop_traced()
    bed.clean()
    total = re.search(r"([0-9]+)\s+(?:[0-9]+\s+)?total", counts.read_text(encoding="ascii"))
    notes.add("cold start, system calls", "count", case, int(total.group(1)))


def one_size(bed, size, rounds, turns, notes):
    """A start from one file of JSON, one from a directory with a file a Service; then changes."""
    single, directory = bed.path / "all.json", bed.path / "many"
    control_files.write_json(single, size)
    control_files.write_directory(directory, size)
    try:
        for turn in range(rounds):
            cold_start(bed, single, size, size.case | {"manifests": "one JSON file"}, notes)
            bed.stop()
            bed.clean()
            case = size.case | {"manifests": "a file a Service"}
            cold_start(bed, directory, size, case, notes)
            if turn == rounds - 1:
                changes(bed, directory, size, size.case, turns, notes)
                notes.add("memory after changes", "MB", case, bed.memory("VmRSS") / 1e6)
            bed.stop()
            bed.clean()
    finally:
        control_files.remove(directory)
    return single


def measure(options, say):
    quick = getattr(options, "quick", False)
    notes = Notes()
    rounds, turns = (1, 5) if quick else (2, 10)
    with control_bed.Bed(options.weir) as bed:
        for size in QUICK if quick else SIZES:
            say(f"control plane: {size.services} services, {size.endpoints} endpoints each")
            single = one_size(bed, size, rounds, turns, notes)
            calls(bed, single, size.case | {"manifests": "one JSON file"}, notes)
    say("control plane: parsing")
    return [*notes.records.values(), *control_parse.measure(options, quick), *recorded()]
