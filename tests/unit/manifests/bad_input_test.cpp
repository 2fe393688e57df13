// SPDX-License-Identifier: Apache-2.0
// One line for each problem: file, document, line, field, what was expected, what is there.
#include "folder.hpp"

using namespace weir;
using test::Folder;
using test::Lines;

namespace {

// What is said of b.yaml, without "manifests: .../b.yaml: ", beside a good a.yaml.
std::vector<std::string> complaints(const std::string& text, const std::string& name = "b.yaml") {
  Lines lines;
  Folder folder;
  folder.write("a.yaml", test::service_text("good",
                                            "  clusterIP: 10.96.0.1\n  type: NodePort\n"
                                            "  ports: [{port: 80, nodePort: 30001}]\n"));
  folder.write(name, text);
  folder.open();
  CHECK(folder.has("good"));
  const std::string start = "manifests: " + folder.file(name) + ": ";
  std::vector<std::string> result;
  for (std::string line : lines.warnings) {
    CHECK(line.starts_with(start));
    line = line.substr(std::min(start.size(), line.size()));
    const auto other = line.find(folder.path());
    if (other != std::string::npos) line.erase(other, folder.path().size() + 1);
    result.push_back(line);
  }
  return result;
}

using Said = std::vector<std::string>;

// Of a Service whose spec starts on line 6.
Said of_service(const std::string& spec) {
  return complaints(test::service_text("bad", spec));
}
// Of its port, on line 7.
Said of_port(const std::string& port) {
  return of_service("  type: NodePort\n  ports: [{" + port + "}]\n");
}

}  // namespace

TEST_CASE("syntax errors") {
  CHECK(complaints("apiVersion: v1\nkind: Service\n---\nkind: [x\nfoo: 1\n") ==
        Said{"document 2, line 5: not valid YAML: did not find expected ',' or ']' while parsing "
             "a flow sequence"});
  CHECK(complaints("{\"kind\": \"Service\",\n }", "b.json") ==
        Said{"document 1, line 2: not valid JSON: Missing a name for object member."});
}

TEST_CASE("ports out of range, of the wrong type, or not there") {
  const std::string range =
      "document 1, line 7: spec.ports[0].port: expected a number from 1 to 65535, got ";
  CHECK(of_port("port: http") == Said{range + "\"http\""});
  CHECK(of_port("port: '80'") == Said{range + "\"80\""});
  CHECK(of_port("port: 0") == Said{range + "0"});
  CHECK(of_port("port: -1") == Said{range + "-1"});
  CHECK(of_port("port: 65536") == Said{range + "65536"});
  CHECK(of_port("port: 99999999999999999999") == Said{range + "99999999999999999999"});
  CHECK(of_port("port: 80.5") == Said{range + "80.5"});
  CHECK(of_port("port: 0x50") == Said{range + "0x50"});
  CHECK(of_port("port: 080") == Said{range + "080"});
  CHECK(of_port("port: true") == Said{range + "true"});
  CHECK(of_port("port: [80]") == Said{range + "a list"});
  CHECK(of_port("port: {a: 1}") == Said{range + "a map"});
  CHECK(of_port("port: ~") == Said{range + "nothing"});
  CHECK(of_port("name: x") == Said{range + "nothing"});
  CHECK(of_port("port: 1").empty());
  CHECK(of_port("port: 65535").empty());
  CHECK(of_port("port: 80, targetPort: 70000") ==
        Said{"document 1, line 7: spec.ports[0].targetPort: expected a number from 1 to 65535, got "
             "70000"});
  CHECK(of_port("port: 80, targetPort: '8080'") ==
        Said{"document 1, line 7: spec.ports[0].targetPort: expected a number from 1 to 65535 or "
             "the name of a container's port, got \"8080\""});
  CHECK(of_port("port: 80, targetPort: 0").empty());
  CHECK(of_port("port: 80, targetPort: ''").empty());
  CHECK(of_port("port: 80, nodePort: 29999") ==
        Said{"document 1, line 7: spec.ports[0].nodePort: expected a number from 30000 to 32767, "
             "got 29999"});
  CHECK(of_port("port: 80, nodePort: 32768").size() == 1);
  CHECK(of_port("port: 80, nodePort: 0").empty());
  CHECK(of_port("port: 80, protocol: tcp") ==
        Said{"document 1, line 7: spec.ports[0].protocol: expected one of TCP, UDP, SCTP, got "
             "\"tcp\""});
  CHECK(of_port("port: 80, protocol: 6").size() == 1);
  CHECK(of_port("port: 80, name: Web") ==
        Said{"document 1, line 7: spec.ports[0].name: expected a name of at most 63 lower case "
             "letters, digits and '-', got \"Web\""});
}

TEST_CASE("ports that exclude each other within a service") {
  CHECK(of_service("  ports:\n  - {name: a, port: 80}\n  - {name: b, port: 80}\n") ==
        Said{"document 1, line 8: spec.ports[1].port: expected a TCP port that the service has "
             "only once, got 80"});
  CHECK(of_service("  ports:\n  - {name: a, port: 80}\n  - {name: a, port: 81}\n") ==
        Said{"document 1, line 8: spec.ports[1].name: expected a name that no other port of the "
             "service has, got \"a\""});
  CHECK(of_service("  ports:\n  - {name: a, port: 80}\n  - {port: 81}\n") ==
        Said{"document 1, line 8: spec.ports[1].name: expected a name, since the service has "
             "several ports, got nothing"});
  CHECK(of_service("  type: NodePort\n  ports:\n  - {name: a, port: 80, nodePort: 30005}\n"
                   "  - {name: b, port: 81, nodePort: 30005}\n") ==
        Said{"document 1, line 9: spec.ports[1].nodePort: expected a TCP node port that the "
             "service has only once, got 30005"});
  CHECK(of_service("  ports: [{name: a, port: 80}, {name: b, port: 80, protocol: UDP}]\n").empty());
  CHECK(of_service("  ports: [{port: 80, nodePort: 30005}]\n") ==
        Said{"document 1, line 6: spec.ports[0].nodePort: expected none, since spec.type is "
             "ClusterIP, got 30005"});
}

TEST_CASE("wrong types and choices of a Service") {
  CHECK(complaints(test::service_text("bad", "  - 1\n")) ==
        Said{"document 1, line 6: spec: expected a map, got a list"});
  CHECK(complaints("apiVersion: v1\nkind: Service\nmetadata: {name: bad}\n") ==
        Said{"document 1, line 1: spec.ports: expected at least one port, got nothing"});
  CHECK(of_service("  ports: 80\n") ==
        Said{"document 1, line 6: spec.ports: expected a list, got 80"});
  CHECK(of_service("  ports: [80]\n") ==
        Said{"document 1, line 6: spec.ports[0]: expected a map, got 80"});
  CHECK(of_service("  ports: []\n") ==
        Said{"document 1, line 6: spec.ports: expected at least one port, got a list"});
  CHECK(of_service("  ports: [{port: 80}]\n  type: Cluster\n") ==
        Said{"document 1, line 7: spec.type: expected one of ClusterIP, NodePort, LoadBalancer, "
             "ExternalName, got \"Cluster\""});
  CHECK(of_service("  ports: [{port: 80}]\n  selector: {a: 1}\n") ==
        Said{"document 1, line 7: spec.selector.a: expected text (in quotes), got 1"});
  CHECK(of_service("  ports: [{port: 80}]\n  selector: web\n") ==
        Said{"document 1, line 7: spec.selector: expected a map, got \"web\""});
  CHECK(of_service("  ports: [{port: 80}]\n  publishNotReadyAddresses: maybe\n") ==
        Said{"document 1, line 7: spec.publishNotReadyAddresses: expected true or false, got "
             "\"maybe\""});
  CHECK(of_service("  ports: [{port: 80}]\n  externalTrafficPolicy: local\n") ==
        Said{"document 1, line 7: spec.externalTrafficPolicy: expected one of Cluster, Local, got "
             "\"local\""});
}

TEST_CASE("addresses: bad ones, of the wrong family, of no use to a service") {
  const std::string ports = "  ports: [{port: 80}]\n";
  CHECK(of_service(ports + "  clusterIP: 10.96.0\n") ==
        Said{"document 1, line 7: spec.clusterIP: expected an IP address, got \"10.96.0\""});
  CHECK(of_service(ports + "  clusterIP: 1234\n") ==
        Said{"document 1, line 7: spec.clusterIP: expected an IP address, got 1234"});
  CHECK(of_service(ports + "  clusterIP: 127.0.0.1\n").size() == 1);
  CHECK(of_service(ports + "  clusterIP: 0.0.0.0\n").size() == 1);
  CHECK(of_service(ports + "  clusterIP: fe80::1\n").size() == 1);
  CHECK(of_service(ports + "  externalIPs:\n  - 1.2.3.4\n  - 239.0.0.1\n") ==
        Said{"document 1, line 9: spec.externalIPs[1]: expected a unicast IP address, neither "
             "loopback nor link-local, got \"239.0.0.1\""});
  CHECK(of_service(ports + "  ipFamilies: [IPv6]\n  clusterIP: 10.96.0.9\n") ==
        Said{"document 1, line 8: spec.clusterIP: expected an IPv6 address, got \"10.96.0.9\""});
  CHECK(of_service(ports + "  ipFamilies: [IPv4, IPv4]\n") ==
        Said{"document 1, line 7: spec.ipFamilies[1]: expected a family that is not there already, "
             "got \"IPv4\""});
  CHECK(of_service(ports + "  clusterIPs: [10.96.0.8, 10.96.0.9]\n") ==
        Said{"document 1, line 7: spec.clusterIPs[1]: expected an address of the other family than "
             "the first, got \"10.96.0.9\""});
  CHECK(of_service(ports + "  clusterIP: 10.96.0.7\n  clusterIPs: [10.96.0.8]\n") ==
        Said{"document 1, line 7: spec.clusterIP: expected the first of spec.clusterIPs, "
             "10.96.0.8, got \"10.96.0.7\""});
  CHECK(of_service(ports + "  type: LoadBalancer\nstatus:\n  loadBalancer:\n    ingress:\n"
                           "    - ip: x\n") ==
        Said{"document 1, line 11: status.loadBalancer.ingress[0].ip: expected an IP address, got "
             "\"x\""});
}

TEST_CASE("health check node ports") {
  const std::string ports = "  ports: [{port: 80, nodePort: 30005}]\n";
  const std::string local = "  type: LoadBalancer\n  externalTrafficPolicy: Local\n";
  const auto of_number = [&](const std::string& spec, const std::string& number) {
    return of_service(spec + ports + "  healthCheckNodePort: " + number + "\n");
  };
  const std::string field = "spec.healthCheckNodePort: expected ";
  CHECK(of_number(local, "31000").empty());
  CHECK(of_number(local, "0").empty());
  for (const std::string bad : {"-1", "29999", "32768", "100000", "1.5", "true"})
    CHECK(of_number(local, bad) ==
          Said{"document 1, line 9: " + field + "a number from 30000 to 32767, got " + bad});
  const std::string none =
      "none, since spec.type is not LoadBalancer with spec.externalTrafficPolicy Local, got 31000";
  CHECK(of_number("  type: LoadBalancer\n", "31000") ==
        Said{"document 1, line 8: " + field + none});
  CHECK(of_number("  type: NodePort\n  externalTrafficPolicy: Local\n", "31000") ==
        Said{"document 1, line 9: " + field + none});
  CHECK(of_number("  type: NodePort\n", "0").empty());
  CHECK(of_number(local, "30005") ==
        Said{"document 1, line 9: " + field +
             "a TCP node port that no port of the service has, got 30005"});
  CHECK(of_number(local, "30001") ==
        Said{"document 1, line 9: " + field +
             "a TCP node port of its own, got 30001, which Service default/good has (a.yaml, "
             "document 1, line 1)"});
}

TEST_CASE("what says that a node is going away") {
  const auto of_node = [](const std::string& metadata, const std::string& spec) {
    return complaints("apiVersion: v1\nkind: Node\nmetadata:\n  name: n\n" + metadata + spec);
  };
  CHECK(of_node("  deletionTimestamp: 17\n", "") ==
        Said{"document 1, line 5: metadata.deletionTimestamp: expected text (in quotes), got 17"});
  CHECK(of_node("", "spec:\n  taints: yes\n") ==
        Said{"document 1, line 6: spec.taints: expected a list, got yes"});
  CHECK(of_node("", "spec:\n  taints: [{effect: NoExecute}]\n") ==
        Said{"document 1, line 6: spec.taints[0].key: expected the name of the taint, got "
             "nothing"});
  CHECK(of_node("", "spec:\n  taints: [{key: a, effect: Never}]\n") ==
        Said{"document 1, line 6: spec.taints[0].effect: expected one of NoSchedule, "
             "PreferNoSchedule, NoExecute, got \"Never\""});
  CHECK(of_node("", "spec:\n  taints: [{key: a}]\n") ==
        Said{"document 1, line 6: spec.taints[0].effect: expected one of NoSchedule, "
             "PreferNoSchedule, NoExecute, got nothing"});
}

TEST_CASE("what two services cannot both have") {
  CHECK(of_service("  clusterIP: 10.96.0.1\n  ports: [{port: 80}]\n") ==
        Said{"document 1, line 6: spec.clusterIP: expected an address of its own, got 10.96.0.1, "
             "which Service default/good has (a.yaml, document 1, line 1)"});
  CHECK(of_service("  type: NodePort\n  ports:\n  - port: 80\n    nodePort: 30001\n") ==
        Said{"document 1, line 9: spec.ports[0].nodePort: expected a TCP node port of its own, got "
             "30001, which Service default/good has (a.yaml, document 1, line 1)"});
  CHECK(of_service("  type: NodePort\n  ports: [{port: 80, nodePort: 30001, protocol: UDP}]\n")
            .empty());
  CHECK(complaints(test::service_text("good")) ==
        Said{"document 1, line 4: metadata.name: expected a Service that is not there already, got "
             "\"default/good\", which is in a.yaml, document 1, line 1"});
}

TEST_CASE("what makes an object: kind, version, name") {
  CHECK(complaints("just text\n") == Said{"document 1, line 1: expected a map, got \"just text\""});
  CHECK(complaints("a: 1\n") ==
        Said{"document 1, line 1: kind: expected a kind, such as Service, got nothing"});
  CHECK(complaints("kind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 1}]}\n") ==
        Said{"document 1, line 1: apiVersion: expected an API version, such as v1, got nothing"});
  CHECK(complaints("kind: Pod\napiVersion: v2\nmetadata: {name: x}\n") ==
        Said{"document 1, line 2: apiVersion: expected v1, got \"v2\""});
  CHECK(complaints("apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {a: b}\n") ==
        Said{"document 1, line 4: metadata.name: expected a name of lower case letters, digits, "
             "'-' and '.', got nothing"});
  CHECK(complaints("apiVersion: v1\nkind: Pod\nmetadata: {name: 17}\n") ==
        Said{"document 1, line 3: metadata.name: expected text (in quotes), got 17"});
  CHECK(complaints("apiVersion: v1\nkind: Pod\nmetadata: {name: \"a\\nb\"}\n") ==
        Said{"document 1, line 3: metadata.name: expected a name of lower case letters, digits, "
             "'-' and '.', got \"a\\x0ab\""});
  CHECK(complaints("apiVersion: v1\nkind: Pod\nmetadata: x\n") ==
        Said{"document 1, line 3: metadata: expected a map, got \"x\""});
  CHECK(complaints("apiVersion: v1\nkind: Pod\n") ==
        Said{"document 1, line 1: metadata.name: expected a name of lower case letters, digits, "
             "'-' and '.', got nothing"});
  CHECK(
      complaints("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata:\n"
                 "    name: x\n  status: {podIP: y}\n- 1\n") ==
      Said{"document 1, line 8: items[0].status.podIP: expected an IP address, got \"y\"",
           "document 1, line 9: items[1]: expected a map, got 1"});
}

TEST_CASE("EndpointSlices") {
  const auto slice = [](const std::string& labels, const std::string& rest) {
    return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: s\n  "
           "labels: " +
           labels + "\n" + rest;
  };
  const std::string good = "{kubernetes.io/service-name: good}";
  CHECK(complaints(slice(good, "addressType: IPv4\nports: [{port: 80}]\n")).empty());
  CHECK(complaints(slice("{kubernetes.io/service-name: gone}", "addressType: IPv4\n")) ==
        Said{"document 1, line 4: metadata.labels: expected kubernetes.io/service-name to name a "
             "Service that is there, got \"default/gone\"; the EndpointSlice waits for it"});
  CHECK(complaints(slice("{}", "addressType: IPv4\n")) ==
        Said{"document 1, line 5: metadata.labels: expected kubernetes.io/service-name with the "
             "name of a Service, got a map"});
  CHECK(complaints(slice(good, "addressType: IPv6\nendpoints:\n- addresses: [10.1.0.1]\n")) ==
        Said{"document 1, line 8: endpoints[0].addresses[0]: expected an IPv6 address, got "
             "\"10.1.0.1\""});
  CHECK(complaints(slice(good, "endpoints: []\n")) ==
        Said{"document 1, line 1: addressType: expected one of IPv4, IPv6, FQDN, got nothing"});
  CHECK(complaints(slice(good, "addressType: IPv4\nports: [{port: 0}]\n")).size() == 1);
  CHECK(complaints(slice(good, "addressType: IPv4\nports: [{port: 1}, {port: 2}]\n")).size() == 1);
  const std::string hinted = "addressType: IPv4\nendpoints:\n- addresses: [10.1.0.1]\n  hints: ";
  CHECK(complaints(slice(good, hinted + "{forZones: [{}]}\n")) ==
        Said{"document 1, line 9: endpoints[0].hints.forZones[0].name: expected a name, got "
             "nothing"});
  CHECK(complaints(slice(good, hinted + "{forNodes: [{name: ''}]}\n")) ==
        Said{"document 1, line 9: endpoints[0].hints.forNodes[0].name: expected a name, got "
             "\"\""});
  CHECK(complaints(slice(good, hinted + "{forZones: [{name: nowhere}]}\n")).empty());
  // Of a Service that is there but broken, enough is said already.
  CHECK(complaints(slice("{kubernetes.io/service-name: bad}", "addressType: IPv4\n") + "---\n" +
                   test::service_text("bad", "  ports: [{port: 0}]\n"))
            .size() == 1);
}

TEST_CASE("session affinity, source ranges, what becomes of connections",
          "[1.2/affinity-timeout]") {
  const auto with = [](const std::string& text) {
    return of_service("  ports: [{port: 80}]\n  " + text + "\n");
  };
  CHECK(with("sessionAffinity: Cookie") ==
        Said{"document 1, line 7: spec.sessionAffinity: expected one of None, ClientIP, got "
             "\"Cookie\""});
  const std::string seconds =
      "document 1, line 8: spec.sessionAffinityConfig.clientIP.timeoutSeconds: expected a number "
      "from 1 to 86400, got ";
  for (const auto* bad : {"0", "86401", "1000000000", "-1", "soon"}) {
    const auto said = with(std::string{"sessionAffinity: ClientIP\n  sessionAffinityConfig: "
                                       "{clientIP: {timeoutSeconds: "} +
                           bad + "}}");
    REQUIRE(said.size() == 1);
    CHECK(said[0].starts_with(seconds));
  }
  const std::string range =
      "document 1, line 7: spec.loadBalancerSourceRanges[0]: expected a block of addresses like "
      "203.0.113.0/24, got ";
  for (const auto* bad :
       {"10.0.0.1", "10.0.0.0/33", "'::/129'", "garbage", "10.0.0.0/8x", "1", "10.0.0.0/", "{}"}) {
    const auto said = with(std::string{"loadBalancerSourceRanges: ["} + bad + "]");
    REQUIRE(said.size() == 1);
    CHECK(said[0].starts_with(range));
  }
  CHECK(complaints("apiVersion: v1\nkind: Service\nmetadata: {name: bad, annotations: "
                   "{service.weir/on-removal: drop}}\nspec: {ports: [{port: 80}]}\n") ==
        Said{"document 1, line 3: metadata.annotations.service.weir/on-removal: expected one of "
             "keep, reset, got \"drop\""});
  CHECK(complaints("apiVersion: v1\nkind: Service\nmetadata: {name: bad, annotations: {a: b, "
                   "service.weir/weight: '-1'}}\nspec: {ports: [{port: 80}]}\n") ==
        Said{"document 1, line 3: metadata.annotations.service.weir/weight: expected no other "
             "annotation of weir's than service.weir/on-removal, got \"-1\""});
}

TEST_CASE("several problems of one object are one line each, up to a limit") {
  CHECK(of_service("  type: X\n  clusterIP: y\n  ports: [{port: 0}]\n").size() == 3);
  std::string many = "  ports:\n";
  for (int i = 0; i < 20'000; ++i) many += "  - {name: p, port: 0}\n";
  const Said said = of_service(many);
  CHECK(said.size() == 20);
  CHECK(said.back().find("more problems in this object") != std::string::npos);
}

TEST_CASE("more ports than an object can have") {
  std::string many;
  for (int i = 0; i < 100'000; ++i)
    many += fmt::format("  - {{name: p{}, port: {}}}\n", i, i % 65'535 + 1);
  const std::string expected = "ports: expected at most 20000 ports, got a list";
  CHECK(of_service("  ports:\n" + many) == Said{"document 1, line 7: spec." + expected});
  CHECK(complaints("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n"
                   "  name: s\n  labels: {kubernetes.io/service-name: good}\naddressType: IPv4\n"
                   "ports:\n" +
                   many) == Said{"document 1, line 8: " + expected});
}

TEST_CASE("a path that is not there is an error, not a line") {
  Folder folder;
  folder.options.paths = {folder.path() + "/nothing"};
  const auto opened = manifests::Source::open(folder.options);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().message() ==
        "manifests " + folder.path() + "/nothing: No such file or directory");
  CHECK(opened.error().code() == std::errc::no_such_file_or_directory);
}

TEST_CASE("what is no regular file is one line") {
  Lines lines;
  Folder folder;
  std::filesystem::create_directory(folder.file("dir.yaml"));
  folder.write("a.yaml", test::service_text("a"));
  folder.open();
  CHECK(lines.warnings ==
        Said{"manifests: " + folder.file("dir.yaml") + ": expected a regular file"});
  CHECK(folder.has("a"));
}
