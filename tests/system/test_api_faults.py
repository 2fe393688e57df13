# SPDX-License-Identifier: Apache-2.0
"""
What can go wrong between agent and API server. Each fault has an agent of its own, and all are made
at once; after each, the tables hold what the API's objects mean, and go on following them.
"""
import unittest

from cluster import base, client, faults, live, manifests, services, solo

PROGRAMMED_TIMEOUT = 60  # so many agents start at the same time
OFFERS = [services.Offer(f"offer-{number}", 150 + number) for number in range(4)]
CREATED, REMOVED = OFFERS[2], OFFERS[3]  # while the agents watch
PEAK = 48 << 20  # bytes more than an agent without the object that is twice as large

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


def setUpModule():
    base.require_root()


def name_of(fault, resource):
    return f"{fault.__name__}: {resource or 'all'}"


class Faults(live.LiveScene):
    kind = None  # of the requests that meet the faults
    table = ()

    @classmethod
    def prepare(cls):
        cls.control = cls.cluster.add_control()
        cls.cluster.agents.clear()  # no traffic here
        for offer in OFFERS[:2]:
            cls.create(offer)
        cls.create(REMOVED)
        cls.followers = [cls.follower(number, *row) for number, row in enumerate(cls.table)]
        cls.quiet = cls.follower(len(cls.table))

    @classmethod
    def create(cls, offer):
        cls.control.apply(offer.manifest(), *cls.slices(offer, "pod1b", "pod2b"))

    @classmethod
    def follower(cls, number, fault=None, resource=None, times=0):
        node = solo.Solo(number)
        solo.build(cls.cluster, node)
        cls.control.api.create(manifests.node(node, "ab"[number % 2]))
        made = solo.Follower(cls.cluster, node, tls=fault is not PLAIN)
        cls.addClassCleanup(made.close)
        made.rule = None
        if fault:
            made.rule = made.proxy.inject(fault, resource, cls.kind, times)
        made.title = name_of(fault, resource) if fault else "none"
        return made

    def all_same(self, when):
        """Of every agent, with the fault named."""
        wanted = {each: self.truth(each.node.name) for each in self.everybody}
        late = set(self.everybody)

        def there():
            late.difference_update([each for each in late if live.holds(each, wanted[each])])
            return not late
        client.eventually(there, PROGRAMMED_TIMEOUT, 0.1)
        for each in late:
            with self.subTest(fault=each.title, when=when):
                self.assertEqual(live.programmed(each), wanted[each], base.tail(each.log()))
        self.assertFalse(late)

    def report(self):
        """Who differs says so, with the fault and the log; the others have nothing to tell."""

    @property
    def everybody(self):
        return [*self.followers, self.quiet]

    def start_all(self):
        for each in self.everybody:
            each.start()
        self.all_same("started")

    def change_all(self):
        """An object of each kind is made, changed and deleted."""
        self.create(CREATED)
        self.control.delete(f"service/{REMOVED.name}", f"endpointslice/{REMOVED.name}-v4")
        self.back(OFFERS[0], "pod2b")
        self.kubectl("label", "node", "--all", "--overwrite", "turn=1")
        self.all_same("changed")

    def met(self):
        for each in self.followers:
            with self.subTest(fault=each.title):
                self.assertTrue(each.running(), base.tail(each.log()))
                self.assertGreaterEqual(each.rule.count, 1, "nothing has met the fault")

    def memory(self):
        """What no server would send is read past and not kept."""
        usual = self.quiet.peak_memory()
        for each in self.followers:
            if each.rule.fault.__name__ == "bloated":
                with self.subTest(fault=each.title):
                    self.assertLess(each.peak_memory(), usual + PEAK)


class Lists(Faults):
    kind = "list"
    table = LISTS

    def test_the_tables_equal_the_truth(self):
        self.start_all()
        self.met()
        self.memory()
        self.change_all()


class Watches(Faults):
    kind = "watch"
    table = WATCHES

    def test_the_tables_equal_the_truth(self):
        self.start_all()
        self.change_all()
        self.met()
        self.memory()
        self.back(OFFERS[1], "pod1b")
        self.all_same("changed again")


if __name__ == "__main__":
    unittest.main()
