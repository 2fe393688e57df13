# SPDX-License-Identifier: Apache-2.0
"""
A real etcd and kube-apiserver, in a namespace of their own on the nodes' segment. The binaries are
made by scripts/kubernetes. Reached by nodes at ADDRESS; no cluster IP leads there.
"""
import json
import os
import pathlib
import signal
import subprocess
import time

from . import agent, certificates, kubeconfig, plan, rest, shell, topology

ADDRESS = {4: "10.90.0.2", 6: "fd90::2"}
PORT = 6443
SUBJECT_NAMES = f"IP:{ADDRESS[4]},IP:{ADDRESS[6]},IP:127.0.0.1,DNS:kubernetes"
ETCD = "http://127.0.0.1:2379"
ETCD_LIMIT = 4 << 30  # bytes; the bench's objects are more than what is usual
CRD = agent.SOURCE / "tests/data/kubernetes/endpointslice-v1-crd.yaml"
READY_TIMEOUT = 60  # it takes five seconds on a machine that does nothing else
PRIVILEGED = "/O=system:masters/CN=admin"

# 1.20 speaks discovery.k8s.io/v1beta1 alone; v1 comes as a custom resource of that very name.
FLAGS = {
    "etcd-servers": ETCD, "secure-port": PORT, "bind-address": "::", "advertise-address": ADDRESS[4],
    "endpoint-reconciler-type": "none", "runtime-config": "discovery.k8s.io/v1beta1=false",
    "feature-gates": "IPv6DualStack=true,MixedProtocolLBService=true",
    "service-cluster-ip-range": ",".join(plan.SERVICE_CIDR.values()),
    "disable-admission-plugins": "ServiceAccount,TaintNodesByCondition",
    "service-account-issuer": "https://kubernetes.default.svc", "allow-privileged": "true",
}


def binaries():
    """A failure where they are missing: a test that needs them must not pass without."""
    directory = pathlib.Path(os.environ.get("WEIR_KUBERNETES", agent.SOURCE / "build/kubernetes"))
    found = directory / "bin"
    missing = [name for name in ("kube-apiserver", "etcd", "etcdctl", "kubectl")
               if not (found / name).exists()]
    if missing:
        raise RuntimeError(f"{found} has no {', '.join(missing)}: run scripts/kubernetes")
    return found


class Daemon:
    """A process in the namespace, which goes when this one does."""

    def __init__(self, namespace, log_path):
        self.namespace = namespace
        self.log_path = log_path
        self.process = None

    def start(self, *command):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*shell.inside(self.namespace), "setpriv", "--pdeathsig", "KILL", *map(str, command)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self, how=signal.SIGKILL, timeout=20):
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout)
            self.process = None

    def running(self):
        return self.process is not None and self.process.poll() is None

    def tail(self, lines=15):
        text = self.log_path.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])


class Control:
    """
    up() starts both; admin is what kubectl() and the REST client use. flags: of kube-apiserver,
    over FLAGS, e.g. {"authorization-mode": "RBAC"}.
    """

    def __init__(self, running, **flags):
        self.running = running
        self.namespace = running.ns("control")
        self.directory = running.directory / "control"
        self.flags = FLAGS | {name.replace("_", "-"): value for name, value in flags.items()}
        self.binaries = binaries()
        self.etcd = Daemon(self.namespace, self.directory / "etcd.log")
        self.server = Daemon(self.namespace, self.directory / "kube-apiserver.log")
        self.client = None

    @property
    def url(self):
        return f"https://{ADDRESS[4]}:{PORT}"

    @property
    def admin(self):
        return self.directory / "admin.conf"

    def up(self):
        self.directory.mkdir(parents=True)
        self.build_network()
        certificates.signing_key(self.directory / "accounts.key")
        self.trust(certificates.Authority(self.directory))
        self.start_etcd()
        self.start_server()
        self.wait_ready()
        self.kubectl("apply", "-f", str(CRD), "--validate=false")
        self.wait(lambda: self.api.call("GET", "/apis/discovery.k8s.io/v1/endpointslices"),
                  "EndpointSlices")
        return self

    def build_network(self):
        topology.build_control(self.running.ns, ADDRESS)

    def down(self):
        self.forget_connection()
        self.server.stop()
        self.etcd.stop()

    # ---- certificates ----

    def trust(self, authority):
        """Certificates of the server and the administrator, new ones if there were some."""
        self.authority = authority
        authority.issue("server", "/CN=kube-apiserver", "serverAuth", SUBJECT_NAMES)
        authority.issue("admin", PRIVILEGED, "clientAuth")
        self.forget_connection()
        self.write_kubeconfig(self.admin, **self.certificate_of("admin"))

    def certificate_of(self, user):
        return {"client-certificate": self.authority.certificate(user),
                "client-key": self.authority.key(user)}

    def write_kubeconfig(self, path, server=None, **user):
        """user: fields of a kubeconfig's user, e.g. tokenFile."""
        kubeconfig.write(path, server or self.url,
                         self.authority.certificate(self.authority.name), **user)

    # ---- processes ----

    def start_etcd(self):
        self.etcd.start(self.binaries / "etcd", "--unsafe-no-fsync", "--data-dir",
                        self.directory / "etcd", "--listen-client-urls", ETCD,
                        "--advertise-client-urls", ETCD, "--listen-peer-urls", "http://127.0.0.1:2380",
                        "--quota-backend-bytes", ETCD_LIMIT, "--log-level", "warn")

    def start_server(self):
        authority, key = self.authority, self.directory / "accounts.key"
        files = {"tls-cert-file": authority.certificate("server"),
                 "tls-private-key-file": authority.key("server"),
                 "client-ca-file": authority.certificate(authority.name),
                 "service-account-key-file": key, "service-account-signing-key-file": key}
        self.server.start(self.binaries / "kube-apiserver", *(
            f"--{name}={value}" for name, value in (self.flags | files).items()))

    def restart_server(self):
        self.server.stop()
        self.start_server()
        self.wait_ready()

    def wait_ready(self):
        self.forget_connection()
        self.wait(lambda: self.api.call("GET", "/readyz"), "readiness")

    def wait(self, question, what):
        """Until it raises no more."""
        end = time.monotonic() + READY_TIMEOUT
        while True:
            try:
                return question()
            except (OSError, rest.Refused) as error:
                if time.monotonic() > end or not self.server.running():
                    raise TimeoutError(f"kube-apiserver: no {what}: {error}\n{self.etcd.tail()}\n"
                                       f"{self.server.tail()}") from error
            self.forget_connection()
            time.sleep(0.05)

    # ---- the API ----

    def forget_connection(self):
        if self.client is not None:
            self.client.close()
        self.client = None

    @property
    def api(self):
        """As the administrator, over a connection that stays."""
        if self.client is None:
            self.client = rest.Client(self.namespace, (ADDRESS[4], PORT),
                                      self.authority.certificate(self.authority.name),
                                      (self.authority.certificate("admin"), self.authority.key("admin")))
        return self.client

    def kubectl(self, *arguments, stdin=None, check=True, kubeconfig_file=None):
        return shell.run(*shell.inside(self.namespace), str(self.binaries / "kubectl"),
                         "--kubeconfig", str(kubeconfig_file or self.admin),
                         "--cache-dir", str(self.directory / "cache"), *arguments,
                         stdin=stdin, check=check, timeout=60)

    def apply(self, *objects):
        """By kubectl; the status of a Service, a subresource, by itself."""
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "--validate=false", "-f", "-", stdin=json.dumps(document))
        for each in objects:
            if each["kind"] == "Service" and "status" in each:
                self.put_status(each)

    def put_status(self, service):
        path = rest.path_of(service)
        self.api.call("PUT", path + "/status", self.api.call("GET", path) | {"status": service["status"]})

    def delete(self, *objects):
        self.kubectl("delete", "--wait=false", "--ignore-not-found", *objects)

    def objects(self, resource):
        """All of them, as kubectl tells."""
        return json.loads(self.kubectl("get", resource, "-A", "-o", "json"))["items"]

    # ---- what happens to a server ----

    def cut_off(self):
        """
        Nothing arrives from other machines until reachable(): who connects waits, and does so
        without a failure that would make it patient.
        """
        shell.nft(self.namespace, """
            table inet cut {
              chain input {
                type filter hook input priority 0
                iifname "eth0" meta l4proto tcp drop
              }
            }
            """)

    def reachable(self):
        shell.run(*shell.inside(self.namespace), "nft", "delete", "table", "inet", "cut", check=False)

    def compact(self):
        """Nothing that was before can be watched from any more."""
        etcdctl = (*shell.inside(self.namespace), "env", "ETCDCTL_API=3",
                   str(self.binaries / "etcdctl"), "--endpoints", ETCD)
        status = json.loads(shell.run(*etcdctl, "endpoint", "status", "-w", "json"))
        revision = status[0]["Status"]["header"]["revision"]
        shell.run(*etcdctl, "compact", str(revision))
        return revision

    def token(self, account, namespace="kube-system", bound_to=None):
        """By TokenRequest; it ends with the Secret that it is bound to."""
        spec = {"expirationSeconds": 3600}
        if bound_to:
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Secret", "name": bound_to}
        answer = self.api.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
        return answer["status"]["token"]
