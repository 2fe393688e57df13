# SPDX-License-Identifier: Apache-2.0
"""Manifests of large clusters, as `kubectl get` shows them, and changes of one Service."""
import dataclasses
import json
import os
import pathlib
import shutil

NODES = 100


@dataclasses.dataclass(frozen=True)
class Size:
    services: int
    endpoints: int  # of each

    @property
    def case(self):
        return {"services": self.services, "endpoints": self.services * self.endpoints}


def cluster_ip(number):
    return f"10.{96 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def service(number):
    """Addresses are as an API server gives them out: nothing is left to allocate."""
    address = cluster_ip(number + 256)
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"labels": {"app": f"app-{number}"}, "name": f"service-{number}",
                         "namespace": f"team-{number % 50}"},
            "spec": {"clusterIP": address, "clusterIPs": [address],
                     "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"],
                     "ipFamilyPolicy": "SingleStack",
                     "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
                     "sessionAffinity": "None", "type": "ClusterIP"}}


def endpoint(number, index, ready=True):
    return {"addresses": [f"10.{128 + (index >> 16)}.{index >> 8 & 255}.{index & 255}"],
            "conditions": {"ready": ready, "serving": ready, "terminating": False},
            "nodeName": f"node-{index % NODES}",
            "targetRef": {"kind": "Pod", "name": f"app-{number}-{index:x}",
                          "namespace": f"team-{number % 50}"}}


def slice_of(number, endpoints):
    return {"addressType": "IPv4", "apiVersion": "discovery.k8s.io/v1", "endpoints": endpoints,
            "kind": "EndpointSlice",
            "metadata": {"labels": {"kubernetes.io/service-name": f"service-{number}"},
                         "name": f"service-{number}-abcde", "namespace": f"team-{number % 50}"},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}


def objects(number, size, first=None, unready=None):
    """A Service and its EndpointSlice. first: its first endpoint; unready: which is not ready."""
    first = number * size.endpoints if first is None else first
    found = [endpoint(number, first + i, i != unready) for i in range(size.endpoints)]
    return [service(number), slice_of(number, found)]


def yaml_text(value, indent=""):
    """Block style, strings in quotes where they may be read as something else: kubectl's."""
    lines = []
    if isinstance(value, list):
        for item in value:
            if isinstance(item, (dict, list)):
                text = yaml_text(item, indent + "  ")
                lines.append(f"{indent}- {text[len(indent) + 2:]}")
            else:
                lines.append(f"{indent}- {yaml_scalar(item)}")
        return "\n".join(lines)
    for name, item in value.items():
        if isinstance(item, (dict, list)):
            deeper = indent + "  " * isinstance(item, dict)
            lines.append(f"{indent}{name}:\n{yaml_text(item, deeper)}")
        else:
            lines.append(f"{indent}{name}: {yaml_scalar(item)}")
    return "\n".join(lines)


def yaml_scalar(value):
    return json.dumps(value) if isinstance(value, bool) else str(value)


def write_json(path, size):
    """One List, compact as the API sends it."""
    with open(path, "w", encoding="ascii") as out:
        out.write('{"apiVersion":"v1","items":[\n')
        for number in range(size.services):
            pair = [json.dumps(one, separators=(",", ":")) for one in objects(number, size)]
            out.write((",\n" if number else "") + ",\n".join(pair))
        out.write('\n],"kind":"List","metadata":{"resourceVersion":""}}\n')


def write_yaml(path, size):
    """Documents one after another."""
    with open(path, "w", encoding="ascii") as out:
        for number in range(size.services):
            for one in objects(number, size):
                out.write(f"---\n{yaml_text(one)}\n")


def write_service(directory, number, size, **changes):
    """The file of one Service, and the name that it is to have: a rename makes it appear whole."""
    text = "\n".join(json.dumps(one, separators=(",", ":"))
                     for one in objects(number, size, **changes))
    hidden = pathlib.Path(directory) / f".{number}"
    hidden.write_text(text + "\n", encoding="ascii")
    return hidden, hidden.with_name(f"service-{number}.json")


def put_service(directory, number, size, **changes):
    os.rename(*write_service(directory, number, size, **changes))


def write_directory(path, size):
    os.makedirs(path, exist_ok=True)
    for number in range(size.services):
        put_service(path, number, size)


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)
