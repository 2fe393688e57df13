# SPDX-License-Identifier: Apache-2.0
"""Kubernetes objects, and the directory that both agents watch."""
import json
import os
import pathlib
import shutil

from . import plan

NAMESPACE = "default"


def node(node_, zone=None):
    labels = {"topology.kubernetes.io/zone": zone} if zone else {}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node_.name, "labels": labels},
            "status": {"addresses": [{"type": "InternalIP", "address": node_.address(family)}
                                     for family in plan.FAMILIES]}}


def pod(pod_, labels, ready=True, name=None, terminating=False, phase="Running", ports=()):
    """
    pod_: may be a node: then the Pod is on its network. ports: {name: number} of its container.
    Several objects, by other names, may stand for one pod of the cluster.
    """
    addresses = [{"ip": pod_.address(family)} for family in plan.FAMILIES]
    metadata = {"name": name or pod_.name, "namespace": NAMESPACE, "labels": labels}
    if terminating:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    listed = [{"name": port, "containerPort": number} for port, number in dict(ports).items()]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": {"nodeName": getattr(pod_, "node", pod_).name,
                     "containers": [{"name": "main", "ports": listed}]},
            "status": {"phase": phase, "podIP": addresses[0]["ip"], "podIPs": addresses,
                       "conditions": [{"type": "Ready", "status": str(ready)}]}}


def endpoint_slice(service_name, family, ports, endpoints, suffix=""):
    """ports: [(name, protocol, number)]; endpoints: as the API has them."""
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": f"{service_name}-v{family}{suffix}", "namespace": NAMESPACE,
                         "labels": {"kubernetes.io/service-name": service_name}},
            "addressType": f"IPv{family}", "endpoints": endpoints,
            "ports": [{"name": name, "protocol": protocol, "port": number}
                      for name, protocol, number in ports]}


def service(name, selector, ports, families=plan.FAMILIES, **spec):
    """ports: [(name, protocol, port, target port, node port or None)]; spec: the rest as it is."""
    listed = []
    for port_name, protocol, port, target, node_port in ports:
        listed.append({"name": port_name, "protocol": protocol, "port": port, "targetPort": target}
                      | ({"nodePort": node_port} if node_port else {}))
    policy = "RequireDualStack" if len(families) == 2 else "SingleStack"
    spec.setdefault("type", "ClusterIP")
    if "clusterIPs" in spec:
        spec["clusterIP"] = spec["clusterIPs"][0]
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"selector": selector, "ports": listed, "ipFamilyPolicy": policy,
                     "ipFamilies": [f"IPv{family}" for family in families]} | spec}


def labelled(object_, **labels):
    return object_ | {"metadata": object_["metadata"] | {"labels": labels}}


def annotated(object_, **annotations):
    return object_ | {"metadata": object_["metadata"] | {"annotations": annotations}}


def with_vips(service_, addresses):
    """What the cloud's controller would write into the status."""
    ingress = [{"ip": address, "ipMode": "VIP"} for address in addresses]
    return service_ | {"status": {"loadBalancer": {"ingress": ingress}}}


class Directory:
    """Files are written whole under another name and renamed, as editors and kubelets do."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)

    def put(self, name, *objects):
        document = objects[0] if len(objects) == 1 else {
            "apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.put_text(name + ".json", json.dumps(document, indent=1))

    def put_text(self, name, text):
        hidden = self.path / f".{name}.new"
        hidden.write_text(text, encoding="utf-8")
        os.rename(hidden, self.path / name)

    def write_in_place(self, name, text):
        (self.path / name).write_text(text, encoding="utf-8")

    def rename(self, old, new):
        os.rename(self.path / old, self.path / new)

    def copy(self, source):
        shutil.copy(source, self.path)

    def remove(self, name):
        (self.path / name).unlink()

    def names(self):
        return sorted(entry.name for entry in self.path.iterdir() if not entry.name.startswith("."))

    def clear(self):
        for name in self.names():
            self.remove(name)
