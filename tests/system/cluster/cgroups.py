# SPDX-License-Identifier: Apache-2.0
"""The cgroup that programs of the host edge hang on."""
from . import shell


def root():
    """Where cgroup v2 is mounted; None if it is not."""
    with open("/proc/mounts", encoding="utf-8") as mounts:
        found = [line.split() for line in mounts]
    return next((fields[1] for fields in found if fields[2] == "cgroup2"), None)


def program_ids():
    """Of every program on it, whoever put it there."""
    shown = shell.run("bpftool", "cgroup", "show", root(), check=False)
    # Its JSON breaks off at a program that goes while it is listed.
    return {int(line.split()[0]) for line in shown.splitlines() if line[:1].isdigit()}
