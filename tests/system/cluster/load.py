# SPDX-License-Identifier: Apache-2.0
"""Traffic that goes on while something happens: short connections, and streams that stay open."""
import collections
import threading
import time

from . import client


def syns_sent_again():
    """Of this network namespace, since it was made."""
    with open("/proc/net/netstat", encoding="ascii") as counters:
        names, values = [line.split() for line in counters if line.startswith("TcpExt:")]
    return int(values[names.index("TCPSynRetrans")])


class Load:
    """Something that runs in threads until it is stopped, and then says how it went."""

    def __init__(self):
        self.lock = threading.Lock()
        self.syns_before = syns_sent_again()
        self.ending = threading.Event()
        self.threads = []

    def start(self, count, seconds):
        self.end = time.monotonic() + seconds
        self.threads = [threading.Thread(target=self.work, args=(index,), daemon=True)
                        for index in range(count)]
        for thread in self.threads:
            thread.start()

    def going(self):
        return not self.ending.is_set() and time.monotonic() < self.end

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(10)
        return self.report()


class Short(Load):
    """New connections (or datagram sockets), one question each."""

    def __init__(self, targets, pace, timeout):
        super().__init__()
        self.targets = targets  # [(proto, address, port)]
        self.pace = pace
        self.timeout = timeout
        self.answers = []

    def work(self, index):
        turn = index
        while self.going():
            proto, address, port = self.targets[turn % len(self.targets)]
            at = time.monotonic()
            answer = client.ask(proto, address, port, self.timeout)
            with self.lock:
                self.answers.append((at, f"{proto} {address}:{port}", answer))
            turn += 1
            time.sleep(self.pace)

    def report(self):
        pods = collections.Counter(answer["pod"] for _, _, answer in self.answers if answer["pod"])
        failed = [(at, target, answer["error"]) for at, target, answer in self.answers
                  if answer["error"]]
        return {"count": len(self.answers), "pods": dict(pods), "failed": failed[:20],
                "failures": len(failed),
                "syns_again": syns_sent_again() - self.syns_before,
                "last_seen": {a["pod"]: at for at, _, a in self.answers if a["pod"]},
                "first_seen": {a["pod"]: at for at, _, a in reversed(self.answers) if a["pod"]}}


class Streams(Load):
    """Connections that stay open and say something every now and then."""

    def __init__(self, targets, pace, timeout):
        super().__init__()
        self.targets = targets
        self.pace = pace
        self.timeout = timeout
        self.streams = []

    def work(self, index):
        proto, address, port = self.targets[index % len(self.targets)]
        stream = {"target": f"{proto} {address}:{port}", "said": 0, "slowest": 0.0, "error": None,
                  "pods": []}
        with self.lock:
            self.streams.append(stream)
        try:
            with client.connect(proto, address, port, self.timeout) as opened:
                while self.going():
                    self.say(stream, opened, proto)
        except OSError as error:
            stream["error"] = client.reason(error)

    def say(self, stream, opened, proto):
        begin = time.monotonic()
        answer = client.exchange(opened, proto)
        stream["said"] += 1
        stream["slowest"] = max(stream["slowest"], time.monotonic() - begin)
        if answer["pod"] not in stream["pods"]:
            stream["pods"].append(answer["pod"])
        time.sleep(self.pace)

    def report(self):
        return {"streams": self.streams,
                "broken": [stream for stream in self.streams if stream["error"]],
                "slowest": max((stream["slowest"] for stream in self.streams), default=0)}


KINDS = {"short": Short, "streams": Streams}
running = {}


def load_start(name, kind, targets, threads=4, seconds=60, pace=0.005, timeout=2.0):
    running[name] = KINDS[kind](targets, pace, timeout)
    running[name].start(threads, seconds)


def load_stop(name):
    return running.pop(name).stop()
