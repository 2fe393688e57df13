# SPDX-License-Identifier: Apache-2.0
"""
What a node's tables must hold, computed from the API's objects by the rules in words (the oracle:
it shares nothing with weir), and what they do hold, in the same form:

    {("default/web:http", "TCP", "IPv4"): {"frontends": {"ClusterIP 10.96.0.10:80"},
                                           "endpoints": {"10.244.1.20:8000"}}}

frontends: "KIND ADDRESS:PORT"; endpoints: those of the cluster-wide list.
"""
ZONE = "topology.kubernetes.io/zone"
FOREIGN = ("service.kubernetes.io/headless", "service.kubernetes.io/service-proxy-name")
SERVICE_NAME = "kubernetes.io/service-name"


def foreign(object_):
    """Of another proxy, or of none."""
    return any(label in object_["metadata"].get("labels", {}) for label in FOREIGN)


def family_of(address):
    return "IPv6" if ":" in address else "IPv4"


def proxied(service):
    spec = service["spec"]
    return (not foreign(service) and spec.get("type") != "ExternalName"
            and spec.get("clusterIP") not in (None, "", "None"))


def frontends(service, port, family):
    spec = service["spec"]
    cluster_ips = spec.get("clusterIPs") or [spec["clusterIP"]]
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    vips = [entry["ip"] for entry in ingress if "ip" in entry and entry.get("ipMode") != "Proxy"]
    kinds = {"ClusterIP": cluster_ips, "ExternalIP": spec.get("externalIPs") or [],
             "LoadBalancer": vips if spec.get("type") == "LoadBalancer" else []}
    found = {f"{kind} {address}:{port['port']}" for kind, addresses in kinds.items()
             for address in addresses if family_of(address) == family}
    if port.get("nodePort"):
        found.add(f"NodePort *:{port['nodePort']}")
    return found


def families(service):
    spec = service["spec"]
    cluster_ips = spec.get("clusterIPs") or [spec["clusterIP"]]
    return spec.get("ipFamilies") or [family_of(address) for address in cluster_ips]


def endpoints_of(slices, service, port, family):
    """[(address:port, endpoint)] of all the service's slices, duplicates and all."""
    metadata = service["metadata"]
    for each in slices:
        own = each["metadata"]
        if (own.get("namespace"), own.get("labels", {}).get(SERVICE_NAME)) != (
                metadata["namespace"], metadata["name"]) or foreign(each):
            continue
        if each["addressType"] != family:
            continue
        for target in each.get("ports") or []:
            if (target.get("name") or "") != (port.get("name") or "") or not target.get("port"):
                continue
            if (target.get("protocol") or "TCP") != (port.get("protocol") or "TCP"):
                continue
            for endpoint in each.get("endpoints") or []:
                yield f"{endpoint['addresses'][0]}:{target['port']}", endpoint


def condition(endpoint, name, default):
    value = (endpoint.get("conditions") or {}).get(name)
    return default if value is None else value


def is_ready(endpoint):
    return condition(endpoint, "ready", True)


def still_serving(endpoint):
    return condition(endpoint, "serving", is_ready(endpoint)) and condition(endpoint, "terminating", False)


def hinted(ready, kind, name):
    """Those whose hints name this node or zone, if each has hints of the kind and one matches."""
    named = [[each["name"] for each in (endpoint.get("hints") or {}).get(kind) or []]
             for _, endpoint in ready]
    if not name or not all(named):
        return []
    return [pair for pair, names in zip(ready, named) if name in names]


def chosen(pairs, node):
    """The cluster-wide list; node: (name, zone)."""
    ready = [pair for pair in pairs if is_ready(pair[1])]
    if ready:
        picked = hinted(ready, "forNodes", node[0]) or hinted(ready, "forZones", node[1]) or ready
    else:
        picked = [pair for pair in pairs if still_serving(pair[1])]
    return {address for address, _ in picked}


def expected(services, slices, nodes, node_name):
    """services, slices, nodes: objects in any order."""
    own = next((n for n in nodes if n["metadata"]["name"] == node_name), {"metadata": {}})
    node = (node_name, own["metadata"].get("labels", {}).get(ZONE))
    found = {}
    for service in filter(proxied, services):
        metadata = service["metadata"]
        for port in service["spec"].get("ports") or []:
            name = f"{metadata['namespace']}/{metadata['name']}"
            name += f":{port['name']}" if port.get("name") else ""
            for family in families(service):
                pairs = list(endpoints_of(slices, service, port, family))
                found[name, port.get("protocol") or "TCP", family] = {
                    "frontends": frontends(service, port, family), "endpoints": chosen(pairs, node)}
    return found


def outline(tables):
    """How many endpoints each has: what `weir service list` alone can tell."""
    return {key: len(each["endpoints"]) for key, each in tables.items()}


def programmed_outline(agent):
    return {(row["service"], row["protocol"], row["family"]): row["cluster_endpoints"]
            for row in agent.query("service", "list") if row["frontends"]}


def programmed(agent):
    """What `weir service show` says of each service of `weir service list`; gone ones aside."""
    listed = {row["service"].split(":")[0] for row in agent.query("service", "list") if row["frontends"]}
    found = {}
    for row in (row for name in sorted(listed) for row in agent.query("service", "show", name)):
        if not row["frontends"]:
            continue
        found[row["service"], row["protocol"], row["family"]] = {
            "frontends": {f"{front['kind']} {front['address']}:{front['port']}"
                          for front in row["frontends"]},
            "endpoints": {f"{end['address']}:{end['port']}" for end in row["endpoints"]
                          if end["in_cluster_list"]}}
    return found
