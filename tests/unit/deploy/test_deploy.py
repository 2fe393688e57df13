# SPDX-License-Identifier: Apache-2.0
"""
What deploy/ says, read as text and YAML: that the files fit one another and the tool, and grant
exactly what is meant. Whether an API server takes them is for the tests with a real one.
"""
import os
import pathlib
import re
import subprocess
import unittest

import yaml

SOURCE = pathlib.Path(__file__).resolve().parents[3]
DEPLOY = SOURCE / "deploy"
BASE = DEPLOY / "kubernetes"
MIGRATING = SOURCE / "docs/MIGRATING.md"
OVERLAYS = [path.parent for path in sorted(DEPLOY.glob("overlays/*/kustomization.yaml"))]
CAPABILITIES = ["BPF", "NET_ADMIN", "PERFMON"]


def read(path):
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


def kustomization(folder):
    one, = read(folder / "kustomization.yaml")
    return one


def objects():
    """(kind, name) -> object, of the base."""
    found = {}
    for name in kustomization(BASE)["resources"]:
        for one in read(BASE / name):
            found[one["kind"], one["metadata"]["name"]] = one
    return found


def options_of(binary):
    """Names of the options of weir run, from its help."""
    shown = subprocess.run([binary, "run", "--help"], capture_output=True, text=True, check=True)
    return set(re.findall(r"--([a-z][a-z-]*)", shown.stdout))


class Kustomize(unittest.TestCase):
    def test_every_file_is_in_it(self):
        files = {path.name for path in BASE.iterdir()} - {"kustomization.yaml"}
        self.assertEqual(set(kustomization(BASE)["resources"]), files)

    def test_no_object_twice_and_all_in_one_namespace(self):
        listed = [one for name in kustomization(BASE)["resources"] for one in read(BASE / name)]
        self.assertEqual(len(listed), len(objects()))
        for one in listed:
            if not one["kind"].startswith("Cluster"):
                self.assertEqual(one["metadata"]["namespace"], "kube-system", one["kind"])

    def test_every_file_of_an_overlay_is_in_it_or_for_kubectl_patch(self):
        for overlay in OVERLAYS:
            files = {path.name for path in overlay.iterdir()} - {"kustomization.yaml"}
            named = set(kustomization(overlay)["patchesStrategicMerge"])
            others = {name for name in files - named
                      if f"overlays/{overlay.name}/{name}" in MIGRATING.read_text(encoding="utf-8")}
            self.assertEqual(files, named | others)

    def test_overlays_change_objects_that_are_there(self):
        self.assertEqual([path.name for path in OVERLAYS], ["k3s", "kubeadm"])
        for overlay in OVERLAYS:
            content = kustomization(overlay)
            self.assertEqual([(overlay / path).resolve() for path in content["bases"]], [BASE])
            for name in content["patchesStrategicMerge"]:
                for patch in read(overlay / name):
                    self.assertIn((patch["kind"], patch["metadata"]["name"]), objects())


class DaemonSet(unittest.TestCase):
    def setUp(self):
        self.spec = objects()["DaemonSet", "weir"]["spec"]
        self.pod = self.spec["template"]["spec"]
        self.container, = self.pod["containers"]

    def test_selects_its_own_pods(self):
        labels = self.spec["template"]["metadata"]["labels"]
        self.assertEqual(self.spec["selector"]["matchLabels"], labels)

    def test_privileges(self):
        self.assertEqual(self.container["securityContext"], {
            "runAsUser": 0, "privileged": False, "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": CAPABILITIES}})
        self.assertEqual(self.pod["securityContext"], {"seccompProfile": {"type": "RuntimeDefault"}})
        for name in ("hostPID", "hostIPC", "initContainers"):
            self.assertNotIn(name, self.pod)

    def test_runs_on_every_linux_node_first(self):
        self.assertTrue(self.pod["hostNetwork"])
        self.assertEqual(self.pod["priorityClassName"], "system-node-critical")
        self.assertEqual(self.pod["tolerations"], [{"operator": "Exists"}])
        self.assertEqual(self.pod["nodeSelector"], {"kubernetes.io/os": "linux"})
        self.assertLessEqual(self.pod["terminationGracePeriodSeconds"], 10)
        self.assertEqual(self.spec["updateStrategy"]["type"], "RollingUpdate")

    def test_mounts_are_volumes_and_nothing_more(self):
        mounted = {one["name"]: one for one in self.container["volumeMounts"]}
        volumes = {one["name"]: one for one in self.pod["volumes"]}
        self.assertEqual(set(mounted), set(volumes))
        paths = {name: one["hostPath"]["path"] for name, one in volumes.items() if "hostPath" in one}
        self.assertEqual(paths, {"bpf": "/sys/fs/bpf", "cgroup": "/sys/fs/cgroup",
                                 "sysctl-net": "/proc/sys/net"})
        for name, path in paths.items():
            self.assertEqual(mounted[name]["mountPath"], "/host" + path)
        self.assertTrue(mounted["config"]["readOnly"] and mounted["cgroup"]["readOnly"])
        self.assertEqual(volumes["config"]["configMap"]["name"], "weir")
        self.assertIn(("ConfigMap", "weir"), objects())

    def test_arguments_fit_the_mounts_and_the_tool(self):
        args = dict(one[2:].split("=") for one in self.container["args"][1:])
        self.assertEqual(self.container["args"][0], "run")
        self.assertEqual(args["sysctl-path"], "/host/proc/sys")
        folder, name = os.path.split(args["config"])
        self.assertIn(folder, [one["mountPath"] for one in self.container["volumeMounts"]])
        self.assertIn(name, objects()["ConfigMap", "weir"]["data"])
        environment = {one["name"]: one for one in self.container["env"]}
        self.assertTrue(environment["WEIR_PIN_PATH"]["value"].startswith("/host/sys/fs/bpf/"))
        self.assertEqual(args["node-name"], "$(NODE_NAME)")
        self.assertEqual(environment["NODE_NAME"]["valueFrom"]["fieldRef"]["fieldPath"],
                         "spec.nodeName")

    def test_options_are_known(self):
        known = options_of(os.environ["WEIR_BIN"])
        used = {one[2:].split("=")[0] for one in self.container["args"][1:]}
        files = [BASE / "configmap.yaml", *(overlay / "server.yaml" for overlay in OVERLAYS)]
        for path in files:
            one, = read(path)
            used |= set(yaml.safe_load(one["data"]["weir.yaml"]))
        self.assertEqual(used - known, set())

    def test_probes(self):
        port, = self.container["ports"]
        self.assertEqual((port["containerPort"], port["hostPort"]), (10256, 10256))
        for probe, path in (("startupProbe", "/healthz"), ("readinessProbe", "/healthz"),
                            ("livenessProbe", "/livez")):
            self.assertEqual(self.container[probe]["httpGet"], {"path": path, "port": port["name"]})

    def test_image_is_nobodys_registry(self):
        name, tag = self.container["image"].split(":")
        self.assertEqual(name, "weir")
        image, = kustomization(BASE)["images"]
        self.assertEqual((image["name"], image["newTag"]), (name, tag))
        version = re.search(r"project\(weir VERSION ([0-9.]+)", (SOURCE / "CMakeLists.txt").read_text())
        self.assertEqual(tag, version[1])

    def test_service_account(self):
        name = self.pod["serviceAccountName"]
        self.assertIn(("ServiceAccount", name), objects())
        binding = objects()["ClusterRoleBinding", "weir"]
        self.assertEqual(binding["subjects"], [
            {"kind": "ServiceAccount", "name": name, "namespace": "kube-system"}])
        self.assertEqual((binding["roleRef"]["kind"], binding["roleRef"]["name"]),
                         ("ClusterRole", "weir"))


class Rights(unittest.TestCase):
    def test_nothing_more_than_is_asked_for(self):
        granted = {(group, resource, verb)
                   for rule in objects()["ClusterRole", "weir"]["rules"]
                   for group in rule["apiGroups"] for resource in rule["resources"]
                   for verb in rule["verbs"]}
        followed = {("", "services"), ("", "nodes"), ("discovery.k8s.io", "endpointslices")}
        self.assertEqual(granted, {(*one, verb) for one in followed for verb in ("list", "watch")}
                         | {("events.k8s.io", "events", "create")})


class Others(unittest.TestCase):
    def test_the_image_has_the_libraries_that_scripts_setup_has(self):
        setup = (SOURCE / "scripts/setup").read_text(encoding="utf-8")
        wanted = set(re.findall(r"\S+-dev", setup.split("# build")[1].split("# lint")[0]))
        self.assertTrue(wanted)
        installed = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").split()
        self.assertEqual(wanted - set(installed), set())

    def test_the_unit_grants_the_same(self):
        unit = (DEPLOY / "systemd/weir.service").read_text(encoding="utf-8")
        wanted = [f"CAP_{name}" for name in CAPABILITIES]
        for setting in ("AmbientCapabilities", "CapabilityBoundingSet"):
            self.assertEqual(re.search(rf"^{setting}=(.*)$", unit, re.M)[1].split(), wanted)

    def test_no_registry_host(self):
        """An image's host has a dot or a port, as in host.example/weir and host:5000/weir."""
        for path in DEPLOY.rglob("*"):
            if path.is_file():
                text = path.read_text(encoding="utf-8")
                self.assertEqual(re.findall(r"(?:image:|FROM) *[\w-]+(?:\.[\w.-]+|:\d+)/", text), [])


if __name__ == "__main__":
    unittest.main()
