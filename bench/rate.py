# SPDX-License-Identifier: Apache-2.0
"""Packets a second through a node, and nanoseconds a packet of the programs on its way."""
import contextlib
import pathlib
import time

import cell
import kernel

ARRIVED, WRONG = 0, 1  # enum bench_count
FLOW_COUNTS = (1, cell.FLOWS)
LOST_AT_MOST = 0.02
STATS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")


def burst(running, way, flows, frames):
    """{pps, arrived, sent}: what arrived, per second; a burst of which much is lost is an error."""
    with running.far_end(way), kernel.Pinned(f"{running.pins}/maps/bench_count") as counts:
        before = counts.total(ARRIVED), counts.total(WRONG)
        seconds = running.burst(way, flows, frames)
        time.sleep(0.02)
        arrived, wrong = counts.total(ARRIVED) - before[0], counts.total(WRONG) - before[1]
    if wrong or arrived < frames * (1 - LOST_AT_MOST):
        raise RuntimeError(f"{way.title}: of {frames} frames {arrived} arrived and {wrong} wrong")
    return {"pps": arrived / seconds, "ns": seconds * 1e9 / arrived, "lost": frames - arrived}


def warm_up(running):
    for way in cell.WAYS:
        for _ in range(2):  # the first resolves neighbours
            with contextlib.suppress(RuntimeError):
                burst(running, way, cell.FLOWS, 5000)


def counted(running):
    return {key: each.counters() for key, each in running.agents.items()}


def taken_by(running, before):
    """What weir's nodes have counted since: whether it was the hit path that was measured."""
    return {key: {name: count - before[key].get(name, 0) for name, count in counters.items()
                  if count != before[key].get(name, 0)}
            for key, counters in counted(running).items()}


def rates(running, rounds, frames):
    """{way: {flows: [burst]}}; the rounds go through all ways, each in another order."""
    found = {way.key: {flows: [] for flows in FLOW_COUNTS} for way in cell.WAYS}
    for turn in range(rounds):
        first = turn % len(cell.WAYS)
        for way in cell.WAYS[first:] + cell.WAYS[:first]:
            for flows in FLOW_COUNTS:
                found[way.key][flows].append(burst(running, way, flows, frames))
    return found


@contextlib.contextmanager
def statistics():
    before = STATS.read_text(encoding="ascii")
    STATS.write_text("1", encoding="ascii")
    try:
        yield
    finally:
        STATS.write_text(before, encoding="ascii")


def paths(running):
    """(label, way, pinned program) of what a burst runs through."""
    weir = {key: f"{each.pin_path}/v1/programs" for key, each in running.agents.items()}
    return [("weir_xdp", cell.XDP, f"{weir['xdp']}/weir_xdp"),
            ("empty XDP", cell.EMPTY, f"{running.pins}/bench_empty_xdp"),
            ("weir_up_in", cell.TC, f"{weir['tc']}/weir_up_in"),
            ("weir_up_out", cell.TC, f"{weir['tc']}/weir_up_out"),
            ("empty tc", cell.EMPTY, f"{running.pins}/bench_empty_tc")]


def program_times(running, rounds, frames):
    """{label: {flows: [ns a run]}}"""
    found = {label: {flows: [] for flows in FLOW_COUNTS} for label, _, _ in paths(running)}
    with statistics():
        for _ in range(rounds):
            for flows in FLOW_COUNTS:
                for way in (cell.XDP, cell.TC, cell.EMPTY):
                    measure(running, way, flows, frames, found)
    return found


def measure(running, way, flows, frames, found):
    mine = [(label, path) for label, its, path in paths(running) if its is way]
    before = [kernel.program(path) for _, path in mine]
    burst(running, way, flows, frames)
    for (label, path), old in zip(mine, before):
        new = kernel.program(path)
        if new["runs"] - old["runs"] < frames * (1 - LOST_AT_MOST):
            raise RuntimeError(f"{label} ran {new['runs'] - old['runs']} times for {frames} frames")
        found[label][flows].append((new["run_ns"] - old["run_ns"]) / (new["runs"] - old["runs"]))
