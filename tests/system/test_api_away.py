# SPDX-License-Identifier: Apache-2.0
"""The API server is away, comes back, forgets, changes its certificates; traffic goes on."""
import pathlib
import time
import unittest

from cluster import (apiproxy, apiserver, base, certificates, faults, kubeconfig, live, rest,
                     scene, services)

WEB = services.Offer("web", 141)
LATE = services.Offer("late", 142)
FIRST_PROXY_PORT = 7443
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount",
           "metadata": {"name": "weir", "namespace": "kube-system"}}


def setUpModule():
    base.require_root()


class Away(live.LiveScene):
    """Each agent reaches the server through a proxy of its own, which can be shut."""

    @classmethod
    def prepare_agents(cls):
        cls.proxies = []
        for number, agent in enumerate(cls.cluster.agents.values()):
            proxy = apiproxy.Proxy(cls.control, FIRST_PROXY_PORT + number).up()
            cls.addClassCleanup(proxy.close)
            agent.follow(cls.control.admin, proxy.url)
            cls.proxies.append(proxy)
        super().prepare_agents()

    def setUp(self):
        self.serve(WEB, "pod1b")
        for each in self.cluster.agents.values():
            if not each.running():
                each.start()
        self.becomes("pod1b", scene.INSIDE, WEB.cluster_ip)

    def reopen(self):
        for proxy in self.proxies:
            if proxy.server is None:
                proxy.up()

    def shut(self):
        self.addCleanup(self.reopen)
        for proxy in self.proxies:
            proxy.down()

    def test_servers_are_killed_under_churn(self):
        """Connections stay; what was changed before, between and after is there in the end."""
        self.start_load(WEB)
        self.back(WEB, "pod2b")
        self.control.server.stop()
        self.control.etcd.stop()
        time.sleep(0.5)
        for place in scene.EVERYWHERE:
            self.assertIsNone(self.cluster.ask(place, "tcp", WEB.cluster_ip.address[4], WEB.cluster_ip.port,
                                               timeout=1.0)["error"], place)
        self.control.start_etcd()
        self.control.start_server()
        self.control.wait_ready()
        for turn in range(4):
            self.back(WEB, ("pod1b", "pod2b")[turn % 2])
        self.back(WEB, "pod1b", "pod2b")
        self.same()
        self.becomes(("pod1b", "pod2b"), scene.INSIDE, WEB.cluster_ip)
        self.stop_load()

    def test_a_version_that_was_compacted(self):
        """The watch from there is answered by 410, and the whole is read again: deletes are found."""
        self.serve(LATE, "pod2b")
        self.becomes("pod2b", scene.INSIDE, LATE.cluster_ip)
        before = [len(proxy.asked) for proxy in self.proxies]
        self.addCleanup(self.control.reachable)
        self.control.cut_off()
        for proxy in self.proxies:
            proxy.cut_all()
        self.control.delete("service/late", "endpointslice/late-v6")
        self.back(WEB, "pod2b")
        self.control.compact()
        self.control.restart_server()  # it forgets what it held beside etcd
        self.becomes("pod1b", scene.INSIDE, WEB.cluster_ip)
        self.control.reachable()
        self.same()
        self.becomes("pod2b", scene.INSIDE, WEB.cluster_ip)
        self.unserved(scene.INSIDE, LATE.cluster_ip)
        for proxy, count in zip(self.proxies, before):
            self.assertTrue(any(asked.gone for asked in proxy.asked[count:]), "no watch was answered by 410")

    def test_no_view_and_half_a_view_are_none(self):
        """
        Agents start without a server, then one of the two lists is not answered: nothing is
        programmed. With tables from before, as node1 has them, traffic goes on.
        """
        node1, node2 = self.cluster.agents.values()
        for each in (node1, node2):
            each.stop()
        node2.weir("cleanup")
        self.shut()
        for each in (node1, node2):
            each.start()
        time.sleep(2)
        self.nothing_is_programmed(node1, node2)
        gates = [faults.Gate(proxy) for proxy in self.proxies]
        held = [proxy.inject(gate, resource, times=1000) for proxy, gate, resource in
                zip(self.proxies, gates, ("services", "endpointslices"))]
        self.reopen()
        for rule in held:
            rule.wait()
        time.sleep(1)  # for the other list, and what an agent might make of it
        self.nothing_is_programmed(node1, node2)
        for proxy, gate in zip(self.proxies, gates):
            proxy.clear()
            gate.open()
        self.same()
        self.becomes("pod1b", scene.EVERYWHERE, WEB.cluster_ip)

    def nothing_is_programmed(self, node1, node2):
        self.assertTrue(node1.running() and node2.running())
        self.becomes("pod1b", ("pod1a", "node1"), WEB.cluster_ip)
        self.assertTrue(self.unprogrammed(node2))
        self.unserved(("pod2a", "node2"), WEB.cluster_ip, protocols=("tcp",))


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
        self.addCleanup(self.control.reachable)
        self.control.cut_off()
        self.control.server.stop()
        self.control.trust(certificates.Authority(self.control.directory, "ca2"))
        certificates.signing_key(self.control.directory / "accounts.key")
        self.control.start_server()
        self.control.wait_ready()
        self.refused(self.control.authority.certificate("ca2"), old_token)
        self.control.reachable()
        self.back(WEB, "pod2b")
        time.sleep(1)
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
