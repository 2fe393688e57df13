# SPDX-License-Identifier: Apache-2.0
"""The cgroup that programs of the host edge hang on."""
import json

from . import shell


def root():
    """Where cgroup v2 is mounted; None if it is not."""
    with open("/proc/mounts", encoding="utf-8") as mounts:
        found = [line.split() for line in mounts]
    return next((fields[1] for fields in found if fields[2] == "cgroup2"), None)


def program_ids():
    """Of every program on it, whoever put it there."""
    shown = shell.run("bpftool", "-j", "cgroup", "show", root(), check=False)
    return {row["id"] for row in json.loads(shown or "[]")}
