// SPDX-License-Identifier: Apache-2.0
// Valid manifests, changed at random in reproducible ways: whatever comes, it is read or refused,
// and what was there before survives. Sanitizers are the oracle.
#include <random>

#include "folder.hpp"
#include "source/manifests/assemble.hpp"
#include "source/manifests/file.hpp"

using namespace weir;
using manifests::File;
using test::Lines;

namespace {

const std::string kYaml = R"(apiVersion: v1
kind: Service
metadata: &m {name: a, namespace: shop, labels: {x: "y"}}
spec:
  type: LoadBalancer
  clusterIPs: [10.96.0.10, "fd00:96::10"]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: RequireDualStack
  externalIPs: [203.0.113.7]
  externalTrafficPolicy: Local
  selector: {app: web}
  publishNotReadyAddresses: false
  ports:
    - {name: web, port: 80, nodePort: 30080, targetPort: http}
    - {name: dns, port: 53, protocol: UDP}
status: {loadBalancer: {ingress: [{ip: 192.0.2.1, ipMode: VIP}]}}
---
apiVersion: v1
kind: List
items:
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {name: s, namespace: shop, labels: {kubernetes.io/service-name: a}}
  addressType: IPv4
  ports: [{name: web, port: 8080}]
  endpoints:
  - {addresses: [10.1.0.1], nodeName: n, conditions: {ready: true}, hints: {forZones: [{name: z}]}}
- apiVersion: v1
  kind: Pod
  metadata: {name: p, namespace: shop, labels: {app: web}}
  spec: {nodeName: n, containers: [{ports: [{name: http, containerPort: 8080}]}]}
  status: {phase: Running, podIPs: [{ip: 10.1.0.2}], conditions: [{type: Ready, status: "True"}]}
- apiVersion: v1
  kind: Node
  metadata: {name: n, labels: {topology.kubernetes.io/zone: z}}
  status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}
)";

const std::string kJson =
    R"({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "j"},
 "spec": {"ports": [{"port": 80, "targetPort": "http"}], "selector": {"app": "web"}}}
{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod",
 "metadata": {"name": "p", "labels": {"app": "web"}}, "status": {"podIP": "10.1.0.3"}}]})";

class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_{seed} {}

  std::string mutate(std::string text) {
    const auto times = 1 + below(4);
    for (std::size_t i = 0; i < times && !text.empty(); ++i) once(text);
    return text;
  }

 private:
  std::size_t below(std::size_t n) { return random_() % n; }

  void once(std::string& text) {
    static const std::vector<std::string> pieces{"-1",         "0",
                                                 "70000",      "99999999999999999999",
                                                 "1e999",      "~",
                                                 "null",       "[",
                                                 "]",          "{",
                                                 "}",          "*m",
                                                 "&m ",        "<<: *m",
                                                 "---\n",      "\n",
                                                 "\t",         "\"",
                                                 "'",          ": ",
                                                 "- ",         std::string{"\0", 1},
                                                 "\xff",       "\xed\xa0\x80",
                                                 "!!binary ",  "|\n",
                                                 "fd00::1",    "256.1.1.1",
                                                 "true",       "? ",
                                                 "%YAML 9.9\n"};
    const auto at = below(text.size());
    const auto length = std::min(below(20), text.size() - at);
    switch (below(6)) {
      case 0:
        text[at] = static_cast<char>(below(256));
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, pieces[below(pieces.size())]);
        break;
      case 3:
        text.replace(at, length, pieces[below(pieces.size())]);
        break;
      case 4:
        text.insert(below(text.size()), text.substr(at, length));
        break;
      default:
        text.resize(at);
        break;
    }
  }

  std::mt19937 random_;
};

void fuzz(const std::string& name, const std::string& seed_text, unsigned rounds) {
  Lines lines;
  manifests::Options options;
  options.service_cidrs = {Cidr::parse("10.96.0.0/24").value(), Cidr::parse("fd00::/120").value()};
  options.load_balancer_pools = {Cidr::parse("192.0.2.0/28").value()};
  Mutator mutator{42};
  File good{"/good.yaml"};
  good.update(test::service_text("bystander"), options);
  File file{name};
  manifests::Services in_force;
  std::size_t refused = 0;
  for (unsigned i = 0; i < rounds; ++i) {
    file.update(seed_text, options);
    REQUIRE(file.lines().empty());
    const auto whole = file.objects().size();
    file.update(mutator.mutate(seed_text), options);
    if (!file.lines().empty()) ++refused;
    for (const auto& line : file.lines())
      CHECK(line.text.find_first_of(std::string{"\n\r\0\x1b", 4}) == std::string::npos);
    if (file.lines().size() == 1 && file.lines()[0].text.find("not valid") != std::string::npos)
      CHECK(file.objects().size() == whole);
    auto objects = file.objects();
    objects.insert(objects.end(), good.objects().begin(), good.objects().end());
    auto assembly = manifests::assemble(objects, {}, in_force, options);
    CHECK(assembly.state.services.contains({"default", "bystander"}));
    in_force = std::move(assembly.in_force);
  }
  CHECK(refused > rounds / 4);
}

}  // namespace

TEST_CASE("changed YAML is read or refused") {
  fuzz("/f.yaml", kYaml, 500);
}
TEST_CASE("changed JSON is read or refused") {
  fuzz("/f.json", kJson, 500);
}
// YAML holds most of JSON, and its parser must stand the rest.
TEST_CASE("JSON as YAML is read or refused") {
  fuzz("/f.yml", kJson.substr(0, kJson.find("\n{")), 500);
}
