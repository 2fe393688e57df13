# SPDX-License-Identifier: Apache-2.0
"""The caller's end of cluster/worker.py. No call lasts longer than its timeout."""
import json
import os
import pathlib
import select
import subprocess
import sys
import time

from . import shell

PACKAGE_PARENT = pathlib.Path(__file__).resolve().parent.parent


class RemoteError(Exception):
    pass


class Pending:
    """A call under way."""

    def __init__(self, worker, number, what):
        self.worker = worker
        self.number = number
        self.what = what

    def result(self, timeout=15.0):
        reply = self.worker.wait_for(self.number, timeout, self.what)
        if "exception" in reply:
            raise RemoteError(f"{self.worker.namespace}: {self.what}: {reply['exception']}")
        return reply["result"]


class Worker:
    def __init__(self, namespace):
        self.namespace = namespace
        self.process = subprocess.Popen(
            [*shell.inside(namespace), sys.executable, "-m", "cluster.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PACKAGE_PARENT)
        self.calls = 0
        self.replies = {}
        self.partial = b""

    def start(self, call, **args):
        self.calls += 1
        request = {"id": self.calls, "call": call, "args": args}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        return Pending(self, self.calls, call)

    def call(self, call, within=15.0, **args):
        return self.start(call, **args).result(within)

    def wait_for(self, number, timeout, what):
        end = time.monotonic() + timeout
        while number not in self.replies:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{self.namespace}: {what}: no answer in {timeout} s")
            self.read_replies(left)
        return self.replies.pop(number)

    def read_replies(self, timeout):
        output = self.process.stdout.fileno()
        if not select.select([output], [], [], timeout)[0]:
            return
        piece = os.read(output, 1 << 16)
        if not piece:
            raise RemoteError(f"{self.namespace}: its worker has ended")
        *lines, self.partial = (self.partial + piece).split(b"\n")
        for line in lines:
            reply = json.loads(line)
            self.replies[reply["id"]] = reply

    def close(self):
        self.process.kill()
        self.process.wait(5)
        self.process.stdin.close()
        self.process.stdout.close()
