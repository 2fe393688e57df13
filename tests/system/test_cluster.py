# SPDX-License-Identifier: Apache-2.0
"""The cluster by itself, without weir: every pair of places reaches one another, with real addresses."""
import unittest

from cluster import base, cluster, plan


def setUpModule():
    base.require_root()


class Plain(base.ClusterCase):
    weir = False

    def direct(self, source, target):
        for family in plan.FAMILIES:
            for proto in ("tcp", "udp"):
                with self.subTest(source=source, target=target.name, family=family, proto=proto):
                    answer = self.cluster.ask(source, proto, target.address(family), cluster.SERVER_PORT)
                    self.assertEqual((answer["error"], answer["pod"]), (None, target.name))
                    if source != "client":
                        self.assertEqual(answer["peer"], self.cluster.pods[source].address(family))

    def test_pods_reach_pods(self):
        for source in plan.PODS:
            for target in plan.PODS:
                self.direct(source.name, target)

    def test_client_reaches_pods_only_by_routes(self):
        for target in plan.PODS if self.cluster.variant.join == "routes" else ():
            self.direct("client", target)

    def test_checks_are_quiet(self):
        for source in self.cluster.pods.values():
            self.direct(source.name, plan.PODS[0])
        self.assertEqual(self.cluster.dropped(), {})

    def test_bulk(self):
        for family in plan.FAMILIES:
            done = self.cluster.workers["pod1a"].call(
                "bulk", address=self.cluster.pods["pod2b"].address(family),
                port=cluster.SERVER_PORT, size=50_000_000, direction="up", within=30)
            self.assertIsNone(done["error"], done)

    def test_nobody_answers_at_service_addresses(self):
        for address in ("10.96.0.9", "fd00:96::9", "203.0.113.9", "192.0.2.9"):
            answer = self.cluster.ask("client", "tcp", address, 80, timeout=0.5)
            self.assertIn(answer["error"], ("unreachable", "timeout"))


if __name__ == "__main__":
    unittest.main()
