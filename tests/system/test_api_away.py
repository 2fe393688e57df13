# SPDX-License-Identifier: Apache-2.0
"""The API server is away, comes back, forgets, changes its certificates; traffic goes on."""
import pathlib
import time
import unittest

from cluster import (apiproxy, apiserver, base, certificates, faults, kubeconfig, live, rest,
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

    def test_servers_are_killed_under_churn(self):
        """Connections stay; what was changed before, between and after is there in the end."""
        self.start_load(WEB)
        for turn in range(6):
            if turn == 1:
                self.kill()
            if turn == 3:
                self.same()
                self.kill(etcd=True)
            self.back(WEB, ("pod1b", "pod2b")[turn % 2])
        self.back(WEB, "pod1b", "pod2b")
        self.same()
        self.becomes(("pod1b", "pod2b"), scene.INSIDE, WEB.cluster_ip)
        self.stop_load()

    def kill(self, etcd=False):
        self.control.server.stop()
        if etcd:
            self.control.etcd.stop()
            self.becomes(("pod1b",), scene.EVERYWHERE, WEB.cluster_ip)
            self.control.start_etcd()
        self.control.start_server()
        self.control.wait_ready()

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
        self.same()
        self.becomes("pod2b", scene.INSIDE, WEB.cluster_ip)
        self.unserved(scene.INSIDE, LATE.cluster_ip)
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
        self.same()
        self.becomes("pod1b", scene.EVERYWHERE, WEB.cluster_ip)

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
        cls.renew_certificates()
        kubeconfig.replace(cls.files / "token", cls.control.token("weir"))
        users = {"node1": {"tokenFile": "token"},
                 "node2": {"client-certificate": "client.crt", "client-key": "client.key"}}
        for name, user in users.items():
            config = cls.files / f"{name}.conf"
            kubeconfig.write(config, cls.control.url, "ca.crt", **user)  # beside the kubeconfig
            cls.cluster.agents[name].follow(config)
        super().prepare_agents()

    @classmethod
    def renew_certificates(cls):
        """What the agents have of the server's present authority."""
        authority = cls.control.authority
        authority.issue("client", "/O=system:masters/CN=weir", "clientAuth")
        for name, source in (("client.key", authority.key("client")),
                             ("client.crt", authority.certificate("client")),
                             ("ca.crt", authority.certificate(authority.name))):
            kubeconfig.replace(cls.files / name, pathlib.Path(source).read_text(encoding="utf-8"))

    def test_authority_certificates_and_token_change(self):
        node1, node2 = self.cluster.agents.values()
        self.serve(WEB, "pod1b")
        self.becomes("pod1b", scene.INSIDE, WEB.cluster_ip)
        old_token = (self.files / "token").read_text(encoding="utf-8")
        self.control.server.stop()
        self.control.trust(certificates.Authority(self.control.directory, "ca2"))
        certificates.signing_key(self.control.directory / "accounts.key")
        self.control.start_server()
        self.control.wait_ready()
        self.refused(self.control.authority.certificate("ca2"), old_token)
        self.back(WEB, "pod2b")
        self.becomes("pod1b", scene.INSIDE, WEB.cluster_ip)  # no server is trusted by the files of before
        self.renew_certificates()
        self.same(node2)
        self.becomes("pod2b", ("pod2a", "node2"), WEB.cluster_ip)
        self.becomes("pod1b", ("pod1a", "node1"), WEB.cluster_ip)  # 401
        kubeconfig.replace(self.files / "token", self.control.token("weir"))
        self.same(node1)
        self.becomes("pod2b", scene.EVERYWHERE, WEB.cluster_ip)

    def refused(self, authority, token):
        place = (apiserver.ADDRESS[4], apiserver.PORT)
        server = rest.Client(self.control.namespace, place, authority, token=token)
        self.addCleanup(server.close)
        with self.assertRaises(rest.Refused) as caught:
            server.call("GET", "/api/v1/services")
        self.assertEqual(caught.exception.code, 401)


if __name__ == "__main__":
    unittest.main()
