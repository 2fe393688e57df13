# SPDX-License-Identifier: Apache-2.0
"""What a cluster leaves on the machine, all of it named after the process that made it."""
import os
import re

PREFIX = "weirt"  # scripts/demo has its own, so that neither clears away the other
BPFFS = "/sys/fs/bpf"
NETNS = "/run/netns"


def cluster_id(prefix=PREFIX):
    return f"{prefix}-{os.getpid()}"


def owner(name, prefix=PREFIX):
    """Process id in a name that a cluster gave; None for anybody else's."""
    match = re.match(rf"{re.escape(prefix)}-(\d+)(-|$)", name)
    return int(match.group(1)) if match else None


def alive(pid):
    """A process that still runs Python; a recycled id seldom does, and then costs a leftover."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as comm:
            return "python" in comm.read()
    except OSError:
        return False
