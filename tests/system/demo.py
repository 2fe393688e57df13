# SPDX-License-Identifier: Apache-2.0
"""
The story that scripts/demo tells: three Services as people write them, on two nodes, over real
connections. Every claim is checked; the exit status is 0 only if all of them held.
"""
import argparse
import collections
import os
import pathlib
import sys
import textwrap
import time

from cluster import cgroups, client, cluster, expect, names, plan, services

PREFIX = "weird"
EXAMPLES = pathlib.Path(__file__).parents[1] / "data/manifests"
NODE1, NODE2 = plan.NODES
EXAMPLE_NAMES = ("svc-1", "svc-2", "svc-3")
WEB = {"type": "web"}


class Page:
    """What is printed: chapters, prose, tables and checked claims; colours on a terminal only."""

    def __init__(self):
        colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.codes = {"title": "1;36", "good": "32", "bad": "1;31", "faint": "2"} if colours else {}
        self.wrong = []
        self.chapters = 0

    def paint(self, style, text):
        return f"\033[{self.codes[style]}m{text}\033[0m" if style in self.codes else text

    def say(self, text=""):
        print(text, flush=True)

    def chapter(self, title):
        self.chapters += 1
        self.say(self.paint("title", f"\n{self.chapters}. {title}"))

    def prose(self, text):
        self.say(textwrap.fill(" ".join(text.split()), 96, initial_indent="   ",
                               subsequent_indent="   "))

    def table(self, caption, text, lines=14):
        """Wide columns are for a wide terminal; nothing is cut off that cannot be asked for."""
        self.say(self.paint("faint", f"   $ {caption}"))
        shown = text.splitlines()
        for line in shown[:lines]:
            self.say("     " + line.rstrip())
        if len(shown) > lines:
            self.say(self.paint("faint", f"     ... {len(shown) - lines} more"))

    def claim(self, held, text):
        mark = self.paint("good", "right") if held else self.paint("bad", "WRONG")
        self.say(f"   {mark}  {text}")
        if not held:
            self.wrong.append(text)


class Demo:
    def __init__(self, page, running):
        self.page = page
        self.running = running
        self.node1, self.node2 = running.agents.values()

    # ---- where the objects come from: files here, an API server in demo_kubernetes.py ----

    edited = "The file is edited while everything runs"
    allocated = "what the files leave out was allocated alike on both nodes"

    def begin(self):
        """Before anything else; prose of its own, if there is something to tell."""

    def nodes(self):
        services.publish_nodes(self.running)

    def publish(self, *web):
        pods = services.pod_objects(self.running, **{name: WEB for name in web})
        self.running.manifests.put("pods", *pods)

    def example(self, name, edit=lambda text: text):
        file = next(EXAMPLES.glob(f"{name}-*.yaml"))
        self.running.manifests.put_text(file.name, edit(file.read_text(encoding="utf-8")))

    # ---- what the chapters are made of ----

    def weir(self, agent, *arguments, lines=14):
        self.page.table(f"weir {' '.join(arguments)}        # on {agent.node.name}",
                        agent.weir(*arguments), lines)

    def frontend(self, service, kind):
        return self.node1.frontends(f"default/{service}")[kind, 4, "tcp"]

    def ask(self, place, address, port, times=20, timeout=2.0):
        question = {"proto": "tcp", "address": address, "port": port, "timeout": timeout}
        return self.running.workers[place].call("ask_all", questions=[question] * times, within=60)

    def answers(self, place, title, address, port, pods, sources=None, times=20):
        """Asks, shows who answered and whom they saw, and checks both."""
        answers = self.ask(place, address, port, times)
        failed = [answer["error"] for answer in answers if answer["error"]]
        counts = collections.Counter((a["pod"], a["peer"]) for a in answers if a["pod"])
        self.page.say(f"\n   {place} asks {title} at {address}:{port}, {times} times:")
        for (pod, peer), count in sorted(counts.items()):
            self.page.say(f"     {pod} on {self.running.pods[pod].node.name} answered {count:2} times; "
                          f"it saw the client as {peer}")
        self.page.claim(not failed, f"every request was answered{': ' + failed[0] if failed else ''}")
        self.page.claim({pod for pod, _ in counts} == set(pods),
                        f"by {' and '.join(pods)}, and by nobody else")
        if sources:
            self.page.claim(all(peer in sources[pod] for pod, peer in counts),
                            "and each saw the address that it should: "
                            + ", ".join(f"{pod} {' or '.join(sorted(sources[pod]))}" for pod in pods))
        return answers

    def silent(self, place, title, address, port):
        answers = self.ask(place, address, port, times=3, timeout=1.0)
        self.page.claim(all(answer["error"] == "timeout" for answer in answers),
                        f"{place} asks {title} at {address}:{port}: nobody answers")

    def start_load(self):
        """New connections and open streams, from a pod and from outside."""
        targets = {"pod1a": ("tcp", *self.frontend("svc-1", "ClusterIP")),
                   "client": ("tcp", *self.frontend("svc-3", "LoadBalancer"))}
        for place, target in targets.items():
            for kind, threads in (("short", 2), ("streams", 6)):
                self.running.workers[place].call("load_start", name=kind, kind=kind, targets=[target],
                                                 threads=threads, pace=0.01)

    def stop_load(self):
        """Shows and checks what the load met; returns the pods that answered new connections."""
        pods = collections.Counter()
        for place in ("pod1a", "client"):
            short, streams = (self.running.workers[place].call("load_stop", name=kind, within=30)
                              for kind in ("short", "streams"))
            pods.update(short["pods"])
            said = sum(stream["said"] for stream in streams["streams"])
            self.page.claim(short["failures"] == 0 and not streams["broken"],
                            f"{place}: {short['count']} new connections and {said} messages on "
                            f"{len(streams['streams'])} open ones, none lost")
        self.page.say("     new connections went to " + ", ".join(
            f"{pod} ({count})" for pod, count in sorted(pods.items())))
        return set(pods)

    # ---- the chapters ----

    def apply(self):
        self.page.chapter("Three Services, as they stand")
        self.page.prose("""Two nodes, each with its own weir and two pods; a router; a client outside.
            The pods pod1b and pod2b have the label type: web that the three Services select.""")
        self.begin()
        self.publish("pod1b", "pod2b")
        for name in EXAMPLE_NAMES:
            self.example(name)
        self.nodes()
        self.running.start_agents()
        self.running.wait_serving(*EXAMPLE_NAMES)
        self.weir(self.node1, "service", "list")
        alike = all(self.node1.frontends(f"default/{name}") == self.node2.frontends(f"default/{name}")
                    for name in EXAMPLE_NAMES)
        self.page.claim(alike, self.allocated)

    def from_a_pod(self):
        self.page.chapter("A pod uses svc-1, the ClusterIP Service")
        own = self.running.pods["pod1a"].address(4)
        self.answers("pod1a", "svc-1", *self.frontend("svc-1", "ClusterIP"), ["pod1b", "pod2b"],
                     {"pod1b": {own}, "pod2b": {own}})
        own = self.running.pods["pod2a"].address(4)
        self.answers("pod2a", "svc-1", *self.frontend("svc-1", "ClusterIP"), ["pod1b", "pod2b"],
                     {"pod1b": {own}, "pod2b": {own}})
        self.weir(self.node1, "backend", "list", "--service", "default/svc-1")

    def across(self, node):
        """Whom the two pods see of an outside client that came in at this node."""
        other = NODE2 if node == NODE1 else NODE1
        source = (node.overlay_address(4) if self.running.variant.join == "vxlan" else node.address(4))
        return {f"pod{node.number}b": {plan.CLIENT[4]}, f"pod{other.number}b": {source}}

    def from_outside(self):
        self.page.chapter("An outside client uses svc-2, NodePort, and svc-3, LoadBalancer")
        self.page.prose("""A pod on the node that took the request in sees the client's own address. For
            a pod on the other node the request goes on under the address of the node, so that the
            answer comes back the same way.""")
        for node in plan.NODES:
            self.answers("client", f"svc-2 through {node.name}", node.address(4), 32000,
                         ["pod1b", "pod2b"], self.across(node))
        address, port = self.frontend("svc-3", "LoadBalancer")
        self.answers("client", "svc-3", address, port, ["pod1b", "pod2b"], self.across(NODE1))
        self.weir(self.node1, "flow", "list", "--client", plan.CLIENT[4], lines=8)
        self.weir(self.node1, "drops")

    def from_the_nodes(self):
        self.page.chapter("Processes of the nodes themselves use all three")
        self.page.prose("""As a kubelet or a host network pod would. The address is exchanged where the
            process names it, so no packet is touched, and the process is not told. Node ports are
            served on 127.0.0.1 too, for the node alone.""")
        for node in plan.NODES:
            self.running.add_worker(node.name)
            for title, address, port in (("svc-1", *self.frontend("svc-1", "ClusterIP")),
                                         ("svc-2", plan.NODES[0].address(4), 32000),
                                         ("svc-2", "127.0.0.1", 32000),
                                         ("svc-3", *self.frontend("svc-3", "LoadBalancer"))):
                asked = expect.Frontend("node port of node1" if address == NODE1.address(4) else title,
                                        {4: address}, port, NODE1)
                sources = {pod: expect.host_sources(self.running.variant, node, asked,
                                                    self.running.pods[pod], 4)
                           for pod in ("pod1b", "pod2b")}
                answers = self.answers(node.name, title, address, port, ["pod1b", "pod2b"], sources)
                self.page.claim(all(a["named"] == [address, port] for a in answers),
                                "and the process believes to be connected to what it asked for")
        refused = self.ask("client", "127.0.0.1", 32000, times=2)
        self.page.claim(all(a["error"] == "refused" for a in refused),
                        "127.0.0.1:32000 of everybody else is as closed as before")

    def external_local(self):
        self.page.chapter("svc-2 becomes externalTrafficPolicy: Local")
        self.page.prose(f"{self.edited}; the web pod of node2 is taken away too.")
        self.publish("pod1b")
        self.example("svc-2", lambda text: text.replace(
            "  type: NodePort", "  externalTrafficPolicy: Local\n  type: NodePort"))
        local = client.eventually(lambda: self.policy() == "Local" and not self.others())
        self.page.claim(local, "the table says so")
        self.weir(self.node2, "service", "show", "default/svc-2", lines=24)
        self.answers("client", "svc-2 through node1", NODE1.address(4), 32000, ["pod1b"],
                     {"pod1b": {plan.CLIENT[4]}})
        self.silent("client", "svc-2 through node2, which has no web pod", NODE2.address(4), 32000)
        self.page.say("   Why? The datapath of node2 itself is asked, with a packet that is never sent:")
        question = ("trace", "--edge", "uplink", "--from", plan.CLIENT[4],
                    "--to", f"{NODE2.address(4)}:32000")
        self.weir(self.node2, *question, lines=30)
        said = self.node2.query(*question)
        self.page.claim((said["verdict"], said["reason"]) == ("drop", "drop_no_local_endpoint"),
                        "it drops what comes from outside, for want of a pod of its own")

    def policy(self):
        return self.node2.query("service", "show", "default/svc-2")[0]["external_policy"]

    def others(self):
        """Backends of svc-2 beside pod1b, in the list in use."""
        endpoints = self.node2.query("service", "show", "default/svc-2")[0]["endpoints"]
        return [e for e in endpoints if e["in_cluster_list"]
                and e["address"] != self.running.pods["pod1b"].address(4)]

    def scale(self):
        self.page.chapter("The backends are scaled while connections are open")
        self.example("svc-2")
        self.start_load()
        for letter in "cd":
            self.running.add_pod(plan.Pod(NODE2, letter))
        self.publish("pod1b", "pod2b", "pod2c", "pod2d")
        self.page.say("   1 web pod becomes 4, two of them just born on node2 ...")
        time.sleep(2)
        self.weir(self.node2, "backend", "list", "--service", "default/svc-1")
        self.publish("pod1b", "pod2b", "pod2c")
        self.page.say("   ... and 3")
        time.sleep(1)
        pods = self.stop_load()
        self.page.claim({"pod2b", "pod2c", "pod2d"} <= pods, "the new ones took their share")
        self.answers("pod1a", "svc-1", *self.frontend("svc-1", "ClusterIP"),
                     ["pod1b", "pod2b", "pod2c"], times=40)

    def kill(self):
        self.page.chapter("Both agents are killed, with SIGKILL")
        self.start_load()
        time.sleep(0.5)
        for agent in (self.node1, self.node2):
            self.page.say(f"   kill -9 {agent.process.pid}        # the agent of {agent.node.name}")
            agent.kill()
        time.sleep(1.5)
        self.page.claim(not self.node1.running() and not self.node2.running(), "both are dead")
        address, port = self.frontend("svc-3", "LoadBalancer")
        self.answers("client", "svc-3", address, port, ["pod1b", "pod2b", "pod2c"], times=40)
        self.running.start_agents()
        self.running.wait_serving(*EXAMPLE_NAMES)
        self.page.say("   both are started again")
        time.sleep(1)
        self.stop_load()

    def clean(self):
        self.page.chapter("No trace is left")
        for agent in (self.node1, self.node2):
            agent.stop()
            host = set(agent.host_programs().values())
            agent.weir("cleanup")
            self.page.say(f"   $ weir cleanup        # on {agent.node.name}")
            self.page.claim(not agent.programs(), "no program on any device of the node")
            self.page.claim(not host & cgroups.program_ids(), "none on the cgroup of its processes")
            self.page.claim(not os.path.exists(agent.pin_path), f"nothing pinned at {agent.pin_path}")
        address, port = plan.NODES[0].address(4), 32000
        answers = self.ask("client", address, port, times=2, timeout=1.0)
        self.page.claim(all(answer["error"] for answer in answers), "port 32000 is closed again")

    def gone(self):
        left = [name for directory in (names.NETNS, names.BPFFS) if os.path.isdir(directory)
                for name in os.listdir(directory) if name.startswith(self.running.id)]
        self.page.claim(not left, "the namespaces are gone as well")


    def chapters(self):
        return (self.apply, self.from_a_pod, self.from_outside, self.from_the_nodes,
                self.external_local, self.scale, self.kill, self.clean)


def tell(demo):
    for chapter in demo.chapters():
        chapter()
    demo.running.down()
    demo.gone()


def main(story=Demo, description=__doc__):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--variant", default="bridge-nf1-vxlan-xdp-native", help="of the cluster")
    parser.add_argument("--weir", help="binary; default: $WEIR_BIN or what a preset built")
    arguments = parser.parse_args()
    begin, page = time.monotonic(), Page()
    with cluster.Cluster(plan.Variant.parse(arguments.variant), PREFIX, arguments.weir) as running:
        tell(story(page, running))
    seconds = time.monotonic() - begin
    if page.wrong:
        page.say(page.paint("bad", f"\n{len(page.wrong)} answers were wrong, after {seconds:.0f} s:"))
        for text in page.wrong:
            page.say(f"   {text}")
        return 1
    page.say(page.paint("good", f"\nEvery answer was right. {seconds:.0f} seconds."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
