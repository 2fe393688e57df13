# SPDX-License-Identifier: Apache-2.0
"""What load balancers and kubelets ask a node: health check node ports, /healthz, /livez."""
import datetime
import unittest

from cluster import base, client, conformance, manifests, plan, services

NODE1, NODE2 = plan.NODES
WEB = services.Offer("web", 51)
HEALTH_PORT = 31999
HEALTHZ = 10256
AUTOSCALER = {"key": "ToBeDeletedByClusterAutoscaler", "value": "1767225600", "effect": "NoSchedule"}


def setUpModule():
    base.require_root()


class Health(base.ClusterCase):
    @classmethod
    def prepare(cls):
        services.publish_nodes(cls.cluster)
        services.publish_pods(cls.cluster, web=["pod1b"])
        cls.publish_web()
        for node in plan.NODES:
            cls.cluster.add_worker(node.name)
        cls.cluster.start_agents()
        cls.cluster.wait_serving("web")

    @classmethod
    def publish_web(cls, **spec):
        services.publish(cls.cluster, WEB, **{"externalTrafficPolicy": "Local",
                                              "healthCheckNodePort": HEALTH_PORT} | spec)

    def fetch(self, node, port=HEALTH_PORT, path="/", family=4, **more):
        return self.cluster.workers["client"].call(
            "fetch", address=node.address(family), port=port, path=path, **more)

    def becomes(self, wanted, node, **question):
        """Waits for this status, or error."""
        seen = []

        def there():
            answer = self.fetch(node, **question)
            seen.append(answer["error"] or answer["status"])
            return seen[-1] == wanted

        self.assertTrue(client.eventually(there), f"{node.name} {question}: {wanted}; {seen[-3:]}")

    def answers(self, node, status, count, **question):
        self.becomes(status, node, **question)
        for family in plan.FAMILIES:
            answer = self.fetch(node, family=family, path="/any/path", **question)
            with self.subTest(node=node.name, family=family):
                self.assertEqual(answer["status"], status)
                self.assertEqual(answer["body"], {
                    "service": {"namespace": "default", "name": "web"},
                    "localEndpoints": count, "serviceProxyHealthy": True})
                headers = answer["headers"]
                self.assertEqual(headers["content-type"], "application/json")
                self.assertEqual(headers["x-content-type-options"], "nosniff")
                self.assertEqual(headers["x-load-balancing-endpoint-weight"], str(count))

    def serves(self, node, pod):
        answer = self.cluster.ask("client", "tcp", node.address(4), WEB.node_port)
        self.assertEqual(answer["pod"], pod)

    @conformance.rows("3.2/esipp-health-check")
    @conformance.rows("1.2/health-check-answer")
    def test_only_the_node_with_an_endpoint_is_healthy(self):
        self.answers(NODE1, 200, 1)
        self.answers(NODE2, 503, 0)
        services.publish_pods(self.cluster, web=["pod1b", "pod2b"])
        self.answers(NODE2, 200, 1)
        services.publish_pods(self.cluster, web=["pod2b"])
        self.answers(NODE1, 503, 0)
        services.publish_pods(self.cluster, web=["pod1b"])
        self.answers(NODE1, 200, 1)
        self.answers(NODE2, 503, 0)

    @conformance.rows("3.1/37")
    @conformance.rows("1.2/health-check-terminating")
    def test_terminating_endpoints_serve_and_do_not_count(self):
        pods = services.pod_objects(self.cluster, pod1b=WEB.selector)
        for pod in pods:
            if pod["metadata"]["name"] == "pod1b":
                pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        self.cluster.manifests.put("pods", *pods)
        self.answers(NODE1, 503, 0)
        self.serves(NODE1, "pod1b")
        services.publish_pods(self.cluster, web=["pod1b"])
        self.answers(NODE1, 200, 1)

    @conformance.rows("1.2/health-check", "1.2/health-check-port-change")
    def test_the_port_changes_goes_and_comes_while_running(self):
        self.publish_web(healthCheckNodePort=31998)
        self.answers(NODE1, 200, 1, port=31998)
        self.answers(NODE2, 503, 0, port=31998)
        self.becomes("refused", NODE1)
        self.publish_web(externalTrafficPolicy="Cluster", healthCheckNodePort=0)
        for node in plan.NODES:
            self.becomes("refused", node, port=31998)
            self.becomes("refused", node)
        self.publish_web()
        self.answers(NODE1, 200, 1)
        self.cluster.manifests.remove("web.json")
        self.becomes("refused", NODE1)
        self.publish_web()
        self.answers(NODE1, 200, 1)

    def test_a_bad_port_is_said_and_the_last_good_one_stays(self):
        self.answers(NODE1, 200, 1)
        self.publish_web(healthCheckNodePort=80)
        said = "spec.healthCheckNodePort: expected a number from 30000 to 32767, got 80"
        for each in self.cluster.agents.values():
            each.wait_until(lambda: said in each.log(), "line about the port")
        self.answers(NODE1, 200, 1)
        self.publish_web()

    def check_proxy(self, node, path, status, eligible):
        self.becomes(status, node, port=HEALTHZ, path=path)
        answer = self.fetch(node, port=HEALTHZ, path=path, family=6)
        self.assertEqual(answer["status"], status)
        body = answer["body"]
        self.assertEqual(body.get("nodeEligible"), eligible)
        self.assertTrue(body["healthy"])
        now = datetime.datetime.now(datetime.timezone.utc)
        for field in ("currentTime", "lastUpdated"):
            date = datetime.datetime.strptime(body[field], "%Y-%m-%dT%H:%M:%S.%f%z")
            if field == "currentTime" or status == 200:
                self.assertLess(abs((now - date).total_seconds()), 5, field)

    @conformance.rows("1.2/health-check-node")
    def test_healthz_and_livez(self):
        for node in plan.NODES:
            self.check_proxy(node, "/healthz", 200, True)
            self.check_proxy(node, "/livez", 200, None)
            self.assertEqual(self.fetch(node, port=HEALTHZ, path="/metrics")["status"], 404)
        going = [{"spec": {"taints": [AUTOSCALER]}}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}]
        for change in going:
            node = manifests.node(NODE1)
            node.update(spec=change.get("spec", {}))
            node["metadata"].update({k: v for k, v in change.items() if k != "spec"})
            self.cluster.manifests.put("nodes", node, manifests.node(NODE2))
            self.check_proxy(NODE1, "/healthz", 503, False)
            self.check_proxy(NODE1, "/livez", 200, None)
            self.check_proxy(NODE2, "/healthz", 200, True)
            self.answers(NODE1, 200, 1)
            services.publish_nodes(self.cluster)
            self.check_proxy(NODE1, "/healthz", 200, True)

    def test_answers_while_a_large_sync_runs(self):
        many = [manifests.service(f"many-{number}", {"app": "web"},
                                  [(f"p{port}", "TCP", 1000 + port, 8000, None) for port in range(10)])
                for number in range(200)]
        worker = self.cluster.workers["client"]
        pending = [worker.start("fetch_for", seconds=3, address=NODE1.address(4), port=port, path=path)
                   for port, path in ((HEALTHZ, "/livez"), (HEALTH_PORT, "/"))]
        self.cluster.manifests.put("many", *many)
        for report in (one.result() for one in pending):
            print(f"measured: {report}")
            self.assertEqual(report["bad"], [])
            self.assertGreater(report["good"], 50)
            self.assertLess(report["slowest"], 1)
        self.cluster.wait_serving("many-199")
        self.cluster.manifests.remove("many.json")

    def test_the_agents_end_closes_the_ports_and_nothing_else(self):
        agent = self.cluster.agents["node1"]
        self.answers(NODE1, 200, 1)
        self.assertEqual(agent.stop(), 0)
        for port in (HEALTH_PORT, HEALTHZ):
            self.assertEqual(self.fetch(NODE1, port=port)["error"], "refused")
        self.answers(NODE2, 503, 0)
        self.serves(NODE1, "pod1b")
        agent.start()
        self.answers(NODE1, 200, 1)
        self.assertNotIn("Address already in use", agent.log())

    @conformance.rows("1.2/health-check-addresses")
    def test_addresses(self):
        agent, worker = self.cluster.agents["node1"], self.cluster.workers["node1"]

        def inside(port, path="/"):
            answer = worker.call("fetch", address="127.0.0.1", port=port, path=path)
            return answer["error"] or answer["status"]

        self.answers(NODE1, 200, 1)
        self.assertEqual(inside(HEALTH_PORT), 200)
        agent.stop()
        agent.start("--node-port-address", f"{NODE1.address(4)}/32", "--healthz-bind-address=")
        self.answers(NODE1, 200, 1)
        self.assertEqual(inside(HEALTH_PORT), "refused")
        self.assertEqual(inside(HEALTHZ, "/livez"), "refused")
        agent.stop()
        agent.start()
        self.becomes(200, NODE1, port=HEALTHZ, path="/livez")
        self.answers(NODE1, 200, 1)


if __name__ == "__main__":
    unittest.main()
