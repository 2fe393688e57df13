# SPDX-License-Identifier: Apache-2.0
"""What the agent takes: from file write to publication, from start to service, and memory."""
import os
import time

import cell
import kernel
from cluster import services

SERVICE_IDS = (1, 2, 3, 4)  # the one service's two ports in both families, on fresh tables
POLL = 0.0003
TIMEOUT = 20


def current(pinned):
    return [pinned.word(number) for number in SERVICE_IDS]


def wait(condition, what):
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > TIMEOUT:
            raise TimeoutError(what)
        time.sleep(POLL)


def publication(running, way, times):
    """Seconds from the rename of a manifest to the last of its services' new versions."""
    found = []
    sets = ([cell.BACKEND.name, "pod2a"], [cell.BACKEND.name])
    with kernel.Pinned(f"{running.agents[way.key].pin_path}/v1/maps/weir_current") as pinned:
        for turn in range(times):
            old = current(pinned)
            begin = time.monotonic()
            services.publish_pods(running, bench=sets[turn % 2])
            wait(lambda: all(a != b for a, b in zip(old, current(pinned))), "no publication")
            found.append(time.monotonic() - begin)
            time.sleep(0.15)
    return found


def serving(agent):
    try:
        with kernel.Pinned(f"{agent.pin_path}/v1/maps/weir_current") as pinned:
            return all(current(pinned))
    except FileNotFoundError:
        return False


def cold_start(running, way, times):
    """Seconds from exec to the first publication of all services, nothing being pinned before."""
    agent, found = running.agents[way.key], []
    for _ in range(times):
        agent.stop()
        agent.weir("cleanup")
        begin = time.monotonic()
        agent.start()
        wait(lambda: serving(agent), "no services")
        found.append(time.monotonic() - begin)
    return found


def memory(running, way):
    """{map: bytes} of one node at default sizes."""
    return {row["table"]: row["bytes"]
            for row in running.agents[way.key].query("status")["tables"]}


def programs(running, way):
    base = f"{running.agents[way.key].pin_path}/v1/programs"
    names = sorted(os.listdir(base))
    facts = {name: kernel.program(f"{base}/{name}") for name in names}
    return {name: {key: fact[key] for key in ("xlated_bytes", "jited_bytes", "verified_insns")}
            for name, fact in facts.items()}
