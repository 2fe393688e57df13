// SPDX-License-Identifier: Apache-2.0
// What the manifests leave out: a function of the manifests alone.
#include <algorithm>
#include <random>
#include <set>

#include "folder.hpp"
#include "source/manifests/hash.hpp"
#include "source/manifests/pool.hpp"

using namespace weir;
using manifests::AddressPool;
using manifests::fnv1a;
using manifests::NumberPool;
using test::Folder;
using test::Lines;
using test::service_text;
using test::texts;

namespace {

Cidr block(const char* text) {
  return Cidr::parse(text).value();
}

std::vector<std::string> all_of(const char* cidr, std::uint64_t start = 0) {
  AddressPool pool{block(cidr)};
  std::vector<std::string> result;
  while (const auto taken = pool.take(start)) {
    result.push_back(taken->address.to_string());
    if (result.size() > 100) break;
  }
  return result;
}

const std::string kNodePort = "  type: NodePort\n  ports: [{port: 80}]\n";
const std::string kBalancer = "  type: LoadBalancer\n  ports: [{port: 80}]\n";

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("the hash is FNV-1a, and parts do not run together") {
  // The second is that of one NUL, computed from the published constants elsewhere.
  CHECK(fnv1a({}) == 0xcbf29ce484222325U);
  CHECK(fnv1a({""}) == 0xaf63bd4c8601b7dfU);
  CHECK(fnv1a({"ab", "c"}) != fnv1a({"a", "bc"}));
}

TEST_CASE("the hash is the same today and tomorrow") {
  // If this fails, nodes of two versions disagree about every allocated address. The numbers were
  // computed by a script of its own.
  Folder folder;
  folder.options.service_cidrs = {block("10.96.0.0/12"), block("fd00:96::/108")};
  folder.options.load_balancer_pools = {block("192.0.2.0/24")};
  folder.write("a.yaml", service_text("svc-3", kBalancer + "  ipFamilyPolicy: PreferDualStack\n"));
  folder.open();
  const Service& service = folder.service("svc-3");
  CHECK(texts(service.cluster_ips) == Names{"10.99.224.88", "fd00:96::f:f646"});
  CHECK(service.ports[0].node_port == 32'049);
  CHECK(service.load_balancer.at(0).address.to_string() == "192.0.2.179");
}

TEST_CASE("pools leave out network, broadcast and anycast addresses, and probe round") {
  CHECK(all_of("10.0.0.4/30") == Names{"10.0.0.5", "10.0.0.6"});
  CHECK(all_of("10.0.0.8/29", 4) ==
        Names{"10.0.0.13", "10.0.0.14", "10.0.0.9", "10.0.0.10", "10.0.0.11", "10.0.0.12"});
  CHECK(all_of("10.0.0.4/31") == Names{"10.0.0.4", "10.0.0.5"});
  CHECK(all_of("10.0.0.4/32") == Names{"10.0.0.4"});
  CHECK(all_of("fd00::4/126") == Names{"fd00::5", "fd00::6", "fd00::7"});
  CHECK(all_of("fd00::4/128") == Names{"fd00::4"});
  AddressPool all{block("0.0.0.0/0")};
  CHECK(all.take(0)->address.to_string() == "0.0.0.1");
  CHECK(all.take((std::uint64_t{1} << 32) - 3)->address.to_string() == "255.255.255.254");
  AddressPool wide{block("fd00:1:2:3::/64")};
  CHECK(wide.take(0xfffffffe)->address.to_string() == "fd00:1:2:3::ffff:ffff");
}

TEST_CASE("what is reserved is not given away, and comes back when released") {
  AddressPool pool{block("10.0.0.8/30")};
  pool.reserve(Address::parse("10.0.0.9").value());
  pool.reserve(Address::parse("10.0.0.8").value());   // the network: not in the pool at all
  pool.reserve(Address::parse("10.0.0.12").value());  // of the next block
  pool.reserve(Address::parse("10.9.0.10").value());
  pool.reserve(Address::parse("fd00::a").value());
  const auto taken = pool.take(0);
  REQUIRE(taken);
  CHECK(taken->address.to_string() == "10.0.0.10");
  CHECK(taken->wished.to_string() == "10.0.0.9");
  CHECK_FALSE(pool.take(0));
  pool.release(Address::parse("10.0.0.9").value());
  CHECK(pool.take(0)->address.to_string() == "10.0.0.9");
  NumberPool none{0};
  CHECK_FALSE(none.take(1));
}

TEST_CASE("the same manifests give the same state, in whatever files and order they are") {
  std::vector<std::string> objects;
  for (int i = 0; i < 60; ++i) {
    const std::string name = "svc-" + std::to_string(i);
    objects.push_back(service_text(
        name, i % 7 == 0
                  ? "  type: NodePort\n  clusterIP: 10.96.0." + std::to_string(i + 1) +
                        "\n  ports: [{port: 80, nodePort: " + std::to_string(30'000 + i) + "}]\n"
                  : kBalancer));
  }
  std::mt19937 random{1};
  ClusterState first;
  for (int round = 0; round < 4; ++round) {
    Lines lines;
    Folder folder;
    // Tight, so that most allocations collide.
    folder.options.service_cidrs = {block("10.96.0.0/25")};
    folder.options.load_balancer_pools = {block("192.0.2.0/26")};
    folder.options.node_port_last = 30'070;
    std::shuffle(objects.begin(), objects.end(), random);
    std::map<std::string, std::string> files;
    for (const auto& object : objects)
      files["f" + std::to_string(random() % 5) + ".yaml"] += "---\n" + object;
    for (const auto& [name, text] : files) folder.write(name, text);
    folder.open();
    CHECK(lines.warnings.empty());
    CHECK_FALSE(lines.infos.empty());  // collisions
    REQUIRE(folder.state().services.size() == 60);
    if (round == 0)
      first = folder.state();
    else
      CHECK(folder.state() == first);
  }
  std::set<Address> ips;
  std::set<std::uint16_t> node_ports;
  std::set<Address> balancers;
  for (const auto& [key, service] : first.services) {
    CHECK(ips.insert(service.cluster_ips.at(0)).second);
    CHECK(block("10.96.0.0/25").contains(service.cluster_ips[0]));
    CHECK(node_ports.insert(service.ports.at(0).node_port).second);
    CHECK(service.ports[0].node_port >= 30'000);
    CHECK(service.ports[0].node_port <= 30'070);
    for (const auto& balancer : service.load_balancer)
      CHECK(balancers.insert(balancer.address).second);
  }
  CHECK(first.services.at({"default", "svc-7"}).cluster_ips[0].to_string() == "10.96.0.8");
  CHECK(first.services.at({"default", "svc-7"}).ports[0].node_port == 30'007);
}

TEST_CASE("a stated address or port goes before an allocated one, whatever the order") {
  Folder folder;
  folder.options.service_cidrs = {block("10.96.0.0/30")};
  folder.options.node_port_last = 30'001;
  folder.write("a.yaml", service_text("a", kNodePort));
  folder.open();
  const std::string ip = folder.service("a").cluster_ips[0].to_string();
  const std::string port = std::to_string(folder.service("a").ports[0].node_port);
  folder.write("z.yaml",
               service_text("z", "  type: NodePort\n  clusterIP: " + ip +
                                     "\n  ports: [{port: 80, nodePort: " + port + "}]\n"));
  Lines lines;
  REQUIRE(folder.until([&] { return folder.has("z"); }));
  CHECK(folder.service("z").cluster_ips[0].to_string() == ip);
  CHECK(folder.service("a").cluster_ips[0].to_string() != ip);
  CHECK(std::to_string(folder.service("a").ports[0].node_port) != port);
  CHECK(lines.warnings.empty());
  CHECK(lines.infos.size() == 2);
  CHECK(lines.infos.at(0) == "manifests: " + folder.file("a.yaml") +
                                 ": document 1, line 6: Service default/a: cluster IP " + ip +
                                 " is taken, " + folder.service("a").cluster_ips[0].to_string() +
                                 " instead");
}

TEST_CASE("an exhausted pool is a warning on the service that did not fit, and on no other") {
  Lines lines;
  Folder folder;
  folder.options.service_cidrs = {block("10.96.0.0/30")};
  folder.write("a.yaml",
               service_text("a") + "---\n" + service_text("b") + "---\n" + service_text("c"));
  folder.open();
  CHECK(folder.state().services.size() == 2);
  CHECK_FALSE(folder.has("c"));
  REQUIRE(lines.warnings.size() == 1);
  CHECK(lines.warnings[0] == "manifests: " + folder.file("a.yaml") +
                                 ": document 3, line 20: Service default/c: spec.clusterIP: no "
                                 "address is left in 10.96.0.0/30");
}

TEST_CASE("exhausted node ports leave a service out; an exhausted balancer pool does not") {
  Lines lines;
  Folder folder;
  folder.options.node_port_last = 30'001;
  folder.options.load_balancer_pools = {block("192.0.2.1/32")};
  folder.write("a.yaml", service_text("a", kBalancer) + "---\n" + service_text("b", kBalancer) +
                             "---\n" + service_text("c", kNodePort) + "---\n" +
                             service_text("d",
                                          "  type: NodePort\n  ports: [{port: 80, protocol: "
                                          "UDP}]\n"));
  folder.open();
  CHECK(folder.service("a").load_balancer.size() == 1);
  CHECK(folder.service("b").load_balancer.empty());
  CHECK_FALSE(folder.has("c"));
  CHECK(folder.has("d"));
  REQUIRE(lines.warnings.size() == 2);
  CHECK(lines.warnings[0].find("c: spec.ports[0].nodePort: no TCP node port is left from 30000 to "
                               "30001") != std::string::npos);
  CHECK(lines.warnings[1].find("b: no load-balancer address is left in 192.0.2.1/32") !=
        std::string::npos);
}

TEST_CASE("health check node ports are allocated like node ports, beside those of TCP") {
  const std::string local = "  externalTrafficPolicy: Local\n";
  const auto load = [](Folder& folder, const std::string& text) {
    folder.write("a.yaml", text);
    folder.open();
  };
  {
    Folder folder;
    load(folder, service_text("lb", kBalancer + local) + "---\n" +
                     service_text("np", kNodePort + local) + "---\n" +
                     service_text("cluster", kBalancer));
    // If this fails, nodes of two versions disagree. The number is from a script of its own.
    CHECK(folder.service("lb").health_check_node_port == 30'208);
    CHECK(folder.service("np").health_check_node_port == 0);
    CHECK(folder.service("cluster").health_check_node_port == 0);
  }
  // Three numbers: one is stated elsewhere, one is the node port. UDP may have the same.
  Folder folder;
  Lines lines;
  folder.options.node_port_last = 30'002;
  const std::string udp = "  type: NodePort\n  ports: [{port: 80, protocol: UDP}]\n";
  load(folder, service_text("a", kBalancer + local) + "---\n" + service_text("b", kNodePort) +
                   "---\n" + service_text("c", udp) + "---\n" + service_text("d", udp) + "---\n" +
                   service_text("e", udp));
  CHECK(folder.state().services.size() == 5);
  CHECK(std::set{folder.service("a").ports[0].node_port, folder.service("b").ports[0].node_port,
                 folder.service("a").health_check_node_port}
            .size() == 3);
  folder.write("b.yaml", service_text("f", kBalancer + local));
  REQUIRE(folder.until([&] { return !lines.warnings.empty(); }));
  CHECK_FALSE(folder.has("f"));
  // What is stated goes before what is allocated, in whatever order they stand.
  Folder stated;
  stated.options.node_port_last = 30'002;
  load(stated, service_text("a", kBalancer + local) + "---\n" +
                   service_text("z", kNodePort.substr(0, kNodePort.find("port: 80")) +
                                         "port: 80, nodePort: 30001}]\n"));
  CHECK(stated.service("z").ports[0].node_port == 30'001);
  CHECK(stated.service("a").health_check_node_port != 30'001);
  CHECK(stated.service("a").ports[0].node_port != 30'001);
  // A health check node port that is stated: the others get what is left.
  Folder left;
  left.options.node_port_last = 30'009;
  std::string text = service_text("z", kBalancer + local +
                                           "  allocateLoadBalancerNodePorts: false\n"
                                           "  healthCheckNodePort: 30005\n");
  for (int i = 0; i < 9; ++i) text += "---\n" + service_text("s" + std::to_string(i), kNodePort);
  load(left, text);
  CHECK(left.service("z").health_check_node_port == 30'005);
  std::set<std::uint16_t> given;
  for (int i = 0; i < 9; ++i)
    given.insert(left.service("s" + std::to_string(i)).ports[0].node_port);
  CHECK(given.size() == 9);
  CHECK_FALSE(given.contains(30'005));
}

TEST_CASE("a service with more ports than there are is refused quickly and takes none") {
  Lines lines;
  Folder folder;
  std::string ports = "  type: NodePort\n  ports:\n";
  for (int i = 1; i <= 5'000; ++i)
    ports += "  - {name: p" + std::to_string(i) + ", port: " + std::to_string(i) + "}\n";
  folder.write("a.yaml", service_text("a", ports) + "---\n" + service_text("b", kNodePort));
  folder.open();
  CHECK_FALSE(folder.has("a"));
  CHECK(folder.has("b"));
  CHECK(lines.warnings.size() == 1);
}

TEST_CASE("which families a service gets", "[1.1/families-from-address][1.1/families-order]") {
  const auto families = [](const std::string& spec, bool second_cidr = true) {
    Lines lines;
    Folder folder;
    if (second_cidr) folder.options.service_cidrs.push_back(block("fd00:96::/108"));
    folder.write("a.yaml", service_text("a", "  ports: [{port: 80}]\n" + spec));
    folder.open();
    if (!folder.has("a")) return lines.warnings.size() == 1 ? "refused" : "refused, unclear";
    const auto& ips = folder.service("a").cluster_ips;
    if (ips.size() == 2) return ips[0].family() == Family::ipv4 ? "46" : "64";
    return ips.at(0).family() == Family::ipv4 ? "4" : "6";
  };
  CHECK(families("") == std::string{"4"});
  CHECK(families("  ipFamilyPolicy: SingleStack\n") == std::string{"4"});
  CHECK(families("  ipFamilies: [IPv6]\n") == std::string{"6"});
  CHECK(families("  ipFamilies: [IPv6, IPv4]\n") == std::string{"64"});
  CHECK(families("  ipFamilyPolicy: PreferDualStack\n") == std::string{"46"});
  CHECK(families("  ipFamilyPolicy: PreferDualStack\n", false) == std::string{"4"});
  CHECK(families("  ipFamilyPolicy: RequireDualStack\n") == std::string{"46"});
  CHECK(families("  ipFamilyPolicy: RequireDualStack\n", false) == std::string{"refused"});
  CHECK(families("  ipFamilyPolicy: SingleStack\n  ipFamilies: [IPv4, IPv6]\n") ==
        std::string{"refused"});
  CHECK(families("  ipFamilies: [IPv6]\n", false) == std::string{"refused"});
  CHECK(families("  clusterIP: 'fd00:96::5'\n", false) == std::string{"6"});
  CHECK(families("  clusterIP: 'fd00:96::5'\n  ipFamilyPolicy: PreferDualStack\n") ==
        std::string{"64"});
  CHECK(families("  clusterIPs: ['fd00:96::5', 10.96.0.5]\n") == std::string{"64"});
}

TEST_CASE("who gets node ports and load-balancer addresses",
          "[1.1/load-balancer-hostname][1.1/no-node-ports][1.1/no-node-ports-kept]") {
  Folder folder;
  folder.options.load_balancer_pools = {block("192.0.2.0/24"), block("2001:db8::/64")};
  folder.options.service_cidrs.push_back(block("fd00:96::/108"));
  folder.write("a.yaml",
               service_text("ip") + "---\n" + service_text("np", kNodePort) + "---\n" +
                   service_text("lb", kBalancer) + "---\n" +
                   service_text("without", kBalancer + "  allocateLoadBalancerNodePorts: false\n") +
                   "---\n" +
                   service_text("kept",
                                "  type: LoadBalancer\n  allocateLoadBalancerNodePorts: false\n"
                                "  ports: [{port: 80, nodePort: 30099}]\n") +
                   "---\n" +
                   service_text("dual", kBalancer + "  ipFamilyPolicy: PreferDualStack\n") +
                   "---\n" +
                   service_text("named", kBalancer + "status: {loadBalancer: {ingress: "
                                                     "[{hostname: a.example}]}}\n"));
  folder.open();
  CHECK(folder.service("ip").ports[0].node_port == 0);
  CHECK(folder.service("ip").load_balancer.empty());
  CHECK(folder.service("np").ports[0].node_port != 0);
  CHECK(folder.service("np").load_balancer.empty());
  CHECK(folder.service("lb").ports[0].node_port != 0);
  CHECK(folder.service("lb").load_balancer.size() == 1);
  CHECK(folder.service("without").ports[0].node_port == 0);
  CHECK(folder.service("without").load_balancer.size() == 1);
  CHECK(folder.service("kept").ports[0].node_port == 30'099);
  CHECK(folder.service("dual").load_balancer.size() == 2);
  CHECK(folder.service("named").load_balancer.empty());
}
