# SPDX-License-Identifier: Apache-2.0
"""
What kube-proxy made of so many Services, recorded (data/rulesets/README.md), and the same Services
as weir reads them.
"""
import gzip
import pathlib

import testcluster  # noqa: F401, before what is in it
from cluster import manifests, shell

RULES = pathlib.Path(__file__).resolve().parent / "data/rulesets"
LOADERS = {"nft": ("nft", "-f", "-"), "ipt": ("iptables-restore",)}
LOAD_TIMEOUT = 600  # the largest takes the kernel three minutes
BACKENDS = tuple(f"10.244.2.{number}" for number in (2, 3, 4, 5))
TARGET_PORT, FIRST_NODE_PORT, NODE_PORTS = 8080, 30000, 500


def dump(kind, services):
    return RULES / f"{services}.{kind}.gz"


def has(kind, services):
    """Whether a way can serve so many: weir, of which kind is None, always does."""
    return kind is None or dump(kind, services).exists()


def load(namespace, kind, services):
    """Replaces all rules of the namespace. Connections that conntrack knows stay."""
    script = gzip.decompress(dump(kind, services).read_bytes()).decode()
    shell.nft(namespace, "flush ruleset")
    shell.run(*shell.inside(namespace), *LOADERS[kind], stdin=script, timeout=LOAD_TIMEOUT)


def cluster_ip(number):
    return f"10.96.{1 + number // 250}.{1 + number % 250}"


def objects(services, node="other"):
    """Each with its EndpointSlice; node: where the endpoints are."""
    endpoints = [{"addresses": [address], "nodeName": node, "conditions": {"ready": True}}
                 for address in BACKENDS]
    for number in range(services):
        node_port = FIRST_NODE_PORT + number if number < NODE_PORTS else None
        ports = [("t", "TCP", 80, TARGET_PORT, node_port), ("u", "UDP", 80, TARGET_PORT, node_port)]
        yield manifests.service(f"s{number}", {}, ports, families=(4,),
                                type="NodePort" if node_port else "ClusterIP",
                                clusterIPs=[cluster_ip(number)])
        yield manifests.endpoint_slice(f"s{number}", 4, [port[:2] + port[3:4] for port in ports],
                                       endpoints)
