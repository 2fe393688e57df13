# SPDX-License-Identifier: Apache-2.0
"""
The agent of a node in a container, made by runc of the DaemonSet's own pod specification: what a
kubelet and containerd make of the same, as far as weir can tell. Needs runc and python3-yaml.
"""
import errno
import json
import pathlib
import shutil
import subprocess

import yaml

from . import agent, shell

DAEMONSET = agent.SOURCE / "deploy/kubernetes/daemonset.yaml"
# What containerd mounts into every container and takes from it.
MOUNTS = (("/proc", "proc", "proc", ()), ("/dev", "tmpfs", "tmpfs", ("nosuid", "mode=755")),
          ("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
          ("/run", "tmpfs", "tmpfs", ("nosuid", "mode=755")))
# On a node with cgroup v2 alone, in a cgroup namespace of the container's own.
CGROUP_MOUNT = ("/sys/fs/cgroup", "cgroup2", "cgroup", ("nosuid", "noexec", "nodev", "ro"))
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
MASKED = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware")


def pod_spec():
    return yaml.safe_load(DAEMONSET.read_text(encoding="utf-8"))["spec"]["template"]["spec"]


def make_root(binary, directory):
    """The root file system of the image, for any number of containers."""
    root = pathlib.Path(directory) / "image"
    shell.run(str(agent.SOURCE / "deploy/image-root"), binary, str(root))
    return root


def mount(destination, kind, source, options):
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


class Container:
    """
    Bundle and container in the node's network namespace, with the root of make_root(). config:
    weir.yaml's, which a ConfigMap would have; its manifests are mounted. without: volumes and arguments by which they
    begin that are left out, to see what is said then. forbidden: system calls that seccomp refuses.
    """

    def __init__(self, node_agent, root, config, without=(), forbidden=()):
        self.agent = node_agent
        self.name = f"{node_agent.namespace}-container"
        self.root = root
        self.manifests = config["manifests"]
        self.directory = root.with_name(self.name)
        self.without = without
        self.forbidden = forbidden
        self.spec = pod_spec()
        self.container, = self.spec["containers"]
        self.directory.mkdir(parents=True)
        (self.directory / "config").mkdir()
        (self.directory / "config/weir.yaml").write_text(json.dumps(config), encoding="utf-8")
        (self.directory / "config.json").write_text(json.dumps(self.bundle()), encoding="utf-8")
        self.process = None

    def environment(self):
        values = {one["name"]: one.get("value", self.agent.node.name)
                  for one in self.container["env"]}
        # Of several agents on one machine, each has pins of its own.
        mounted = self.mount_path("bpf")
        values["WEIR_PIN_PATH"] = f"{mounted}/{self.agent.namespace}"
        return values | {"ASAN_OPTIONS": "detect_leaks=0"}  # the leak checker is a tracer

    def mount_path(self, volume):
        return next(one["mountPath"] for one in self.container["volumeMounts"]
                    if one["name"] == volume)

    def arguments(self):
        values = self.environment()
        words = ["/usr/bin/weir", *(one for one in self.container["args"]
                                    if not one.startswith(self.without or " "))]
        for name, value in values.items():
            words = [word.replace(f"$({name})", value) for word in words]
        return words

    def volumes(self):
        """Volume mounts of the specification, as containerd binds them."""
        sources = {one["name"]: one.get("hostPath", {}).get("path", str(self.directory / "config"))
                   for one in self.spec["volumes"]}
        return [mount(one["mountPath"], "bind", sources[one["name"]],
                      ("rbind", "rprivate", "ro" if one.get("readOnly") else "rw"))
                for one in self.container["volumeMounts"] if one["name"] not in self.without]

    def bundle(self):
        security = self.container["securityContext"]
        # containerd gives no ambient and no inheritable ones.
        granted = [f"CAP_{name}" for name in security["capabilities"]["add"]]
        return {
            "ociVersion": "1.0.2",
            "root": {"path": str(self.root), "readonly": security["readOnlyRootFilesystem"]},
            "process": {
                "terminal": False, "cwd": "/", "args": self.arguments(),
                "env": [f"{name}={value}" for name, value in self.environment().items()],
                "user": {"uid": security["runAsUser"], "gid": 0},
                "noNewPrivileges": not security["allowPrivilegeEscalation"],
                "capabilities": {kind: granted for kind in ("bounding", "effective", "permitted")}},
            "mounts": [*(mount(*one) for one in (*MOUNTS, CGROUP_MOUNT)), *self.volumes(),
                       *(mount(path, "bind", path, ("rbind", "ro"))
                         for path in self.manifests)],
            "linux": {
                "namespaces": [*({"type": kind} for kind in ("pid", "ipc", "mount", "cgroup")),
                               {"type": "network", "path": f"/run/netns/{self.agent.namespace}"}],
                "cgroupsPath": f"/{self.name}", "readonlyPaths": list(READ_ONLY),
                "maskedPaths": list(MASKED), **self.seccomp()}}

    def seccomp(self):
        if not self.forbidden:
            return {}
        return {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": list(self.forbidden), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM}]}}

    def start(self):
        """The log is the node's."""
        with open(self.agent.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["runc", "run", "--bundle", str(self.directory), self.name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def exec(self, *command):
        """kubectl exec."""
        words = [word for item in self.environment().items() for word in ("--env", "=".join(item))]
        return subprocess.run(["runc", "exec", *words, self.name, *command], capture_output=True,
                              text=True, timeout=20, check=False)

    def pid(self):
        return json.loads(shell.run("runc", "state", self.name))["pid"]

    def stop(self):
        """SIGTERM, as the kubelet does; returns the exit status."""
        shell.run("runc", "kill", self.name, "TERM", check=False)
        status = self.process.wait(10)
        self.process = None
        return status

    def remove(self):
        shell.run("runc", "delete", "--force", self.name, check=False)
        if self.process is not None:
            self.process.wait(10)
        shutil.rmtree(self.directory, ignore_errors=True)
