#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Inside the machine of scripts/test-node: is weir, as the package and systemd run it, a node's proxy?

One line a check. The network is made here, after the agent's start, as a CNI's is:

    client ==veth== eth0 | this node | calipod1, calipod2 ==veth== pods
"""
import ctypes
import os
import pathlib
import re
import socket
import subprocess
import threading
import time

CLIENT, NODE, PODS = "10.90.0.1", "10.90.0.11", {"pod1": "10.244.1.20", "pod2": "10.244.1.30"}
CLUSTER_IP, NODE_PORT = ("10.96.0.50", 80), (NODE, 30080)
MANIFEST = pathlib.Path("/etc/weir/manifests/web.yaml")
CAPABILITIES = 1 << 12 | 1 << 38 | 1 << 39  # CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF of linux/capability.h
PATIENCE = 240.0  # seconds; every instruction of this machine is emulated
CLONE_NEWNET = 0x40000000


def run(*words, check=True):
    done = subprocess.run(words, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stdout.strip()}")
    return done.stdout.strip()


def enter(namespace):
    """This thread alone."""
    if namespace:
        with open(f"/run/netns/{namespace}", encoding="ascii") as opened:
            if ctypes.CDLL(None, use_errno=True).setns(opened.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns to {namespace}")


def serve(namespace):
    """Who answers, and whom it sees."""
    enter(namespace)
    with socket.create_server(("", 8080), backlog=64) as listening:
        while True:
            accepted, (client, _) = listening.accept()
            with accepted:
                accepted.sendall(f"{namespace} {client}".encode())


def ask(namespace, target, times=1, timeout=5.0):
    """The answers to so many connections from there; a failure is one too."""
    answers = []

    def ask_there():
        enter(namespace)
        for _ in range(times):
            try:
                with socket.create_connection(target, timeout) as opened:
                    answers.append(opened.makefile().read())
            except OSError as error:
                answers.append(type(error).__name__)

    asking = threading.Thread(target=ask_there)
    asking.start()
    asking.join()
    return answers


def network():
    run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    for namespace, device in (("client", "eth0"), *((pod, f"cali{pod}") for pod in PODS)):
        run("ip", "netns", "add", namespace)
        run("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        run("ip", "link", "set", device, "up")
        for name in ("lo", "eth0"):
            run("ip", "-n", namespace, "link", "set", name, "up")
    run("ip", "address", "add", f"{NODE}/24", "dev", "eth0")
    run("ip", "-n", "client", "address", "add", f"{CLIENT}/24", "dev", "eth0")
    run("ip", "route", "add", "default", "via", CLIENT)
    for pod, address in PODS.items():
        run("sysctl", "-qw", f"net.ipv4.conf.cali{pod}.proxy_arp=1")
        run("ip", "route", "add", address, "dev", f"cali{pod}")
        run("ip", "-n", pod, "address", "add", f"{address}/32", "dev", "eth0")
        run("ip", "-n", pod, "route", "add", "169.254.1.1", "dev", "eth0")
        run("ip", "-n", pod, "route", "add", "default", "via", "169.254.1.1", "dev", "eth0")
        threading.Thread(target=serve, args=(pod,), daemon=True).start()


def until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(0.5)


def unit(name):
    return run("systemctl", "show", "--value", f"--property={name}", "weir.service")


def journal():
    return run("journalctl", "--unit=weir.service", "--output=cat")


def healthy():
    try:
        with socket.create_connection(("127.0.0.1", 10256), 5) as opened:
            opened.sendall(b"GET /healthz HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")
            return b" 200 " in opened.makefile("rb").readline()
    except OSError:
        return False


def equal(got, wanted):
    if got != wanted:
        raise AssertionError(f"got {got!r}, not {wanted!r}")


def everybody_is_served(pod="pod1"):
    """The client keeps its address: the backend is on the node that it asks."""
    equal(ask("client", NODE_PORT), [f"{pod} {CLIENT}"])
    equal(ask("pod2", CLUSTER_IP), [f"{pod} {PODS['pod2']}"])
    equal([answer.split()[0] for answer in ask(None, CLUSTER_IP)], [pod])


def started_at_boot():
    until(healthy, "/healthz is 200")
    equal((unit("ActiveState"), unit("NRestarts")), ("active", "0"))
    if "programs loaded" not in journal():
        raise AssertionError(journal())


def devices_that_come_later_are_found():
    network()
    until(lambda: all(f"{device} attached" in journal() for device in ("eth0", "calipod1", "calipod2")),
          "devices attached")


def no_right_but_three():
    status = pathlib.Path(f"/proc/{unit('MainPID')}/status").read_text(encoding="ascii")
    for which in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        equal(int(re.search(rf"^{which}:\s*(\w+)$", status, re.M)[1], 16), CAPABILITIES)


def weir_check_finds_no_fault():
    failed = [line for line in run("weir", "check", check=False).splitlines() if "failed" in line]
    equal(failed, [])


def changes_are_followed():
    second = MANIFEST.read_text(encoding="utf-8").split("---\n")[1]
    second = second.replace("web-1", "web-2").replace(PODS["pod1"], PODS["pod2"])
    with MANIFEST.open("a", encoding="utf-8") as opened:
        opened.write("---\n" + second)
    until(lambda: {answer.split()[0] for answer in ask("client", NODE_PORT, 20)} == set(PODS),
          "both pods answer")


def killed_it_comes_back_and_adopts():
    was = unit("MainPID")
    run("kill", "-9", was)
    equal({answer.split()[1] for answer in ask("client", NODE_PORT, 20)}, {CLIENT})
    until(lambda: unit("MainPID") not in ("0", was) and "programs adopted" in journal(), "adopted")
    equal(unit("NRestarts"), "1")


def stopped_the_kernel_goes_on():
    run("systemctl", "stop", "weir.service")
    equal((unit("ActiveState"), healthy()), ("inactive", False))
    equal({answer.split()[1] for answer in ask("client", NODE_PORT, 20)}, {CLIENT})
    run("systemctl", "start", "weir.service")
    until(healthy, "/healthz is 200 again")


def an_update_exchanges_the_agent():
    was = unit("MainPID")
    run("dpkg", "--install", "/opt/weir.deb")
    until(lambda: unit("MainPID") not in ("0", was) and healthy(), "exchanged")
    equal({answer.split()[1] for answer in ask("client", NODE_PORT, 20)}, {CLIENT})


def removed_it_leaves_nothing():
    run("dpkg", "--remove", "weir")
    equal([str(path) for path in pathlib.Path("/sys/fs/bpf").iterdir() if path.name == "weir"], [])
    equal(run("tc", "filter", "show", "dev", "eth0", "ingress"), "")
    equal(run("ip", "-d", "link", "show", "dev", "eth0").count("xdp"), 0)
    equal(os.path.exists("/usr/bin/weir"), False)
    answer = ask("client", NODE_PORT)
    equal(answer, ["ConnectionRefusedError"])


CHECKS = (started_at_boot, devices_that_come_later_are_found, no_right_but_three, weir_check_finds_no_fault,
          everybody_is_served, changes_are_followed, killed_it_comes_back_and_adopts,
          stopped_the_kernel_goes_on, an_update_exchanges_the_agent, removed_it_leaves_nothing)


def main():
    print(f"node: Linux {os.uname().release}, {run('weir', '--version')}")
    for check in CHECKS:
        begin = time.monotonic()
        try:
            check()
        except (AssertionError, OSError, RuntimeError) as error:
            print(f"node: {check.__name__} FAILED: {error}")
            print(journal())
            return
        print(f"node: {check.__name__} ok, {time.monotonic() - begin:.0f} s")
    print("node: every check passed")


main()
