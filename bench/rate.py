# SPDX-License-Identifier: Apache-2.0
"""Nanoseconds a packet through a node, and in the programs on its way."""
import dataclasses
import time

import cell
import kernel
import runtime

ARRIVED, WRONG, ANSWERED = 0, 1, 2  # enum bench_count
LOST_AT_MOST = 0.02
ATTEMPTS = 4


class Disturbed(RuntimeError):
    """A burst that says nothing: much of it was lost, or not all ran on the one CPU."""


def counts(running):
    """{which: number by CPU}"""
    with kernel.Pinned(f"{running.pins}/maps/bench_count") as pinned:
        return {which: pinned.by_cpu(which) for which in (ARRIVED, WRONG, ANSWERED)}


def counted(running, way, traffic):
    """(seconds, arrived, answered); what arrives and is not translated right is an error."""
    before = counts(running)
    seconds = running.burst(way, traffic)
    time.sleep(0.01)
    by_cpu = {which: [new - old for new, old in zip(values, before[which])]
              for which, values in counts(running).items()}
    arrived, wrong, answered = (sum(by_cpu[which]) for which in (ARRIVED, WRONG, ANSWERED))
    if wrong:
        raise RuntimeError(f"{way.key}: of {traffic.frames} frames {wrong} came out wrong")
    if arrived < traffic.frames * (1 - LOST_AT_MOST):
        raise Disturbed(f"{way.key}: of {traffic.frames} frames {arrived} arrived")
    if by_cpu[ARRIVED][cell.CPU] < arrived * (1 - LOST_AT_MOST):
        raise Disturbed(f"{way.key}: of {arrived} frames {by_cpu[ARRIVED][cell.CPU]} on this CPU")
    return seconds, arrived, answered


def burst(running, way, traffic):
    """Nanoseconds a packet that arrived."""
    with running.far_end(way):
        seconds, arrived, _ = counted(running, way, traffic)
    return seconds * 1e9 / arrived


def establish(running, ways, flows):
    """Each flow asks and is answered, and again, to be sure that all of them stand."""
    for way in ways:
        with running.mirror(way):
            for _ in range(2):  # of the first pass some may be lost, where packets take long
                _, arrived, answered = counted(running, way, cell.Traffic(flows, flows))
        if answered < flows * (1 - LOST_AT_MOST):
            raise Disturbed(f"{way.key}: {flows} flows, {arrived} asked, {answered} answered")


@dataclasses.dataclass(frozen=True)
class Program:
    """What a burst of a way runs through, and where it is pinned."""

    way: cell.Way
    name: str
    path: str


def programs(running):
    """Those of the bench do next to nothing: what they take is what reading the clock costs."""
    weir = {key: f"{each.pin_path}/v1/programs" for key, each in running.agents.items()}
    return [Program(cell.XDP_WIRE, "weir_xdp", f"{weir['xdp']}/weir_xdp"),
            Program(cell.TC, "weir_up_in", f"{weir['tc']}/weir_up_in"),
            Program(cell.TC, "weir_up_out", f"{weir['tc']}/weir_up_out"),
            Program(cell.REDIRECT_WIRE, "bench_redirect", f"{running.pins}/bench_redirect"),
            Program(cell.PLAIN, "bench_sink", f"{running.pins}/bench_sink")]


def program_times(running, way, traffic):
    """{program: ns a run} of a burst through them."""
    mine = [program for program in programs(running) if program.way == way]
    before = [kernel.program(program.path) for program in mine]
    with runtime.statistics():
        burst(running, way, traffic)
    times = {}
    for program, old in zip(mine, before):
        new = kernel.program(program.path)
        runs = new["runs"] - old["runs"]
        if runs < traffic.frames * (1 - LOST_AT_MOST):
            raise Disturbed(f"{program.name} ran {runs} times for {traffic.frames} frames")
        times[program.name] = (new["run_ns"] - old["run_ns"]) / runs
    return times
