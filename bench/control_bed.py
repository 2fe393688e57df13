# SPDX-License-Identifier: Apache-2.0
"""One agent in a network namespace of its own, and what can be seen of it from outside."""
import json
import mmap
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

import testcluster  # noqa: F401, before what is in it
import kernel
from cluster import names, shell

PREFIX = "weirk"
TIMEOUT = 60
PAGE = 4096
PHASES = re.compile(r"published: (\d+) writes, \d+ services touched, ms: (.*)$", re.M)


class Bed:
    """The namespace has an uplink that leads nowhere, so that an agent has all it asks for."""

    def __init__(self, weir):
        self.weir = weir
        self.id = names.cluster_id(PREFIX)
        self.pins = f"{names.BPFFS}/{self.id}"
        self.agent = None

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix=f"{self.id}-")
        self.path = pathlib.Path(self.directory.name)
        shell.run("ip", "netns", "add", self.id)
        shell.ip(self.id, "link set lo up", "link add eth0 type veth peer name eth1",
                 "link set eth0 up", "link set eth1 up", "addr add 192.0.2.1/24 dev eth0")
        return self

    def __exit__(self, *_error):
        try:
            self.stop()
            self.clean()
        finally:
            shell.run("ip", "netns", "del", self.id, check=False)
            self.directory.cleanup()

    def inside(self, *command):
        return [*shell.inside(self.id), "setpriv", "--pdeathsig", "KILL", *command]

    def start(self, manifests, tracer=()):
        return self.follow("--manifests", str(manifests), tracer=tracer)

    def follow(self, *source, tracer=()):
        """Returns when the agent was started: on the clock of time.monotonic()."""
        self.log = self.path / "log"
        with open(self.log, "wb") as log:
            begin = time.monotonic()
            self.agent = subprocess.Popen(self.inside(
                *tracer, self.weir, "run", *source, "--node-name", "node-0",
                "--uplink", "eth0", "--pod-interface", "pod*", "--xdp", "off", "--socket-lb", "off",
                "--healthz-bind-address", "", "--pin-path", self.pins, "--log-level", "debug"),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return begin

    def stop(self):
        if self.agent is None:
            return
        self.agent.send_signal(signal.SIGTERM)
        self.agent.wait(TIMEOUT)
        self.agent = None

    def stop_traced(self):
        """The tracer writes its counts when the agent ends."""
        children = shell.run("pgrep", "-P", str(self.agent.pid)).split()
        for child in children:
            os.kill(int(child), signal.SIGTERM)
        self.agent.wait(TIMEOUT)
        self.agent = None

    def clean(self):
        shell.run(*shell.inside(self.id), self.weir, "cleanup", "--pin-path", self.pins,
                  check=False)

    def wait(self, condition, what, pause=0.0005):
        begin = time.monotonic()
        while not condition():
            if self.agent.poll() is not None:
                raise RuntimeError(f"the agent ended: {self.log.read_text()[-2000:]}")
            if time.monotonic() - begin > TIMEOUT:
                raise TimeoutError(what)
            time.sleep(pause)
        return time.monotonic()

    def current(self):
        return Current(f"{self.pins}/v1/maps/weir_current")

    def text(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def phases(self, skip=0):
        """[(writes, {phase: ms})] of the publications in the log after its first `skip` bytes."""
        found = []
        for writes, text in PHASES.findall(self.text()[skip:]):
            parts = (part.strip().rsplit(" ", 1) for part in text.split(","))
            found.append((int(writes), {name: float(value) for name, value in parts}))
        return found

    def cpu(self):
        """Seconds of user and system time so far."""
        fields = pathlib.Path(f"/proc/{self.agent.pid}/stat").read_text(encoding="ascii")
        ticks = fields.rsplit(")", 1)[1].split()
        return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, field="VmHWM"):
        """Bytes."""
        status = pathlib.Path(f"/proc/{self.agent.pid}/status").read_text(encoding="ascii")
        return int(re.search(rf"{field}:\s+(\d+) kB", status).group(1)) * 1024

    def maps(self):
        told = shell.run(*shell.inside(self.id), self.weir, "status", "--pin-path", self.pins,
                         "-o", "json")
        return sum(row["bytes"] for row in json.loads(told)["tables"])


class Current:
    """weir_current as memory: a publication is a word that changes."""

    def __init__(self, path):
        with kernel.Pinned(path) as pinned:
            info = shell.run("bpftool", "-j", "map", "show", "pinned", path)
            size = json.loads(info)["max_entries"] * 8  # an array's element takes 8 bytes
            self.memory = mmap.mmap(pinned.fd, -(-size // PAGE) * PAGE, mmap.MAP_SHARED,
                                    mmap.PROT_READ)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.memory.close()

    def bytes(self):
        return self.memory[:]

    def published(self):
        """How many services have a version."""
        words = memoryview(self.memory[:]).cast("Q")
        return len(words) - words.tolist().count(0)
