# SPDX-License-Identifier: Apache-2.0
"""As in a pod: the service account of deploy/, its token and no right more than what it uses."""
import json
import pathlib
import unittest

from cluster import agent, apiserver, base, client, kubeconfig, live, scene, services

DEPLOYED = ("serviceaccount.yaml", "rbac.yaml")
WEB = services.Offer("web", 161)
OTHER = services.Offer("other", 162)
# A mount namespace with the files where a pod has them; /run is the tests' own there.
AS_POD = """mount --make-rprivate / && mount -t tmpfs none /run &&
mkdir -p /run/secrets/kubernetes.io/serviceaccount &&
mount --bind "$0" /run/secrets/kubernetes.io/serviceaccount && exec "$@" """


def setUpModule():
    base.require_root()


class Rights(live.LiveScene):
    @classmethod
    def prepare(cls):
        directory = cls.cluster.directory
        policy = directory / "audit-policy.json"
        policy.write_text(json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy",
                                      "omitStages": ["RequestReceived"],
                                      "rules": [{"level": "Metadata"}]}), encoding="utf-8")
        cls.audit = directory / "audit.log"
        cls.flags = {"authorization_mode": "RBAC", "audit_policy_file": policy,
                     "audit_log_path": cls.audit}
        super().prepare()

    @classmethod
    def prepare_agents(cls):
        """Both use what a pod finds: the address from the environment, token and authority from files."""
        files = [word for name in DEPLOYED
                 for word in ("-f", str(agent.SOURCE / "deploy/kubernetes" / name))]
        cls.applied = json.loads(cls.control.kubectl("apply", *files, "-o", "json"))["items"]
        account = next(each for each in cls.applied if each["kind"] == "ServiceAccount")["metadata"]
        cls.user = f"system:serviceaccount:{account['namespace']}:{account['name']}"
        files = cls.write_account(account)
        for each in cls.cluster.agents.values():
            each.source = []
            each.environment |= {"KUBERNETES_SERVICE_HOST": apiserver.ADDRESS[4],
                                 "KUBERNETES_SERVICE_PORT": str(apiserver.PORT)}
            each.surroundings = ("unshare", "--mount", "sh", "-c", AS_POD, str(files))
            each.start()
        cls.cluster.wait_serving("kubernetes")

    @classmethod
    def write_account(cls, account):
        """The three files that a kubelet puts into a pod."""
        directory = cls.control.directory / "account"
        directory.mkdir()
        certificate = pathlib.Path(cls.control.authority.certificate())
        kubeconfig.replace(directory / "token", cls.control.token(account["name"], account["namespace"]))
        kubeconfig.replace(directory / "namespace", account["namespace"])
        kubeconfig.replace(directory / "ca.crt", certificate.read_text(encoding="utf-8"))
        return directory

    def asked(self):
        """{(verb, group, resource, subresource): codes} of what the account asked of the server."""
        found = {}
        for line in self.audit.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event["user"]["username"] == self.user:
                of = event.get("objectRef", {})
                what = (event["verb"], of.get("apiGroup", ""), of.get("resource"), of.get("subresource"))
                found.setdefault(what, set()).add(event.get("responseStatus", {}).get("code"))
        return found

    def granted(self, roles=None):
        """{(verb, group, resource, subresource)} of these, or of deploy/."""
        roles = roles or [each for each in self.applied if each["kind"] in ("ClusterRole", "Role")]
        return {(verb, group, *(resource.split("/") + [None])[:2])
                for role in roles for rule in role["rules"] for group in rule["apiGroups"]
                for resource in rule["resources"] for verb in rule["verbs"]}

    def test_rights_are_enough_and_no_more(self):
        self.serve(WEB, "pod1b")
        self.becomes("pod1b", scene.INSIDE, WEB.cluster_ip)
        self.same()
        # What a person must be told of, by an Event: an address that two Services want.
        self.serve(OTHER, "pod2b", externalIPs=list(WEB.external_ip.address.values()))
        self.kubectl("label", "node", "node1", "turn=1")
        self.assertTrue(client.eventually(lambda: any(
            what[0] == "create" and what[2] == "events" for what in self.asked()), 20), self.asked())
        self.assertEqual({what: codes for what, codes in self.asked().items()
                          if codes & {401, 403}}, {})
        self.assertEqual(set(self.asked()), self.granted())

    def test_the_credentials_of_kube_proxy_are_enough(self):
        """Upstream's role for it, which a node without pods has in kube-proxy's kubeconfig."""
        role = json.loads(self.control.kubectl("get", "clusterrole", "system:node-proxier", "-o", "json"))
        self.assertEqual(self.granted() - self.granted([role]), set())


if __name__ == "__main__":
    unittest.main()
