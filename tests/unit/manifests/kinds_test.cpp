// SPDX-License-Identifier: Apache-2.0
// What is read from each kind, field by field.
#include "folder.hpp"

using namespace weir;
using test::Folder;
using test::Lines;
using test::texts;

TEST_CASE("the three example Services work as they stand, beside Pods that match") {
  Lines lines;
  Folder folder;
  for (const auto* name : {"svc-1-clusterip", "svc-2-nodeport", "svc-3-loadbalancer"})
    std::filesystem::copy(std::string{WEIR_TEST_DATA} + "/manifests/" + name + ".yaml",
                          folder.path());
  folder.write("pods.yaml", test::pod_text("web-1", "{type: web}", "10.1.0.1") + "---\n" +
                                test::pod_text("other", "{type: db}", "10.1.0.2"));
  folder.options.load_balancer_pools = {Cidr::parse("192.0.2.0/24").value()};
  folder.open();
  CHECK(lines.warnings.empty());
  REQUIRE(folder.state().services.size() == 3);
  for (const auto& [key, service] : folder.state().services) {
    CHECK(key.ns == "default");
    REQUIRE(service.cluster_ips.size() == 1);
    CHECK(folder.options.service_cidrs[0].contains(service.cluster_ips[0]));
    REQUIRE(service.ports.size() == 1);
    CHECK(service.ports[0].port == 9000);
  }
  CHECK(folder.service("svc-1").ports[0].node_port == 0);
  CHECK(folder.service("svc-2").ports[0].node_port == 32'000);
  CHECK(folder.service("svc-3").ports[0].node_port >= 30'000);
  REQUIRE(folder.service("svc-3").load_balancer.size() == 1);
  CHECK(folder.options.load_balancer_pools[0].contains(
      folder.service("svc-3").load_balancer[0].address));
  REQUIRE(folder.state().slices.size() == 3);
  for (const auto& [key, slice] : folder.state().slices) {
    REQUIRE(slice->ports.size() == 1);
    CHECK(slice->ports[0].port == 8000);
    REQUIRE(slice->endpoints.size() == 1);
    CHECK(slice->endpoints[0].address.to_string() == "10.1.0.1");
    CHECK(slice->endpoints[0].node == "node-a");
    CHECK(slice->endpoints[0].ready);
  }
}

TEST_CASE(
    "Service: every field that is read",
    "[1.1/load-balancer-hostname][1.1/ip-mode-vip][1.2/source-ranges-blanks][1.1/sloppy-ips]") {
  Lines lines;
  Folder folder;
  folder.write("a.yaml", R"(
apiVersion: v1
kind: Service
metadata: {name: all, namespace: shop, annotations: {x: "1", service.weir/on-removal: reset}}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.010
  clusterIPs: [10.96.0.10, "fd00:96::10"]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: RequireDualStack
  externalIPs: [203.0.113.7]
  internalTrafficPolicy: Local
  externalTrafficPolicy: Local
  healthCheckNodePort: 31999
  sessionAffinity: ClientIP
  loadBalancerSourceRanges: [10.0.0.0/8, " 203.0.113.009/025", "fd00::/8"]
  ports:
    - {name: web, port: 80, nodePort: 30080, targetPort: http, appProtocol: http}
    - {name: dns, port: 53, protocol: UDP, nodePort: 30053}
    - {name: dns-tcp, port: 53, protocol: TCP, nodePort: 30053}
    - {name: sig, port: 53, protocol: SCTP, nodePort: 30053}
status:
  loadBalancer:
    ingress:
      - {ip: 192.0.2.1}
      - {ip: 192.0.2.2, ipMode: Proxy}
      - {ip: "2001:db8::1", ipMode: VIP}
      - {hostname: lb.example.org}
)");
  folder.open();
  CHECK(lines.warnings.empty());
  const Service& service = folder.service("all", "shop");
  CHECK(service.type == ServiceType::load_balancer);
  CHECK(texts(service.cluster_ips) == std::vector<std::string>{"10.96.0.10", "fd00:96::10"});
  CHECK(texts(service.external_ips) == std::vector<std::string>{"203.0.113.7"});
  CHECK(service.internal_policy == TrafficPolicy::local);
  CHECK(service.external_policy == TrafficPolicy::local);
  CHECK(service.health_check_node_port == 31'999);
  const std::vector<ServicePort> ports{{"web", Protocol::tcp, 80, 30'080},
                                       {"dns", Protocol::udp, 53, 30'053},
                                       {"dns-tcp", Protocol::tcp, 53, 30'053},
                                       {"sig", Protocol::sctp, 53, 30'053}};
  CHECK(service.ports == ports);
  REQUIRE(service.load_balancer.size() == 3);
  CHECK(service.load_balancer[0].address.to_string() == "192.0.2.1");
  CHECK_FALSE(service.load_balancer[0].proxied);
  CHECK(service.load_balancer[1].proxied);
  CHECK(service.load_balancer[2].address.to_string() == "2001:db8::1");
  CHECK(service.affinity == std::chrono::hours{3});  // the API's default
  CHECK(service.reset_on_removal);
  std::vector<std::string> ranges;
  for (const auto& range : service.source_ranges) ranges.push_back(range.to_string());
  CHECK(ranges == std::vector<std::string>{"10.0.0.0/8", "203.0.113.0/25", "fd00::/8"});
}

TEST_CASE("Service: what kube-proxy does not read, weir does not either",
          "[1.1/load-balancer-ip-field][1.2/source-ranges-annotation][1.2/traffic-distribution]") {
  const auto plain = [](const std::string& annotations, const std::string& spec) {
    return "apiVersion: v1\nkind: Service\nmetadata: {name: a" + annotations +
           "}\nspec:\n  type: LoadBalancer\n  selector: {a: b}\n  ports: [{port: 80}]\n" + spec +
           "---\n" + test::pod_text("p", "{a: b}", "10.1.0.1");
  };
  const auto read = [](const std::string& text) {
    Lines lines;
    Folder folder;
    folder.write("a.yaml", text);
    folder.open();
    CHECK(lines.warnings.empty());
    return folder.state();
  };
  const auto state = read(plain("", ""));
  REQUIRE(state.services.size() == 1);
  REQUIRE(state.slices.size() == 1);
  CHECK(state.services.begin()->second.load_balancer.empty());
  CHECK(read(plain("", "  loadBalancerIP: 203.0.113.7\n")) == state);
  CHECK(read(plain("", "  trafficDistribution: PreferClose\n")) == state);
  CHECK(read(plain(", annotations: {service.kubernetes.io/topology-mode: Auto}", "")) == state);
  CHECK(read(plain(", annotations: {service.beta.kubernetes.io/load-balancer-source-ranges: "
                   "10.0.0.0/8}",
                   "")) == state);
}

TEST_CASE("Service: session affinity", "[1.2/affinity-timeout]") {
  Lines lines;
  Folder folder;
  const auto affinity = [&](const std::string& spec) {
    folder.write("a.yaml", test::service_text("a", "  ports: [{port: 80}]\n" + spec));
    folder.open();
    CHECK(lines.warnings.empty());
    return folder.service("a").affinity.count();
  };
  CHECK(affinity("") == 0);
  CHECK(affinity("  sessionAffinity: None\n") == 0);
  CHECK(affinity("  sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}\n") == 0);
  CHECK(affinity("  sessionAffinity: ClientIP\n"
                 "  sessionAffinityConfig: {clientIP: {timeoutSeconds: 86400}}\n") == 86'400);
}

TEST_CASE("Service: those of others and those without an address are skipped, silently",
          "[1.1/external-name][1.1/headless][1.1/headless-label][1.1/proxy-name-label]") {
  Lines lines;
  Folder folder;
  folder.write("a.yaml", test::service_text("none", "  clusterIP: None\n  selector: {a: b}\n") +
                             "---\n" + test::service_text("none-too", "  clusterIPs: [None]\n") +
                             "---\n" +
                             test::service_text("name",
                                                "  type: ExternalName\n"
                                                "  externalName: a.example\n"
                                                "  clusterIP: 10.96.0.1\n") +
                             R"(---
apiVersion: v1
kind: Service
metadata: {name: labelled, labels: {service.kubernetes.io/headless: ""}}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: proxied, labels: {service.kubernetes.io/service-proxy-name: other}}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: served}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {a: b}}
status: {podIP: 10.1.0.1}
)");
  folder.open();
  CHECK(lines.warnings.empty());
  CHECK(folder.state().services.size() == 1);
  CHECK(folder.has("served"));
  CHECK(folder.state().slices.empty());
}

TEST_CASE("EndpointSlice: every field that is read, and nil conditions",
          "[1.1/headless-label][1.2/conditions-nil]") {
  Lines lines;
  Folder folder;
  folder.write("a.yaml", test::service_text("svc") + R"(---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: svc-x, labels: {kubernetes.io/service-name: svc}}
addressType: IPv6
ports:
  - {name: "", port: 8080}
  - {name: dns, port: 53, protocol: UDP}
  - {name: every}
endpoints:
  - addresses: ["fd00:1::1", "fd00:1::2"]
    nodeName: node-b
    zone: z1
    conditions: {ready: false, serving: true, terminating: true}
    hints: {forZones: [{name: z1}, {name: z2}], forNodes: [{name: node-b}]}
  - addresses: ["fd00:1::3"]
    conditions: {ready: null}
  - addresses: []
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: names, labels: {kubernetes.io/service-name: svc}}
addressType: FQDN
endpoints: [{addresses: [a.example]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: foreign
  labels: {kubernetes.io/service-name: svc, service.kubernetes.io/headless: ""}
addressType: IPv4
)");
  folder.open();
  CHECK(lines.warnings.empty());
  REQUIRE(folder.state().slices.size() == 1);
  const EndpointSlice& slice = *folder.state().slices.begin()->second;
  CHECK(slice.key.to_string() == "default/svc-x");
  CHECK(slice.service == "svc");
  CHECK(slice.family == Family::ipv6);
  const std::vector<EndpointPort> ports{{"", Protocol::tcp, 8080}, {"dns", Protocol::udp, 53}};
  CHECK(slice.ports == ports);
  REQUIRE(slice.endpoints.size() == 2);
  const Endpoint& first = slice.endpoints[0];
  CHECK(first.address.to_string() == "fd00:1::1");
  CHECK(first.node == "node-b");
  CHECK_FALSE(first.ready);
  CHECK(first.serving);
  CHECK(first.terminating);
  CHECK(first.zone_hints == std::vector<std::string>{"z1", "z2"});
  CHECK(first.node_hints == std::vector<std::string>{"node-b"});
  CHECK(slice.endpoints[1].ready);
  CHECK(slice.endpoints[1].serving);
  CHECK_FALSE(slice.endpoints[1].terminating);
}

TEST_CASE("Node: addresses and zone") {
  Lines lines;
  Folder folder;
  folder.write("a.yaml", R"(
apiVersion: v1
kind: Node
metadata: {name: node-a, labels: {topology.kubernetes.io/zone: z1}}
status:
  addresses:
    - {type: InternalIP, address: 10.0.0.1}
    - {type: Hostname, address: node-a}
    - {type: ExternalIP, address: "2001:db8::1"}
)");
  folder.open();
  CHECK(lines.warnings.empty());
  const Node& node = folder.state().nodes.at("node-a");
  CHECK(node.name == "node-a");
  CHECK(node.zone == "z1");
  CHECK(texts(node.addresses) == std::vector<std::string>{"10.0.0.1", "2001:db8::1"});
}

TEST_CASE("Node: what says that it is going away") {
  Lines lines;
  Folder folder;
  folder.write("a.yaml", R"(
apiVersion: v1
kind: Node
metadata: {name: going, deletionTimestamp: "2026-01-01T00:00:00Z"}
spec:
  taints:
    - {key: ToBeDeletedByClusterAutoscaler, value: "1767225600", effect: NoSchedule}
    - {key: other, effect: NoExecute}
---
apiVersion: v1
kind: Node
metadata: {name: staying}
)");
  folder.open();
  CHECK(lines.warnings.empty());
  const Node& going = folder.state().nodes.at("going");
  CHECK(going.deleted);
  CHECK(going.taints == std::vector<std::string>{"ToBeDeletedByClusterAutoscaler", "other"});
  CHECK_FALSE(folder.state().nodes.at("staying").deleted);
  CHECK(folder.state().nodes.at("staying").taints.empty());
}

TEST_CASE("only a List's items are objects, wherever it says that it is one") {
  Lines lines;
  Folder folder;
  const auto holding = [](const std::string& name, const std::string& rest) {
    return R"({"items": [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": ")" + name +
           R"("}, "spec": {"ports": [{"port": 80}]}}], )" + rest + "}";
  };
  folder.write("a.json", holding("last", R"("kind": "List", "apiVersion": "v1")"));
  folder.write("b.json", holding("other", R"("kind": "ServiceList", "apiVersion": "v1")"));
  folder.write("c.json", holding("hidden", R"("kind": "Service", "apiVersion": "v1",
    "metadata": {"name": "outer"}, "spec": {"ports": [{"port": 80}]})"));
  folder.write("d.yaml",
               "base: &base {kind: List, apiVersion: v1}\n<<: *base\nitems:\n- "
               "apiVersion: v1\n  kind: Service\n  metadata: {name: merged}\n"
               "  spec: {ports: [{port: 80}]}\n- null\n");
  folder.open();
  CHECK(folder.has("last"));
  CHECK(folder.has("outer"));
  CHECK(folder.has("merged"));
  CHECK(folder.state().services.size() == 3);
  REQUIRE(lines.warnings.size() == 1);
  CHECK(lines.warnings[0] == "manifests: " + folder.file("d.yaml") +
                                 ": document 1, line 8: items[1]: expected an object, got nothing");
}

TEST_CASE("Lists, JSON, and kinds that weir does not read") {
  Lines lines;
  Folder folder;
  folder.write("a.json", R"({"apiVersion": "v1", "kind": "List", "items": [
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "one"},
     "spec": {"ports": [{"port": 80}]}},
    {"apiVersion": "v1", "kind": "List", "items": [
      {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "two"},
       "spec": {"ports": [{"port": 81}]}}]}]})");
  folder.write("b.yml",
               "apiVersion: serving.knative.dev/v1\nkind: Service\n"
               "metadata: {name: not-ours}\n---\napiVersion: v1\nkind: ConfigMap\n");
  folder.write("c.txt", "this is [ no manifest");
  folder.write(".d.yaml", "this is [ no manifest");
  folder.open();
  CHECK(lines.warnings.empty());
  CHECK(folder.state().services.size() == 2);
  CHECK(folder.has("one"));
  CHECK(folder.has("two"));
  std::vector<std::string> skipped;
  for (const auto& line : lines.infos)
    if (line.ends_with("is not read by weir")) skipped.push_back(line);
  REQUIRE(skipped.size() == 2);
  CHECK(skipped[0] == "manifests: " + folder.file("b.yml") +
                          ": document 1, line 1: kind Service of serving.knative.dev/v1 is not "
                          "read by weir");
  CHECK(skipped[1] == "manifests: " + folder.file("b.yml") +
                          ": document 2, line 5: kind ConfigMap of v1 is not read by weir");
}
