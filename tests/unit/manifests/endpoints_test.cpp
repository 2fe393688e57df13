// SPDX-License-Identifier: Apache-2.0
// Pods and selectors to EndpointSlices, as a cluster's controller makes them.
#include <algorithm>

#include "folder.hpp"

using namespace weir;
using test::Folder;
using test::Lines;
using test::pod_text;
using test::service_text;

namespace {

std::string flags(const Endpoint& endpoint) {
  return std::string{endpoint.ready ? "R" : "-"} + (endpoint.serving ? "S" : "-") +
         (endpoint.terminating ? "T" : "-");
}

// Each endpoint of a service as "name=8080 10.1.0.1 RS-", sorted.
std::vector<std::string> endpoints(const Folder& folder, const std::string& service) {
  std::vector<std::string> result;
  for (const auto& [key, slice] : folder.state().slices) {
    if (slice->service != service) continue;
    std::string ports;
    for (const auto& port : slice->ports)
      ports += port.name + "=" + std::to_string(port.port) + " ";
    for (const auto& endpoint : slice->endpoints)
      result.push_back(ports + endpoint.address.to_string() + " " + flags(endpoint));
  }
  std::sort(result.begin(), result.end());
  return result;
}

using Said = std::vector<std::string>;

const std::string kReady = "  conditions: [{type: Ready, status: 'True'}]\n";
const std::string kNotReady =
    "  conditions: [{type: Initialized, status: 'True'}, {type: Ready, status: 'False'}]\n";

std::string deleted(std::string pod) {
  const std::string metadata = "metadata:\n";
  return pod.insert(pod.find(metadata) + metadata.size(),
                    "  deletionTimestamp: 2026-01-01T00:00:00Z\n");
}

}  // namespace

TEST_CASE("a selector matches pods that have all of its labels, in its namespace") {
  Lines lines;
  Folder folder;
  std::string foreign = pod_text("there", "{app: web, tier: front}", "10.1.0.4");
  foreign.insert(foreign.find("  name:"), "  namespace: other\n");
  folder.write("a.yaml",
               service_text("svc", "  selector: {app: web, tier: front}\n  ports: [{port: 80}]\n") +
                   "---\n" + pod_text("both", "{app: web, tier: front, more: x}", "10.1.0.1") +
                   "---\n" + pod_text("one", "{app: web}", "10.1.0.2") + "---\n" +
                   pod_text("the-other", "{tier: front}", "10.1.0.5") + "---\n" +
                   pod_text("other-value", "{app: web, tier: back}", "10.1.0.3") + "---\n" +
                   foreign);
  folder.open();
  CHECK(lines.warnings.empty());
  CHECK(endpoints(folder, "svc") == Said{"=80 10.1.0.1 RS-"});
}

TEST_CASE("an empty selector matches no pod") {
  Folder folder;
  folder.write("a.yaml", service_text("svc", "  selector: {}\n  ports: [{port: 80}]\n") + "---\n" +
                             pod_text("p", "{a: b}", "10.1.0.1"));
  folder.open();
  CHECK(folder.state().slices.empty());
}

TEST_CASE("readiness, termination and phase of a pod", "[1.2/not-ready-published]") {
  const std::string select = "  selector: {a: b}\n  ports: [{port: 80}]\n";
  const auto with = [&](const std::string& pod, const std::string& more = "") {
    Folder folder;
    folder.write("a.yaml", service_text("svc", select + more) + "---\n" + pod);
    folder.open();
    const auto found = endpoints(folder, "svc");
    return found.empty() ? std::string{"none"} : found[0].substr(found[0].size() - 3);
  };
  const auto pod = [](const std::string& status) {
    return pod_text("p", "{a: b}", "10.1.0.1", status);
  };
  CHECK(with(pod("")) == "RS-");  // written by hand: nobody says otherwise
  CHECK(with(pod(kReady)) == "RS-");
  CHECK(with(pod(kNotReady)) == "---");
  CHECK(with(pod("  conditions: [{type: Initialized, status: 'True'}]\n")) == "---");
  CHECK(with(pod("  conditions: [{type: Ready, status: Unknown}]\n")) == "---");
  CHECK(with(deleted(pod(kReady))) == "-ST");
  CHECK(with(deleted(pod(kNotReady))) == "--T");
  CHECK(with(pod(kReady + "  phase: Succeeded\n")) == "none");
  CHECK(with(pod(kReady + "  phase: Failed\n")) == "none");
  CHECK(with(pod(kReady + "  phase: Running\n")) == "RS-");
  const std::string publish = "  publishNotReadyAddresses: true\n";
  CHECK(with(pod(kNotReady), publish) == "R--");
  CHECK(with(deleted(pod(kReady)), publish) == "RST");
  CHECK(with(deleted(pod(kNotReady)), publish) == "R-T");
}

TEST_CASE("a pod without an address is no endpoint; several addresses go by family") {
  Folder folder;
  folder.options.service_cidrs.push_back(Cidr::parse("fd00:96::/108").value());
  const std::string ports = "  selector: {a: b}\n  ports: [{port: 80}]\n";
  folder.write("a.yaml", service_text("v4", ports) + "---\n" +
                             service_text("v6", ports + "  ipFamilies: [IPv6]\n") + "---\n" +
                             service_text("dual", ports + "  ipFamilyPolicy: PreferDualStack\n"));
  const std::string head = "apiVersion: v1\nkind: Pod\nmetadata: {name: ";
  folder.write("p.yaml", head + "none, labels: {a: b}}\nstatus: {podIP: ''}\n---\n" + head +
                             "two, labels: {a: b}}\nspec: {hostNetwork: true}\nstatus:\n"
                             "  podIP: 10.1.0.1\n"
                             "  podIPs: [{ip: 10.1.0.1}, {ip: 'fd00:1::1'}, {ip: 10.1.0.9}]\n");
  folder.open();
  CHECK(endpoints(folder, "v4") == Said{"=80 10.1.0.1 RS-"});
  CHECK(endpoints(folder, "v6") == Said{"=80 fd00:1::1 RS-"});
  CHECK(endpoints(folder, "dual") == Said{"=80 10.1.0.1 RS-", "=80 fd00:1::1 RS-"});
  for (const auto& [key, slice] : folder.state().slices)
    for (const auto& endpoint : slice->endpoints) CHECK(endpoint.address.family() == slice->family);
}

TEST_CASE("a named target port is looked up in each pod, by name and protocol",
          "[1.1/target-port-named]") {
  Lines lines;
  Folder folder;
  folder.write("a.yaml", service_text("svc", R"(  selector: {a: b}
  ports:
  - {name: web, port: 80, targetPort: http}
  - {name: dns, port: 53, targetPort: dns, protocol: UDP}
  - {name: same, port: 9000}
  - {name: number, port: 81, targetPort: 8081}
)"));
  const auto pod = [](const std::string& name, const std::string& ip, const std::string& ports,
                      const std::string& more = "") {
    return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name +
           ", labels: {a: b}}\nspec:\n  containers:\n  - {name: side}\n  - ports: [" + ports +
           "]\n" + more + "status: {podIP: " + ip + "}\n";
  };
  folder.write(
      "p.yaml",
      pod("p1", "10.1.0.1",
          "{name: http, containerPort: 8080}, {name: dns, containerPort: 5353, protocol: UDP}") +
          "---\n" +
          pod("p2", "10.1.0.2",
              "{name: http, containerPort: 8080}, {name: dns, containerPort: 5353, protocol: "
              "UDP}") +
          "---\n" +
          pod("p3", "10.1.0.3",
              "{name: http, containerPort: 9090}, {name: dns, containerPort: 53}") +
          "---\n" +
          pod("p4", "10.1.0.4", "",
              "  initContainers:\n"
              "  - {restartPolicy: Always, ports: [{name: http, containerPort: 7070}]}\n"
              "  - {ports: [{name: dns, containerPort: 1, protocol: UDP}]}\n"));
  folder.open();
  CHECK(lines.warnings.empty());
  CHECK(endpoints(folder, "svc") == Said{"web=7070 same=9000 number=8081 10.1.0.4 RS-",
                                         "web=8080 dns=5353 same=9000 number=8081 10.1.0.1 RS-",
                                         "web=8080 dns=5353 same=9000 number=8081 10.1.0.2 RS-",
                                         "web=9090 same=9000 number=8081 10.1.0.3 RS-"});
  // One slice for each set of numbers, with a name that depends on nothing else.
  REQUIRE(folder.state().slices.size() == 3);
  CHECK(folder.state().slices.contains({"default", "svc:ipv4:8080,5353,9000,8081"}));
  CHECK(folder.state().slices.contains({"default", "svc:ipv4:9090,-,9000,8081"}));
}

TEST_CASE("a pod that has none of the ports is no endpoint") {
  Folder folder;
  folder.write(
      "a.yaml",
      service_text("svc", "  selector: {a: b}\n  ports: [{port: 80, targetPort: http}]\n") +
          "---\n" + pod_text("p", "{a: b}", "10.1.0.1"));
  folder.open();
  CHECK(folder.state().slices.empty());
}

TEST_CASE("explicit slices serve services without a selector, and join those with one") {
  Lines lines;
  Folder folder;
  const auto slice = [](const std::string& name, const std::string& service,
                        const std::string& ip) {
    return "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " + name +
           ", labels: {kubernetes.io/service-name: " + service +
           "}}\naddressType: IPv4\nports: [{port: 80}]\nendpoints: [{addresses: [" + ip + "]}]\n";
  };
  folder.write("a.yaml", service_text("plain") + "---\n" +
                             service_text("both", "  selector: {a: b}\n  ports: [{port: 80}]\n") +
                             "---\n" + pod_text("p", "{a: b}", "10.1.0.1") +
                             slice("s1", "plain", "10.2.0.1") + slice("s2", "both", "10.2.0.2"));
  folder.open();
  CHECK(lines.warnings.empty());
  CHECK(endpoints(folder, "plain") == Said{"=80 10.2.0.1 RS-"});
  CHECK(endpoints(folder, "both") == Said{"=80 10.1.0.1 RS-", "=80 10.2.0.2 RS-"});
}
