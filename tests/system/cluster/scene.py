# SPDX-License-Identifier: Apache-2.0
"""
Tests that share a cluster and nothing else: each has manifests of its own, which go with it, and
asks until what it expects is so everywhere.
"""
import itertools

from . import base, client, manifests, plan, services, shell

PROTOCOLS = ("tcp", "udp")
INSIDE = ("pod1a", "pod2a")
EVERYWHERE = (*INSIDE, "client", "node1")
SOON = 5.0  # seconds until a change must be felt; it takes a tenth of one on an idle machine
TIMES = 16  # one of two backends is missed once in 32,000 times

# Seconds that a client waits. A TCP client may overlook what weir answers to its first SYN, and is
# refused when it sends the next, a second later: see refuses().
PATIENCE = {"timeout": 0.3, "refused": 3.5, "unreachable": 3.5}
FAILURES = (*PATIENCE, "reset")
# Of the nodes' stacks: a closed port of theirs is asked more than once a second.
NO_ICMP_LIMIT = {"net/ipv4/icmp_ratelimit": 0, "net/ipv6/icmp/ratelimit": 0}
FIRST_PORT = 20000  # of clients that keep their source port
# Of all other datagrams, one after the other: a port that comes again would find its old flow.
source_ports = itertools.cycle(range(33000, 60000))


class Scene(base.ClusterCase):
    options = ()  # of the agents

    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        for node in plan.NODES:
            cls.cluster.add_worker(node.name)
            shell.sysctls(cls.cluster.ns(node.name), NO_ICMP_LIMIT)
        services.publish(cls.cluster, services.Offer("standing", 199))
        cls.cluster.start_agents(*cls.options)
        cls.cluster.wait_serving("standing")

    reported = False

    def report(self):
        """Once, and as long as the test's manifests are there."""
        if not self.reported:
            self.reported = True
            super().report()

    # ---- manifests ----

    def put(self, name, *objects):
        """A file that is removed when the test ends, if it is still there."""
        self.cluster.manifests.put(name, *objects)
        self.addCleanup(self.remove, name)

    def remove(self, *names):
        for name in names:
            if f"{name}.json" in self.cluster.manifests.names():
                self.cluster.manifests.remove(f"{name}.json")

    def back(self, offer, *places, **how):
        """These pods (or nodes, for Pods on the host's network) and no others are its backends."""
        self.put(f"{offer.name}-pods", *(self.backend(offer, place, **how) for place in places))

    def backend(self, offer, place, suffix="", **how):
        where = self.cluster.pods.get(place) or next(n for n in plan.NODES if n.name == place)
        return manifests.pod(where, offer.selector, name=f"{offer.name}-{place}{suffix}", **how)

    def serve(self, offer, *places, **spec):
        self.back(offer, *places)
        self.put(offer.name, offer.manifest(**spec))

    @classmethod
    def listen(cls, place, port):
        """Another server there, which calls itself by its port too."""
        cls.cluster.workers[place].call("serve", name=f"{place}:{port}", port=port)

    # ---- clients ----

    def outcomes(self, places, frontends, protocols=PROTOCOLS, families=plan.FAMILIES, times=1,
                 keep_port=False, **how):
        """{(place, frontend, family, protocol): whoever answered, and errors, in the order asked}."""
        cells = [(frontend, family, proto) for frontend in frontends for family in families
                 for proto in protocols]

        def source_port(number, proto):
            if keep_port:
                return FIRST_PORT + number
            return next(source_ports) if proto == "udp" else 0

        questions = [{"proto": proto, "address": frontend.address[family], "port": frontend.port,
                      "source_port": source_port(number, proto), **how}
                     for number, (frontend, family, proto) in enumerate(cells) for _ in range(times)]
        waiting = {place: self.cluster.workers[place].start(
            "ask_all", questions=questions, at_once=16) for place in places}
        found = {}
        for place, pending in waiting.items():
            answers = [answer["pod"] if answer["error"] is None else answer["error"]
                       for answer in pending.result(60)]
            for number, (frontend, family, proto) in enumerate(cells):
                name = f"{frontend.kind} {frontend.address[family]} port {frontend.port}"
                cell = (place, name, family, proto)
                found[cell] = answers[number * times:(number + 1) * times]
        return found

    def becomes(self, wanted, places, *frontends, times=None, patience=None, **how):
        """Until exactly these answer in every cell: names of servers, or an error."""
        wanted = {wanted} if isinstance(wanted, str) else set(wanted)
        times = times or (1 if len(wanted) == 1 else TIMES)
        patience = patience or next((PATIENCE[one] for one in wanted if one in PATIENCE), 0.15)
        if how.get("protocols") == ("udp",):
            patience = min(patience, PATIENCE["timeout"])  # no datagram is sent again
        found = {}

        def there():
            nonlocal patience
            found.update(self.outcomes(places, frontends, times=times, timeout=patience, **how))
            if not wanted & set(PATIENCE):
                patience = min(2, patience * 2)  # before the change, nobody may have answered
            return all(set(outcomes) == wanted for outcomes in found.values())

        client.eventually(there, SOON)
        self.all_are(wanted, found)

    def all_are(self, wanted, found):
        if any(set(outcomes) != wanted for outcomes in found.values()):
            self.report()
        for (place, name, family, proto), outcomes in found.items():
            with self.subTest(client=place, frontend=name, family=family, proto=proto):
                self.assertEqual(set(outcomes), wanted)

    def refuses(self, places, *frontends, protocols=PROTOCOLS, **how):
        """
        Like becomes("refused"), but TCP over the network, which takes a second, is left to those
        tests that are about nothing else.
        """
        if "udp" in protocols:
            self.becomes("refused", places, *frontends, protocols=("udp",), **how)
        for place in [place for place in places if place.startswith("node") and "tcp" in protocols]:
            own = [frontend for frontend in frontends
                   if not frontend.is_node_port or frontend.enters.name == place]
            self.becomes("refused", (place,), *own, protocols=("tcp",), **how)

    def unserved(self, places, *frontends, **how):
        """Until nobody answers, in whatever way a client learns of it."""
        found = {}

        def there():
            found.update(self.outcomes(places, frontends, timeout=PATIENCE["timeout"], **how))
            return all(outcome in FAILURES for outcome, in found.values())

        if not client.eventually(there, SOON):
            self.report()
            self.fail(found)

    @staticmethod
    def soon(condition):
        return client.eventually(condition, SOON)

    def counters(self, *names):
        """Sums over both nodes."""
        every = [each.counters() for each in self.cluster.agents.values()]
        return {name: sum(counters.get(name, 0) for counters in every) for name in names}
