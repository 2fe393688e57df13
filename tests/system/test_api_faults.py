# SPDX-License-Identifier: Apache-2.0
"""
What can go wrong between agent and API server: several agents, each with faults of its own, and all are
made at once. After each, the tables hold what the API's objects mean, and go on following them.
"""
import itertools
import unittest

from cluster import base, client, faults, live, manifests, services, solo, truth

PROGRAMMED_TIMEOUT = 60  # so many agents start at the same time
OFFERS = [services.Offer(f"offer-{number}", 150 + number) for number in range(4)]
CREATED, REMOVED = OFFERS[2], OFFERS[3]  # while the agents watch
PEAK = 48 << 20  # bytes more than an agent that meets no object of twice that size

# (fault, resource, requests that meet it); of the agents' first lists.
LISTS = (
    (faults.cut_list(announced=True), "services", 1),
    (faults.cut_list(announced=False), "endpointslices", 1),
    (faults.list_half_valid, "services", 1),
    (faults.too_many, None, 2),
    (faults.refuse(500), "endpointslices", 1),
    (faults.refuse(403, "Forbidden"), "services", 1),
    (faults.garbage, "services", 1),
    (faults.empty, "endpointslices", 1),
    (faults.gone, "services", 1),
    (faults.reset, None, 2),
    (faults.drip, None, 3),
    (faults.after(1.5), "services", 1),
    (faults.after(1.5), "endpointslices", 1),
    (faults.bloated(faults.long_string), "services", 1),
    (faults.bloated(faults.many_fields), "endpointslices", 1),
)
WATCHES = (
    (faults.cut_event, "services", 1),
    (faults.cut_event, "endpointslices", 1),
    (faults.event_then_end, "services", 1),
    (faults.half_closed, "endpointslices", 1),
    (faults.garbage_event, "services", 1),
    (faults.gone_event, "endpointslices", 1),
    (faults.error_event, "services", 1),
    (faults.gone, "services", 1),
    (faults.too_many, "endpointslices", 1),
    (faults.refuse(500), "services", 1),
    (faults.empty, "endpointslices", 1),
    (faults.silent, "services", 1),
    (faults.twice, None, 3),
    (faults.among_strangers, None, 3),
    (faults.in_pieces, None, 3),
    (faults.drip, None, 3),
    (faults.late(0.3), "services", 1),
    (faults.late(0.3), "endpointslices", 1),
    (faults.bloated(faults.long_string), "services", 1),
    (faults.bloated(faults.many_fields), "endpointslices", 1),
)
PLAIN = faults.half_closed  # needs a connection without TLS


def groups(table):
    """What one agent can meet: a fault of services and one of slices, which know nothing of each other."""
    of = {resource: [row for row in table if row[1] == resource]
          for resource in ("services", "endpointslices", None)}
    pairs = itertools.zip_longest(of["services"], of["endpointslices"])
    return [*([row for row in pair if row] for pair in pairs), *([row] for row in of[None])]


def setUpModule():
    base.require_root()


class Faults(live.LiveScene):
    """Each agent meets faults of both tables, and one agent none."""

    @classmethod
    def prepare(cls):
        cls.control = cls.cluster.add_control()
        cls.cluster.agents.clear()  # no traffic here
        for offer in (*OFFERS[:2], REMOVED):
            cls.create(offer)
        rows = itertools.zip_longest(groups(LISTS), groups(WATCHES), fillvalue=())
        cls.followers = [cls.follower(number, lists, watches)
                         for number, (lists, watches) in enumerate(rows)]
        cls.quiet = cls.follower(len(cls.followers))

    @classmethod
    def create(cls, offer):
        cls.control.apply(offer.manifest(), *cls.slices(offer, "pod1b", "pod2b"))

    @classmethod
    def follower(cls, number, lists=(), watches=()):
        node = solo.Solo(number)
        solo.build(cls.cluster, node)
        cls.control.api.create(manifests.node(node, "ab"[number % 2]))
        plain = any(fault is PLAIN for fault, _, _ in watches)
        made = solo.Follower(cls.cluster, node, tls=not plain)
        cls.addClassCleanup(made.close)
        made.rules = [made.proxy.inject(fault, resource, kind, times)
                      for kind, rows in (("list", lists), ("watch", watches))
                      for fault, resource, times in rows]
        return made

    @staticmethod
    def titles(follower):
        return {f"{rule.kind} of {rule.resource or 'all'}": rule.fault.__name__
                for rule in follower.rules}

    def all_same(self, when, question=truth.programmed):
        """Of every agent; who differs says so, with its faults. question: of truth.py, what to compare."""
        wanted = {each: self.truth(each.node.name) for each in self.everybody}
        if question is truth.programmed_outline:
            wanted = {each: truth.outline(tables) for each, tables in wanted.items()}
        late = set(self.everybody)

        def there():
            late.difference_update([each for each in late
                                    if live.programmed(each, question) == wanted[each]])
            return not late
        client.eventually(there, PROGRAMMED_TIMEOUT, 0.5)
        for each in late:
            with self.subTest(when=when, **self.titles(each)):
                self.assertEqual(live.programmed(each, question), wanted[each], base.tail(each.log()))
        self.assertFalse(late)

    def report(self):
        """Said already; the others have nothing to tell."""

    @property
    def everybody(self):
        return [*self.followers, self.quiet]

    def met(self, kind):
        for each in self.followers:
            with self.subTest(**self.titles(each)):
                self.assertTrue(each.running(), base.tail(each.log()))
                for rule in each.rules:
                    if rule.kind == kind:
                        self.assertGreaterEqual(rule.count, 1, f"no {kind} has met its fault")

    def memory(self):
        """What no server would send is read past and not kept."""
        usual = self.quiet.peak_memory()
        for each in self.followers:
            if any(rule.fault.__name__ == "bloated" for rule in each.rules):
                with self.subTest(**self.titles(each)):
                    self.assertLess(each.peak_memory(), usual + PEAK)

    def change_all(self):
        """An object of each kind is made, changed and deleted."""
        self.create(CREATED)
        self.control.delete(f"service/{REMOVED.name}", f"endpointslice/{REMOVED.name}-v4")
        self.back(OFFERS[0], "pod2b")
        self.kubectl("label", "node", "--all", "--overwrite", "turn=1")

    def test_the_tables_equal_the_truth(self):
        for each in self.everybody:
            each.start()
        self.all_same("started", truth.programmed_outline)  # the whole takes a call for each Service
        self.met("list")
        self.change_all()
        self.all_same("changed", truth.programmed_outline)
        self.met("watch")
        self.memory()
        self.back(OFFERS[1], "pod1b")
        self.all_same("changed again")


if __name__ == "__main__":
    unittest.main()
