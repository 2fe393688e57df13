# SPDX-License-Identifier: Apache-2.0
"""The weir of one node: its agent as a process, and the tool that reads its tables."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

from . import names, plan, shell

SOURCE = pathlib.Path(__file__).resolve().parents[3]
PRESETS = ("release", "ci", "dev")
START_TIMEOUT = 40  # loading takes a second; other work on the machine, the rest
CAPABILITIES = ("bpf", "net_admin", "perfmon")  # what deploy/ grants, and nothing else


def find_binary():
    """WEIR_BIN, or what the presets build; None if it is not built."""
    if os.environ.get("WEIR_BIN"):
        return os.environ["WEIR_BIN"]
    built = [SOURCE / "build" / preset / "userspace/cli/weir" for preset in PRESETS]
    return next((str(path) for path in built if path.exists()), None)


def confined(capabilities=CAPABILITIES):
    """
    Prefix that runs a command as the container of deploy/kubernetes does: uid 0 with these
    capabilities in every set and no others to be had. It must not outlive a test that was killed
    either: nobody could clear up after it.
    """
    only = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    return ("setpriv", "--pdeathsig", "KILL", "--no-new-privs",
            *(f"--{kind}={only}" for kind in ("ambient-caps", "inh-caps", "bounding-set")))


class Agent:
    def __init__(self, binary, namespace, node, manifests, variant, log_directory):
        self.binary = binary
        self.namespace = namespace
        self.node = node
        self.node_name = node.name
        self.environment = {}
        self.surroundings = ()  # a prefix of start()'s command, run with all of root's rights
        self.source = ["--manifests", str(manifests)]
        self.variant = variant
        self.pin_path = f"{names.BPFFS}/{namespace}"
        self.log_path = pathlib.Path(log_directory) / f"{node.name}.log"
        self.process = None

    def follow(self, kubeconfig, server=None):
        """From the next start on the objects come from an API server, not from manifests."""
        self.source = ["--kubeconfig", str(kubeconfig), *(["--server", server] if server else [])]

    def arguments(self):
        uplinks = ["eth0"] + (list(plan.OVERLAY_DEVICE.values())
                              if self.variant.join == "vxlan" else [])
        repeated = [("--uplink", uplinks), ("--service-cidr", plan.SERVICE_CIDR.values()),
                    ("--load-balancer-pool", plan.LOAD_BALANCER_POOL.values())]
        return ["run", *self.source, "--node-name", self.node_name,
                "--pin-path", self.pin_path, "--xdp", self.variant.xdp,
                *(word for option, values in repeated for value in values for word in (option, value))]

    def command(self, *arguments, tracer=(), capabilities=CAPABILITIES):
        return [*shell.inside(self.namespace), *self.surroundings, *confined(capabilities), *tracer,
                self.binary, *arguments]

    def start(self, *more, tracer=()):
        """Appends to the node's log. Does not wait: see wait_serving()."""
        # LeakSanitizer is a tracer itself, and a process has only one.
        leaks = {"ASAN_OPTIONS": "detect_leaks=0"} if tracer else {}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(*self.arguments(), *more, tracer=tracer),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=os.environ | self.environment | leaks)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, how=signal.SIGTERM, timeout=10):
        """Returns the exit status: negative for a signal."""
        if self.process is None:
            return None
        if self.running():
            self.process.send_signal(how)
        status = self.process.wait(timeout)
        self.process = None
        return status

    def kill(self):
        return self.stop(signal.SIGKILL)

    def weir(self, *arguments, check=True, timeout=20):
        """The tool's table, as a person would see it."""
        return shell.run(*self.command(*arguments, "--pin-path", self.pin_path), check=check,
                         timeout=timeout)

    def query(self, *arguments):
        return json.loads(self.weir(*arguments, "-o", "json"))

    def frontends(self, service):
        """{(kind, family, protocol): (address, port)} of a service, of each kind the first."""
        found = {}
        for port in self.query("service", "show", service):
            family = 6 if "6" in str(port["family"]) else 4
            for frontend in port["frontends"]:
                key = (frontend["kind"], family, port["protocol"].lower())
                found.setdefault(key, (frontend["address"], frontend["port"]))
        return found

    def endpoints(self, service):
        """Addresses in the list that a cluster IP uses, of all ports and both families together."""
        return {endpoint["address"] for port in self.query("service", "show", service)
                for endpoint in port["endpoints"] if endpoint["in_cluster_list"]}

    def hooks(self, device):
        """{hook: mode} of weir's programs on a device: "xdp" to "native", the others to None."""
        attached = self.query("status")["attachments"]
        return {row["hook"]: row["mode"] for row in attached
                if row["interface"] == device and row["live"]}

    def counters(self):
        return {row["counter"]: row["count"] for row in self.query("drops")}

    def programs(self):
        """BPF programs on devices of the node, whoever put them: XDP, tc filters, tcx. One line each."""
        inside = shell.inside(self.namespace)
        listed = shell.run(*inside, "bpftool", "net", "show").splitlines()
        tcx = shell.run(*inside, sys.executable, str(pathlib.Path(__file__).with_name("tcx.py")))
        return [line for line in listed if re.search(r"\bid \d+", line)] + tcx.splitlines()

    def host_programs(self):
        """{hook: program id} of the host edge, attached to the root cgroup or not."""
        return {row["hook"]: row["program_id"] for row in self.query("status")["host_edge"]}

    def log(self):
        if not self.log_path.exists():
            return ""  # never started
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, condition, what, timeout=START_TIMEOUT):
        """Polls condition() while the agent runs; an early exit is reported with its log."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if not self.running():
                raise RuntimeError(f"{self.node.name}: the agent ended before {what}\n{self.log()}")
            try:
                if condition():
                    return
            except (shell.CommandFailed, json.JSONDecodeError, KeyError):
                pass  # not pinned yet
            time.sleep(0.02)
        raise TimeoutError(f"{self.node.name}: no {what} in {timeout} s\n{self.log()}")
