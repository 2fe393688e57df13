# SPDX-License-Identifier: Apache-2.0
"""The whole: builds a cluster, runs its agents, and takes everything away again."""
import atexit
import os
import pathlib
import signal
import sys
import tempfile

from . import agent, apiserver, cleanup, firewall, manifests, names, plan, pods, rpc, shell, topology

SERVER_PORT = 8000
standing = []  # clusters to take down when the process ends, however it ends


def take_down_all():
    while standing:
        standing[-1].down()


def end_on(number, _frame):
    sys.exit(128 + number)  # runs the atexit handlers


def handle_signals():
    atexit.register(take_down_all)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_on)


class Cluster:
    def __init__(self, variant, prefix=names.PREFIX, binary=None):
        self.variant = variant
        self.prefix = prefix
        self.id = names.cluster_id(prefix)
        self.binary = binary or agent.find_binary()
        self.directory = pathlib.Path(tempfile.gettempdir()) / f"{self.id}-files"
        self.workers = {}
        self.pods = {}
        self.agents = {}
        self.control = None

    def ns(self, part):
        return f"{self.id}-{part}"

    def up(self):
        cleanup.remove_stale(self.prefix)
        if not standing:
            handle_signals()
        standing.append(self)
        self.mount_bpffs()
        self.manifests = manifests.Directory(self.directory / "manifests")
        self.build_network()
        for pod in plan.PODS:
            self.add_pod(pod)
        self.add_worker("client")
        for node in plan.NODES:
            self.add_agent(node)
        return self

    @staticmethod
    def mount_bpffs():
        if not os.path.ismount(names.BPFFS):
            shell.run("mount", "-t", "bpf", "bpf", names.BPFFS)

    def build_network(self):
        topology.build_router(self.ns)
        for node in plan.NODES:
            topology.build_node(self.ns, node, self.variant)
            if self.variant.pods == "bridge":
                pods.build_bridge(self.ns(node.name), node, self.variant)
        join = {"routes": topology.join_by_routes, "vxlan": topology.join_by_vxlan}[self.variant.join]
        for node, other in (plan.NODES, plan.NODES[::-1]):
            join(self.ns, node, other)
        self.route_services()

    def route_services(self):
        """Cluster IPs and load-balancer addresses enter at node1, external IPs at node2."""
        for cidrs, node in ((plan.SERVICE_CIDR, 1), (plan.LOAD_BALANCER_POOL, 1),
                            (plan.EXTERNAL_CIDR, 2)):
            for family in plan.FAMILIES:
                self.route(cidrs[family], plan.NODES[node - 1])

    def route(self, prefix, node):
        """Makes the router send a prefix of service addresses to this node."""
        family = 6 if ":" in prefix else 4
        shell.ip(self.ns("router"), f"route replace {prefix} via {node.address(family)}")

    def add_pod(self, pod):
        """A pod with its server; what it is a backend of is for the manifests to say."""
        pods.attach(self.ns(pod.node.name), self.ns(pod.name), pod, self.variant)
        self.pods[pod.name] = pod
        self.add_worker(pod.name).call("serve", name=pod.name, port=SERVER_PORT)

    def remove_pod(self, pod):
        pods.detach(self.ns(pod.node.name), pod, self.variant)
        self.workers.pop(pod.name).close()
        shell.run("ip", "netns", "del", self.ns(pod.name))
        del self.pods[pod.name]

    def wait_endpoints(self, service, *pods, timeout=agent.START_TIMEOUT):
        """Until both nodes balance this service over these pods and no other."""
        wanted = {address for name in pods
                  for address in map(self.pods[name].address, plan.FAMILIES)}
        for each in self.agents.values():
            each.wait_until(lambda: each.endpoints(service) == wanted,
                            f"endpoints {pods} of {service}", timeout)

    def add_worker(self, part):
        self.workers[part] = rpc.Worker(self.ns(part))
        return self.workers[part]

    def add_agent(self, node):
        self.agents[node.name] = agent.Agent(
            self.binary, self.ns(node.name), node, self.manifests.path, self.variant, self.directory)

    def add_control(self, **flags):
        """A real API server, see apiserver.Control; both agents follow it from their next start on."""
        self.control = apiserver.Control(self, **flags)
        self.control.up()
        for each in self.agents.values():
            each.follow(self.control.admin)
        return self.control

    def start_agents(self, *more):
        for each in self.agents.values():
            each.start(*more)

    def wait_serving(self, *services, timeout=agent.START_TIMEOUT):
        """Until both nodes hold these services (name, or namespace/name) and have attached all."""
        wanted = {name if "/" in name else f"{manifests.NAMESPACE}/{name}" for name in services}
        for each in self.agents.values():
            each.wait_until(lambda: wanted <= served(each), f"{sorted(wanted)} in its tables", timeout)
            # An agent that starts fills its tables first, attaches then, and says so last.
            each.wait_until(lambda: f"services, node {each.node.name}" in each.log(), "start", timeout)

    def ask(self, part, proto, address, port, **more):
        """One question from the client or a pod; see client.ask()."""
        return self.workers[part].call("ask", proto=proto, address=address, port=port, **more)

    def dropped(self):
        """Packets that conntrack or the reverse path filter refused, by node and check."""
        return {f"{node.name} {check}": count for node in plan.NODES
                for check, count in firewall.dropped(self.ns(node.name)).items() if count}

    def down(self):
        if self in standing:
            standing.remove(self)
        for each in self.agents.values():
            if each.running():
                each.kill()
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()
        if self.control is not None:
            self.control.down()
        cleanup.remove_cluster(self.id)

    def __enter__(self):
        return self.up()

    def __exit__(self, *_error):
        self.down()


def served(agent_):
    return {row["service"].split(":")[0] for row in agent_.query("service", "list")}
