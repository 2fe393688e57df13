# SPDX-License-Identifier: Apache-2.0
"""The API server is away, comes back, forgets, changes its certificates; traffic goes on."""
import pathlib
import time
import unittest

from cluster import (apiproxy, apiserver, base, certificates, client, faults, kubeconfig, live, rest,
                     scene, services)

WEB = services.Offer("web", 141)
LATE = services.Offer("late", 142)
PROXY_PORT = 7443
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount",
           "metadata": {"name": "weir", "namespace": "kube-system"}}


def setUpModule():
    base.require_root()


class Away(live.LiveScene):
    """The agents reach the server through a proxy that can be shut."""

    @classmethod
    def prepare_agents(cls):
        cls.proxy = apiproxy.Proxy(cls.control, PROXY_PORT).up()
        cls.addClassCleanup(cls.proxy.close)
        for agent in cls.cluster.agents.values():
            agent.follow(cls.control.admin, cls.proxy.url)
        super().prepare_agents()

    def setUp(self):
        self.serve(WEB, "pod1b")
        for each in self.cluster.agents.values():
            if not each.running():
                each.start()
        self.becomes("pod1b", scene.INSIDE, WEB.cluster_ip)

    def reopen(self):
        if self.proxy.server is None:
            self.proxy.up()

    def shut(self):
        self.addCleanup(self.reopen)
        self.proxy.down()

    def test_the_server_is_killed_under_churn(self):
        """Connections stay, changes from before are there after, and those that it took in between."""
        self.start_load(WEB)
        for turn in range(6):
            if turn % 3 == 1:
                self.control.server.stop()
                self.control.start_server()
                self.control.wait_ready()
            self.back(WEB, ("pod1b", "pod2b")[turn % 2])
        self.back(WEB, "pod1b", "pod2b")
        self.same()
        self.becomes(("pod1b", "pod2b"), scene.INSIDE, WEB.cluster_ip)
        self.stop_load()

    def test_etcd_and_the_server_are_killed(self):
        self.start_load(WEB)
        self.control.server.stop()
        self.control.etcd.stop()
        time.sleep(1)
        self.becomes("pod1b", scene.EVERYWHERE, WEB.cluster_ip)
        self.control.start_etcd()
        self.control.start_server()
        self.control.wait_ready()
        self.back(WEB, "pod2b")
        self.same()
        self.stop_load()

    def test_a_version_that_was_compacted(self):
        """The watch from there is answered by 410, and the whole is read again: deletes are found."""
        self.serve(LATE, "pod2b")
        self.becomes("pod2b", scene.INSIDE, LATE.cluster_ip)
        before = len(self.proxy.asked)
        self.shut()
        self.control.delete("service/late", "endpointslice/late-v6")
        self.back(WEB, "pod2b")
        self.control.compact()
        self.control.restart_server()  # it forgets what it held beside etcd
        self.becomes("pod1b", scene.INSIDE, WEB.cluster_ip)
        self.reopen()
        self.becomes("pod2b", scene.INSIDE, WEB.cluster_ip)
        self.unserved(scene.INSIDE, LATE.cluster_ip)
        self.same()
        answered = [each for each in self.proxy.asked[before:] if each.gone]
        self.assertTrue(answered, "no watch was answered by 410")

    def test_an_agent_that_starts_without_a_server(self):
        """With tables from before, traffic goes on; without, nothing is programmed."""
        node1, node2 = self.cluster.agents.values()
        for each in (node1, node2):
            each.stop()
        node2.weir("cleanup")
        self.shut()
        for each in (node1, node2):
            each.start()
        time.sleep(3)
        self.assertTrue(node1.running() and node2.running())
        self.becomes("pod1b", ("pod1a", "node1"), WEB.cluster_ip)
        self.assertTrue(self.unprogrammed(node2))
        self.unserved(("pod2a", "node2"), WEB.cluster_ip, protocols=("tcp",))
        self.reopen()
        self.becomes("pod1b", scene.EVERYWHERE, WEB.cluster_ip)
        self.same()

    def test_half_a_view_is_none(self):
        """One of the lists is not there yet: nothing is programmed, and tables from before stay."""
        node1, node2 = self.cluster.agents.values()
        for resource in ("services", "endpointslices"):
            with self.subTest(held=resource):
                for each in (node1, node2):
                    each.stop()
                node2.weir("cleanup")
                gate = faults.Gate(self.proxy)
                held = self.proxy.inject(gate, resource, times=1000)
                self.addCleanup(self.proxy.clear)
                for each in (node1, node2):
                    each.start()
                held.wait(2)
                time.sleep(1)
                self.becomes("pod1b", ("pod1a", "node1"), WEB.cluster_ip)
                self.assertTrue(self.unprogrammed(node2))
                self.proxy.clear()
                gate.open()
                self.same()
                self.becomes("pod1b", scene.INSIDE, WEB.cluster_ip)


class Rotation(live.LiveScene):
    """node1 shows a token from a file, node2 a certificate; the authority is in a file of its own."""

    @classmethod
    def prepare_agents(cls):
        cls.files = cls.control.directory / "agents"
        cls.files.mkdir()
        cls.control.api.create(ACCOUNT)
        cls.renew()
        users = {"node1": {"tokenFile": "token"},
                 "node2": {"client-certificate": "client.crt", "client-key": "client.key"}}
        for name, user in users.items():
            config = cls.files / f"{name}.conf"
            kubeconfig.write(config, cls.control.url, "ca.crt", **user)  # beside the kubeconfig
            cls.cluster.agents[name].follow(config)
        super().prepare_agents()

    @classmethod
    def renew(cls):
        """What the agents have of the server's present authority."""
        authority = cls.control.authority
        authority.issue("client", "/O=system:masters/CN=weir", "clientAuth")
        for name, source in (("client.key", authority.key("client")),
                             ("client.crt", authority.certificate("client")),
                             ("ca.crt", authority.certificate(authority.name))):
            kubeconfig.replace(cls.files / name, pathlib.Path(source).read_text(encoding="utf-8"))
        kubeconfig.replace(cls.files / "token", cls.control.token("weir"))

    def test_authority_certificates_and_token_change(self):
        self.serve(WEB, "pod1b")
        self.becomes("pod1b", scene.INSIDE, WEB.cluster_ip)
        old_token = (self.files / "token").read_text()
        self.control.server.stop()
        self.control.trust(certificates.Authority(self.control.directory, "ca2"))
        certificates.signing_key(self.control.directory / "accounts.key")
        self.control.start_server()
        self.control.wait_ready()
        self.refused(str(self.control.authority.certificate("ca2")), old_token)
        self.back(WEB, "pod2b")
        time.sleep(1)
        self.becomes("pod1b", scene.INSIDE, WEB.cluster_ip)  # with the files of before, no server is trusted
        self.renew()
        self.same()
        self.becomes("pod2b", scene.INSIDE, WEB.cluster_ip)

    def refused(self, authority, token):
        place = (apiserver.ADDRESS[4], apiserver.PORT)
        server = rest.Client(self.control.namespace, place, authority, token=token)
        self.addCleanup(server.close)
        with self.assertRaises(rest.Refused) as caught:
            server.call("GET", "/api/v1/services")
        self.assertEqual(caught.exception.code, 401)

    def test_a_token_that_ends(self):
        """Its Secret is deleted: the server answers 401 until the file holds another."""
        secret = {"apiVersion": "v1", "kind": "Secret",
                  "metadata": {"name": "bound", "namespace": "kube-system"}}
        self.control.api.create(secret)
        node1 = self.cluster.agents["node1"]
        node1.stop()
        kubeconfig.replace(self.files / "token", self.control.token("weir", bound_to="bound"))
        self.serve(WEB, "pod1b")
        node1.start()
        self.same(node1)
        self.kubectl("delete", "secret", "bound", "-n", "kube-system")
        self.control.restart_server()  # which remembers for ten seconds whom it knows
        kubeconfig.replace(self.files / "token", self.control.token("weir"))
        self.back(WEB, "pod2b")
        self.assertTrue(client.eventually(lambda: "pod2b" in self.outcome(), 30), node1.log())
        self.same()

    def outcome(self):
        found = self.outcomes(("pod1a",), [WEB.cluster_ip], timeout=0.3)
        return {answer for answers in found.values() for answer in answers}


if __name__ == "__main__":
    unittest.main()
