# SPDX-License-Identifier: Apache-2.0
"""Part "packet": nanoseconds a packet of the programs as a node runs them, on fresh packets."""
import json
import os
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
