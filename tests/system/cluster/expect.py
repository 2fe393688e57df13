# SPDX-License-Identifier: Apache-2.0
"""
Which address a server must see. Nothing here asks weir: the rules are written down once more.

A packet is translated where it enters a node from its client: for a pod at its own node, unless it
names another node's address; for an outside client at the node that the router sent it to. The
source is changed only if the backend is reached through an uplink again, or is the client itself.
"""
import dataclasses

from . import plan


@dataclasses.dataclass(frozen=True)
class Frontend:
    """An address and port to ask, and the node at which an outside client's packet enters."""

    kind: str
    address: dict  # by family
    port: int
    enters: plan.Node

    @property
    def is_node_port(self):
        return self.kind.startswith("node port")


def translator(own_node, frontend):
    if own_node is None or (frontend.is_node_port and frontend.enters != own_node):
        return frontend.enters
    return own_node


def arriving_source(variant, pod, node, family):
    """Whom the translating node sees: flannel masquerades what leaves for no pod."""
    if pod is None:
        return plan.CLIENT[family]
    if variant.join == "vxlan" and node != pod.node:
        return pod.node.address(family)
    return pod.address(family)


def egress_source(variant, node, family):
    """A node's address on the device that leads to the other node's pods."""
    return node.overlay_address(family) if variant.join == "vxlan" else node.address(family)


def node_addresses(variant, node, family):
    """Every address by which a node may call itself towards a pod of its own."""
    own = {node.address(family)}
    if variant.join == "vxlan":
        own.add(node.overlay_address(family))
    return own


def hairpin_sources(variant, node, family):
    if variant.pods == "bridge":
        return {node.bridge_address(family)}
    return node_addresses(variant, node, family)


def host_sources(variant, node, frontend, backend, family):
    """A process of the node itself goes to the backend as if it had named it."""
    if frontend.is_node_port and frontend.enters != node:  # for that node, a client from outside
        if backend.node == frontend.enters:
            return {node.address(family)}
        return {egress_source(variant, frontend.enters, family)}
    if backend.node != node:
        return {egress_source(variant, node, family)}
    if variant.pods == "bridge":
        return {node.bridge_address(family)}
    return node_addresses(variant, node, family)


def sources(variant, pod, frontend, backend, family):
    """Addresses of which the backend must see one. pod: the client, or None for the outside one."""
    node = translator(pod.node if pod else None, frontend)
    if pod == backend and node == backend.node:
        return hairpin_sources(variant, node, family)
    if pod and node == pod.node:
        return {pod.address(family)}
    if backend.node == node:
        return {arriving_source(variant, pod, node, family)}
    return {egress_source(variant, node, family)}
