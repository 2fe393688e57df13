#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Services and EndpointSlices of a real kube-apiserver: how long until the tables have them, with how
much memory, and how long a change of one endpoint takes from the API's answer to the tables. Beside
it, where scripts/kubernetes --kube-proxy built one, kube-proxy 1.20 with iptables on the same server.

Run by hand, as root: bench/kubernetes.py [--services N] [--endpoints N] [--changes N] [--weir BINARY]
"""
import argparse
import concurrent.futures
import pathlib
import re
import statistics
import time
import types

import testcluster  # noqa: F401, before what is in it
import control_bed
import control_files
from cluster import agent, apiserver, plan, rest, shell

WRITERS = 8
NAMESPACES = 50
TIMEOUT = 900  # seconds
SYNCED = re.compile(r"syncProxyRules took ([0-9.]+)(m?s)")


class LocalControl(apiserver.Control):
    """In the agent's own namespace, at the address that its certificate is for."""

    def __init__(self, bed):
        super().__init__(types.SimpleNamespace(directory=bed.path, ns=lambda _part: bed.id))

    def build_network(self):
        shell.ip(self.namespace, *(f"address add {apiserver.ADDRESS[family]} dev lo"
                                   for family in plan.FAMILIES))

    def connect(self):
        certificate = (self.authority.certificate("admin"), self.authority.key("admin"))
        return rest.Client(self.namespace, (apiserver.ADDRESS[4], apiserver.PORT),
                           self.authority.certificate(), certificate)


def write_part(control, size, numbers):
    client = control.connect()
    for number in numbers:
        for each in control_files.objects(number, size):
            client.create(each)


def write_all(control, size):
    for number in range(NAMESPACES):
        control.api.call("POST", "/api/v1/namespaces", {
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"team-{number}"}})
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        parts = [pool.submit(write_part, control, size, range(first, size.services, WRITERS))
                 for first in range(WRITERS)]
        for part in parts:
            part.result()


def cold_start(bed, control, services):
    """Of weir: (seconds from exec to the last service in the tables, bytes of memory at most)."""
    begin = bed.follow("--kubeconfig", str(control.admin))
    maps = pathlib.Path(f"{bed.pins}/v1/maps/weir_current")
    bed.wait(maps.exists, "maps")
    with bed.current() as current:
        end = bed.wait(lambda: current.published() >= services, "all services")
    return end - begin, bed.memory()


def change(bed, control, size, turn, current):
    """Seconds from the answer to an endpoint's change until its publication, or less than 0: before it."""
    number = size.services // 2
    unready = turn % 2 - 1  # none, or the first
    changed = control_files.objects(number, size, unready=None if unready else 0)[1]
    old = current.bytes()
    control.api.replace(changed)
    answered = time.monotonic()
    return bed.wait(lambda: current.bytes() != old, "change", 0.0001) - answered


def changes(bed, control, size, turns):
    time.sleep(1)
    with bed.current() as current:
        found = []
        for turn in range(turns):
            found.append(change(bed, control, size, turn + 1, current))
            time.sleep(0.1)
    return found


def kube_proxy(bed, control):
    """(seconds to the first synchronisation, bytes of memory at most), or None: it was not built."""
    binary = control.binaries / "kube-proxy"
    if not binary.exists():
        return None
    daemon = apiserver.Daemon(bed.id, bed.path / "kube-proxy.log")
    begin = time.monotonic()
    daemon.start(binary, "--kubeconfig", control.admin, "--proxy-mode", "iptables", "--v=2",
                 "--kube-api-content-type", "application/json", "--hostname-override", "node-0",
                 "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0",
                 "--conntrack-tcp-timeout-close-wait=0", "--cluster-cidr", "10.128.0.0/9")
    try:
        while not SYNCED.search(daemon.tail(1000)):
            if not daemon.running() or time.monotonic() - begin > TIMEOUT:
                raise RuntimeError(f"kube-proxy: {daemon.tail()}")
            time.sleep(0.05)
        seconds = time.monotonic() - begin
        status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
        return seconds, int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) << 10
    finally:
        daemon.stop()
        for family in ("iptables", "ip6tables"):
            for table in ("nat", "filter", "mangle"):
                shell.run(*shell.inside(bed.id), family, "-t", table, "-F", timeout=TIMEOUT, check=False)


def milliseconds(values):
    return (f"median {statistics.median(values) * 1e3:.1f} ms, "
            f"most {max(values) * 1e3:.1f} ms, of {len(values)}")


def measure(options, bed, control):
    size = control_files.Size(options.services, options.endpoints)
    begin = time.monotonic()
    write_all(control, size)
    print(f"{size.services} Services of {size.endpoints} endpoints written in "
          f"{time.monotonic() - begin:.0f} s", flush=True)
    control.api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-0"}})
    for turn in range(options.starts):
        seconds, memory = cold_start(bed, control, size.services)
        print(f"weir: all in its tables {seconds:.2f} s after its start, peak memory "
              f"{memory / 1e6:.0f} MB, CPU {bed.cpu():.2f} s", flush=True)
        if turn == options.starts - 1:
            found = changes(bed, control, size, options.changes)
            print(f"weir: from the API's answer to the tables {milliseconds(found)}", flush=True)
        bed.stop()
        bed.clean()
    proxied = kube_proxy(bed, control)
    if proxied:
        print(f"kube-proxy 1.20, iptables: first synchronised {proxied[0]:.1f} s after its start, peak "
              f"memory {proxied[1] / 1e6:.0f} MB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--endpoints", type=int, default=10)
    parser.add_argument("--changes", type=int, default=40)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--weir", default=agent.find_binary())
    options = parser.parse_args()
    with control_bed.Bed(options.weir) as bed:
        control = LocalControl(bed)
        try:
            measure(options, bed, control.up())
        finally:
            control.down()


if __name__ == "__main__":
    main()
