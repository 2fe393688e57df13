# SPDX-License-Identifier: Apache-2.0
"""
The story that scripts/demo --kubernetes tells: the same as demo.py, with a real kube-apiserver, and
every object made by kubectl. Every claim is checked; the exit status is 0 only if all of them held.
"""
import json
import sys
import time

from cluster import client, manifests, plan, rest
import demo

VIP = plan.LOAD_BALANCER_POOL[4].replace("0/24", "10")


class KubernetesDemo(demo.Demo):
    edited = "The Service is changed while everything runs"
    allocated = "both nodes have what the API server allocated"

    def __init__(self, page, running):
        super().__init__(page, running)
        self.control = None

    # ---- kubectl, as it is typed ----

    def kubectl(self, *arguments, stdin=None, said=None, lines=14):
        """said: the command to show, where it is not the one that is run."""
        output = self.control.kubectl(*arguments, stdin=stdin)
        self.page.table("kubectl " + (said or " ".join(arguments)), output, lines)

    def begin(self):
        self.page.prose("""An etcd and a kube-apiserver run beside the nodes. What is not here: kubelets
            and controllers. So the EndpointSlices are applied by hand as the controller would write
            them, and so is the load balancer's address, which is a cloud's to give.""")
        self.control = self.running.add_control()
        version = self.control.api.call("GET", "/version")["gitVersion"]
        self.page.claim(True, f"kube-apiserver {version} is ready at {self.control.url}")
        for node, zone in zip(plan.NODES, "ab"):
            object_ = manifests.node(node, zone)
            object_["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
            self.kubectl("create", "-f", "-", stdin=json.dumps(object_),
                         said=f"create -f {node.name}.json")

    def nodes(self):
        """They are there from the beginning; this shows what the agents will find."""
        self.kubectl("get", "nodes,services,endpointslices", "-o", "wide", lines=24)
        for each in self.running.agents.values():
            self.page.say(f"   $ weir run --kubeconfig {self.control.admin.name} ...        "
                          f"# on {each.node.name}")

    def publish(self, *web):
        """Endpoints of all three Services, as the EndpointSlice controller would write them."""
        pods = [self.running.pods[name] for name in web]
        endpoints = [{"addresses": [pod.address(4)], "nodeName": pod.node.name,
                      "conditions": {"ready": True}} for pod in pods]
        slices = [manifests.endpoint_slice(name, 4, [("", "TCP", 8000)], endpoints)
                  for name in demo.EXAMPLE_NAMES]
        document = {"apiVersion": "v1", "kind": "List", "items": slices}
        self.kubectl("apply", "--validate=false", "-f", "-", stdin=json.dumps(document),
                     said=f"apply -f endpointslices.json        # ready: {' '.join(web)}")

    def example(self, name, edit=lambda text: text):
        file = next(demo.EXAMPLES.glob(f"{name}-*.yaml"))
        self.kubectl("apply", "-f", "-", stdin=edit(file.read_text(encoding="utf-8")),
                     said=f"apply -f {file.name}")
        if name == "svc-3":
            self.give_address(name)

    def give_address(self, name):
        service = json.loads(self.control.kubectl("get", "service", name, "-o", "json"))
        service["status"] = {"loadBalancer": {"ingress": [{"ip": VIP}]}}
        path = rest.path_of(service) + "/status"
        self.control.kubectl("replace", "--raw", path, "-f", "-", stdin=json.dumps(service))
        self.page.table(f"kubectl replace --raw {path} -f svc-3-status.json",
                        f"status.loadBalancer.ingress: {VIP}")

    # ---- one more chapter ----

    def without_a_server(self):
        self.page.chapter("The API server is killed, with SIGKILL, and comes back")
        self.start_load()
        self.page.say(f"   kill -9 {self.control.server.process.pid}        # kube-apiserver")
        self.control.server.stop()
        time.sleep(1)
        self.answers("pod1a", "svc-1", *self.frontend("svc-1", "ClusterIP"),
                     ["pod1b", "pod2b", "pod2c"], times=40)
        self.control.start_server()
        self.control.wait_ready()
        self.page.say("   it is started again; a pod is taken out")
        self.publish("pod1b", "pod2b")
        gone = self.running.pods["pod2c"].address(4)
        left = client.eventually(lambda: all(gone not in each.endpoints("default/svc-1")
                                             for each in self.running.agents.values()), 30)
        self.page.claim(left, "both agents have found back to it, and know")
        self.stop_load()
        self.publish("pod1b", "pod2b", "pod2c")
        client.eventually(lambda: gone in self.node1.endpoints("default/svc-1"), 30)

    def chapters(self):
        *story, kill, clean = super().chapters()
        return (*story, self.without_a_server, kill, clean)


if __name__ == "__main__":
    sys.exit(demo.main(KubernetesDemo, __doc__))
