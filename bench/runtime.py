# SPDX-License-Identifier: Apache-2.0
"""
Time and runs of BPF programs by the kernel's own statistics. They are asked for by a descriptor, so
that nobody else who does so can switch them off meanwhile, and they end with this process.
"""
import contextlib
import os
import struct

import kernel

ENABLE_STATS, RUN_TIME = 32, 0


@contextlib.contextmanager
def statistics():
    fd = kernel.bpf(ENABLE_STATS, struct.pack("=I", RUN_TIME))
    try:
        yield
    finally:
        os.close(fd)


def pinned_programs(directory):
    return {name: f"{directory}/{name}" for name in sorted(os.listdir(directory))}


def read(programs):
    """{label: (ns, runs)} of {label: path}"""
    facts = {label: kernel.program(path) for label, path in programs.items()}
    return {label: (fact["run_ns"], fact["runs"]) for label, fact in facts.items()}


def since(programs, before):
    """The same, of those that ran since `before` was read."""
    found = {label: (ns - before[label][0], runs - before[label][1])
             for label, (ns, runs) in read(programs).items()}
    return {label: what for label, what in found.items() if what[1]}
