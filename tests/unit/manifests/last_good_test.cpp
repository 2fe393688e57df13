// SPDX-License-Identifier: Apache-2.0
// Bad input changes nothing but what it must, and is said once.
#include <algorithm>

#include "folder.hpp"

using namespace weir;
using test::Folder;
using test::Lines;
using test::pod_text;
using test::service_text;

namespace {

std::string with_port(const std::string& name, const std::string& port) {
  return service_text(name, "  ports: [{port: " + port + "}]\n");
}

int port_of(const Folder& folder, const std::string& name) {
  return folder.has(name) ? folder.service(name).ports.at(0).port : 0;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a syntax error keeps the file's whole last content, and touches no other file") {
  Folder folder;
  folder.write("a.yaml", with_port("a1", "1") + "---\n" + with_port("a2", "2"));
  folder.write("b.yaml", with_port("b", "3"));
  folder.open();
  Lines lines;
  // The first document is good and changed, but the file is not.
  folder.write("a.yaml", with_port("a1", "11") + "---\nkind: [\n");
  folder.write("b.yaml", with_port("b", "33"));
  REQUIRE(folder.until([&] { return port_of(folder, "b") == 33 && !lines.warnings.empty(); }));
  folder.settle();
  CHECK(port_of(folder, "a1") == 1);
  CHECK(port_of(folder, "a2") == 2);
  REQUIRE(lines.warnings.size() == 1);
  CHECK(contains(lines.warnings[0], "a.yaml: document 2, line "));
  CHECK(contains(lines.warnings[0], "not valid YAML"));
  folder.write("a.yaml", with_port("a1", "11"));
  REQUIRE(folder.until([&] { return port_of(folder, "a1") == 11; }));
  CHECK_FALSE(folder.has("a2"));
  CHECK(lines.warnings.size() == 1);
}

TEST_CASE("a bad object keeps its last good version, the others of its file change") {
  Folder folder;
  folder.write("a.yaml", with_port("one", "1") + "---\n" + with_port("two", "2"));
  folder.open();
  Lines lines;
  folder.write("a.yaml", with_port("one", "0") + "---\n" + with_port("two", "22") + "---\n" +
                             with_port("never-good", "x"));
  REQUIRE(folder.until([&] { return port_of(folder, "two") == 22; }));
  CHECK(port_of(folder, "one") == 1);
  CHECK_FALSE(folder.has("never-good"));
  CHECK(lines.take_warnings().size() == 2);
  // Twice broken in a row: still the last good one.
  folder.write("a.yaml", with_port("one", "-1") + "---\n" + with_port("two", "222"));
  REQUIRE(folder.until([&] { return port_of(folder, "two") == 222; }));
  CHECK(port_of(folder, "one") == 1);
  CHECK(lines.take_warnings().size() == 1);
  // An object that is no longer in the file is gone, broken or not.
  folder.write("a.yaml", with_port("two", "2"));
  REQUIRE(folder.until([&] { return !folder.has("one"); }));
  CHECK(lines.take_warnings().empty());
}

TEST_CASE("an unchanged problem is not said again when other files change") {
  Lines lines;
  Folder folder;
  folder.write("bad.yaml", with_port("bad", "x") + "---\nkind: ConfigMap\napiVersion: v1\n");
  folder.write("syntax.yaml", "[");
  folder.write("a.yaml", with_port("a", "1"));
  folder.open();
  CHECK(lines.warnings.size() == 2);
  CHECK(lines.infos.size() == 1);
  for (int i = 2; i < 5; ++i) {
    folder.write("a.yaml", with_port("a", std::to_string(i)));
    REQUIRE(folder.until([&] { return port_of(folder, "a") == i; }));
  }
  CHECK(lines.take_warnings().size() == 2);
  CHECK(lines.infos.size() == 1);
  // Mended and broken again, it is.
  folder.write("bad.yaml", with_port("bad", "7"));
  REQUIRE(folder.until([&] { return port_of(folder, "bad") == 7; }));
  folder.write("bad.yaml", with_port("bad", "x"));
  REQUIRE(folder.until([&] { return !lines.warnings.empty(); }));
  CHECK(lines.warnings.size() == 1);
  CHECK(port_of(folder, "bad") == 7);
}

TEST_CASE("an object whose name is broken may be any that is missing: those stay") {
  Folder folder;
  folder.write("a.yaml", with_port("one", "1") + "---\n" + with_port("two", "2") + "---\n" +
                             "apiVersion: v1\nkind: Node\nmetadata: {name: n}\n");
  folder.open();
  Lines lines;
  folder.write("a.yaml",
               "apiVersion: v1\nkind: Service\nmetadata: {}\nspec: {ports: [{port: 1}]}\n"
               "---\n" +
                   with_port("two", "22"));
  REQUIRE(folder.until([&] { return port_of(folder, "two") == 22; }));
  CHECK(port_of(folder, "one") == 1);
  CHECK(folder.state().nodes.empty());  // the broken one is a Service
  CHECK(lines.warnings.size() == 1);
}

TEST_CASE("a broken namespace is not the default one") {
  const auto text = [](const std::string& ns) {
    return "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: " + ns +
           "}\nspec: {ports: [{port: 80}]}\n";
  };
  Folder folder;
  folder.write("a.yaml", text("shop"));
  folder.open();
  Lines lines;
  folder.write("a.yaml", text("7"));
  REQUIRE(folder.until([&] { return !lines.warnings.empty(); }));
  CHECK(lines.warnings.size() == 1);
  CHECK(folder.has("x", "shop"));
  CHECK_FALSE(folder.has("x"));
}

TEST_CASE("who is served keeps its cluster IP, whatever file claims it next") {
  const std::string claim = "  clusterIP: 10.96.0.1\n  ports: [{port: 80}]\n";
  Folder folder;
  folder.write("b.yaml", service_text("b", claim));
  folder.open();
  Lines lines;
  folder.write("a.yaml", service_text("a", claim));
  REQUIRE(folder.until([&] { return !lines.warnings.empty(); }));
  CHECK(lines.warnings.size() == 1);
  CHECK(folder.has("b"));
  CHECK_FALSE(folder.has("a"));
  // Also if it changes otherwise.
  folder.write("b.yaml", service_text("b", claim + "  internalTrafficPolicy: Local\n"));
  REQUIRE(
      folder.until([&] { return folder.service("b").internal_policy == TrafficPolicy::local; }));
  CHECK_FALSE(folder.has("a"));
  std::filesystem::remove(folder.file("b.yaml"));
  REQUIRE(folder.until([&] { return folder.has("a"); }));
}

TEST_CASE("of two objects of one name the first by file name counts, and the other steps in") {
  Lines lines;
  Folder folder;
  folder.write("b.yaml", with_port("x", "2"));
  folder.write("c.yaml", with_port("x", "3"));
  folder.open();
  CHECK(port_of(folder, "x") == 2);
  CHECK(lines.take_warnings().size() == 1);
  folder.write("a.yaml", with_port("x", "1"));
  REQUIRE(folder.until([&] { return port_of(folder, "x") == 1; }));
  CHECK(lines.take_warnings().size() == 2);
  std::filesystem::remove(folder.file("a.yaml"));
  std::filesystem::remove(folder.file("b.yaml"));
  REQUIRE(folder.until([&] { return port_of(folder, "x") == 3; }));
  CHECK(lines.take_warnings().empty());
}

TEST_CASE("a duplicate cluster IP or node port keeps the service's last good version") {
  const auto ip = [](const std::string& name, const std::string& address, const std::string& port) {
    return service_text(name, "  type: NodePort\n  clusterIP: 10.96.0." + address +
                                  "\n  ports: [{port: 80, nodePort: " + port + "}]\n");
  };
  Folder folder;
  folder.write("a.yaml", ip("a", "1", "30001"));
  folder.write("b.yaml", ip("b", "2", "30002"));
  folder.open();
  Lines lines;
  const auto ip_of = [&](const std::string& name) {
    return folder.has(name) ? folder.service(name).cluster_ips.at(0).to_string() : "none";
  };
  folder.write("b.yaml", ip("b", "1", "30003"));
  REQUIRE(folder.until([&] { return lines.warnings.size() == 1; }));
  CHECK(contains(lines.take_warnings()[0], "spec.clusterIP: expected an address of its own"));
  CHECK(ip_of("b") == "10.96.0.2");
  CHECK(folder.service("b").ports[0].node_port == 30'002);
  folder.write("b.yaml", ip("b", "3", "30001"));
  REQUIRE(folder.until([&] { return lines.warnings.size() == 1; }));
  CHECK(contains(lines.take_warnings()[0], "nodePort: expected a TCP node port of its own"));
  CHECK(ip_of("b") == "10.96.0.2");
  // New, and in conflict: left out; the rest is as it was.
  folder.write("c.yaml", ip("c", "2", "30004"));
  REQUIRE(folder.until([&] { return lines.warnings.size() == 1; }));
  CHECK_FALSE(folder.has("c"));
  // The conflict ends: the newest version takes effect without its file being touched.
  folder.write("a.yaml", ip("a", "9", "30009"));
  REQUIRE(folder.until([&] { return ip_of("a") == "10.96.0.9"; }));
  CHECK(ip_of("b") == "10.96.0.3");
  CHECK(folder.service("b").ports[0].node_port == 30'001);
  CHECK(ip_of("c") == "10.96.0.2");
}

TEST_CASE("who is served keeps its health check node port, whatever file claims it next") {
  const auto balancer = [](const std::string& name, const std::string& number) {
    return service_text(name,
                        "  type: LoadBalancer\n  externalTrafficPolicy: Local\n"
                        "  ports: [{port: 80, nodePort: 3100" +
                            number + "}]\n  healthCheckNodePort: 3200" + number + "\n");
  };
  Folder folder;
  folder.write("b.yaml", balancer("b", "1"));
  folder.open();
  Lines lines;
  std::string thief = balancer("a", "2");
  thief.replace(thief.find("32002"), 5, "32001");
  folder.write("a.yaml", thief);
  REQUIRE(folder.until([&] { return lines.warnings.size() == 1; }));
  CHECK(contains(lines.take_warnings()[0],
                 "spec.healthCheckNodePort: expected a TCP node port of its own, got 32001"));
  CHECK(folder.service("b").health_check_node_port == 32'001);
  CHECK_FALSE(folder.has("a"));
  // A change of this number alone is a new claim, which goes behind those that are served.
  std::filesystem::remove(folder.file("a.yaml"));
  folder.write("c.yaml", balancer("c", "3"));
  REQUIRE(folder.until([&] { return folder.has("c"); }));
  std::string moved = balancer("b", "1");
  moved.replace(moved.find("32001"), 5, "32003");
  folder.write("b.yaml", moved);
  REQUIRE(folder.until([&] { return !lines.warnings.empty(); }));
  CHECK(folder.service("c").health_check_node_port == 32'003);
  CHECK(folder.service("b").health_check_node_port == 32'001);
}

TEST_CASE("a service that no longer fits goes back to its last version") {
  Folder folder;
  folder.options.node_port_last = 30'001;
  // With an address of its own, which it must not refuse itself.
  const std::string head = "  type: NodePort\n  clusterIP: 10.96.0.1\n";
  const std::string one = head + "  ports: [{name: a, port: 80}]\n";
  const std::string three =
      head + "  ports: [{name: a, port: 80}, {name: b, port: 81}, {name: c, port: 82}]\n";
  folder.write("a.yaml", service_text("a", one));
  folder.open();
  Lines lines;
  folder.write("a.yaml", service_text("a", three));
  REQUIRE(folder.until([&] { return !lines.warnings.empty(); }));
  CHECK(lines.warnings.size() == 1);
  REQUIRE(folder.has("a"));
  CHECK(folder.service("a").ports.size() == 1);
}

TEST_CASE("an EndpointSlice without its Service is said, kept, and used when that appears") {
  Lines lines;
  Folder folder;
  folder.write("a.yaml",
               "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s, labels: "
               "{kubernetes.io/service-name: svc}}\naddressType: IPv4\n");
  folder.open();
  CHECK(lines.take_warnings().size() == 1);
  CHECK(folder.state().slices.size() == 1);
  folder.write("b.yaml", service_text("svc"));
  REQUIRE(folder.until([&] { return folder.has("svc"); }));
  CHECK(lines.take_warnings().empty());
  std::filesystem::remove(folder.file("b.yaml"));
  REQUIRE(folder.until([&] { return !folder.has("svc"); }));
  CHECK(lines.take_warnings().size() == 1);
}

TEST_CASE("a type that flips tears the service down and brings it back",
          "[1.1/external-name-flip]") {
  Folder folder;
  const auto text = [](const std::string& type) {
    return service_text("x", "  type: " + type + "\n  ports: [{port: 80}]\n");
  };
  folder.write("a.yaml", text("ClusterIP"));
  folder.open();
  CHECK(folder.has("x"));
  Lines lines;
  folder.write("a.yaml", text("ExternalName"));
  REQUIRE(folder.until([&] { return !folder.has("x"); }));
  folder.write("a.yaml", text("NodePort"));
  REQUIRE(folder.until([&] { return folder.has("x"); }));
  CHECK(lines.warnings.empty());
}
