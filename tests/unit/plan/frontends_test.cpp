// SPDX-License-Identifier: Apache-2.0
// Which addresses and ports a service is reached under.
#include <arpa/inet.h>
#include <fmt/format.h>

#include "support/catch.hpp"
#include "unit/plan/cluster_builder.hpp"

namespace weir::test {
namespace {

std::string_view kind_text(weir_frontend kind) {
  switch (kind) {
    case WEIR_FRONTEND_CLUSTER_IP:
      return "cluster IP";
    case WEIR_FRONTEND_NODE_PORT:
      return "node port";
    case WEIR_FRONTEND_LOAD_BALANCER:
      return "load balancer";
    case WEIR_FRONTEND_EXTERNAL_IP:
      return "external IP";
  }
  return "?";
}

// Sorted by address.
Texts frontend_texts(const WantedService& of) {
  Texts made;
  for (const auto& [key, kind] : of.frontends)
    made.push_back(fmt::format("{} {} {}", endpoint_text(Address{key.addr}, ntohs(key.port)),
                               key.proto, kind_text(kind)));
  return made;
}

Texts address_texts(const WantedTables& of) {
  Texts made;
  for (const auto& [address, bits] : of.addresses)
    made.push_back(fmt::format("{}{}{}{}", Address{address}.to_string(),
                               (bits & WEIR_ADDRESS_SERVICE) != 0 ? " service" : "",
                               (bits & WEIR_ADDRESS_NODE) != 0 ? " node" : "",
                               (bits & WEIR_ADDRESS_NODE_PORT) != 0 ? " ports" : ""));
  return made;
}

Service with_everything() {
  Service web = service("web", {port("http", 80, Protocol::tcp, 30'080)});
  web.type = ServiceType::load_balancer;
  web.cluster_ips = {ip("10.96.0.1"), ip("fd00:96::1")};
  web.external_ips = {ip("198.51.100.1"), ip("2001:db8:1::1")};
  web.load_balancer = {{.address = ip("203.0.113.1"), .proxied = false},
                       {.address = ip("203.0.113.2"), .proxied = true},
                       {.address = ip("2001:db8:2::1"), .proxied = false}};
  return web;
}

}  // namespace

TEST_CASE("every kind of frontend, by family", "[1.1/ip-mode-proxy][1.1/families-addresses]") {
  const auto tables = plan(cluster({with_everything()}), node_view());
  REQUIRE(tables.services.size() == 2);
  const auto& v4 = tables.services.at({"default/web:http", Protocol::tcp, Family::ipv4});
  CHECK(frontend_texts(v4) == Texts{"0.0.0.0:30080 6 node port", "10.96.0.1:80 6 cluster IP",
                                    "198.51.100.1:80 6 external IP",
                                    "203.0.113.1:80 6 load balancer"});
  const auto& v6 = tables.services.at({"default/web:http", Protocol::tcp, Family::ipv6});
  CHECK(frontend_texts(v6) == Texts{"[::]:30080 6 node port", "[2001:db8:1::1]:80 6 external IP",
                                    "[2001:db8:2::1]:80 6 load balancer",
                                    "[fd00:96::1]:80 6 cluster IP"});
  CHECK(v4.type == WEIR_TYPE_LOAD_BALANCER);
  CHECK(v4.port == 80);
  CHECK(tables.conflicts.empty());
}

TEST_CASE("addresses of the node and of services") {
  const auto tables = plan(cluster({with_everything()}), node_view());
  CHECK(address_texts(tables) ==
        Texts{"10.96.0.1 service", "192.0.2.1 node ports", "192.0.2.2 node", "198.51.100.1 service",
              "203.0.113.1 service", "2001:db8:1::1 service", "2001:db8:2::1 service",
              "fd00::1 node ports", "fd00:96::1 service"});
}

TEST_CASE("localhost has an address bit of its own") {
  NodeView view = node_view();
  view.localhost = {ip("127.0.0.1"), ip("::1")};
  const auto addresses = plan(cluster({with_everything()}), view).addresses;
  CHECK(addresses.at(ip("127.0.0.1").raw()) == WEIR_ADDRESS_LOCALHOST);
  CHECK(addresses.at(ip("::1").raw()) == WEIR_ADDRESS_LOCALHOST);
}

TEST_CASE("an external IP that is a node's address is both") {
  Service web = service("web");
  web.external_ips = {ip("192.0.2.1")};
  const auto tables = plan(cluster({web}), node_view());
  CHECK(tables.addresses.at(ip("192.0.2.1").raw()) ==
        (WEIR_ADDRESS_SERVICE | WEIR_ADDRESS_NODE | WEIR_ADDRESS_NODE_PORT));
}

TEST_CASE("a service is in a family only by its cluster IP",
          "[1.1/families][1.1/families-node-port]") {
  Service web = with_everything();
  web.cluster_ips = {ip("fd00:96::1")};
  const auto tables = plan(cluster({web}), node_view());
  CHECK(only(tables).frontends.size() == 4);
  CHECK(tables.services.begin()->first.family == Family::ipv6);
  CHECK_FALSE(tables.addresses.contains(ip("203.0.113.1").raw()));
}

TEST_CASE("services that are not planned", "[1.1/external-name][1.1/headless]") {
  Service web = with_everything();
  SECTION("headless") {
    web.cluster_ips.clear();
  }
  SECTION("ExternalName") {
    web.type = ServiceType::external_name;
  }
  SECTION("no ports") {
    web.ports.clear();
  }
  const auto tables = plan(cluster({web}), node_view());
  CHECK(tables.services.empty());
  CHECK(address_texts(tables) ==
        Texts{"192.0.2.1 node ports", "192.0.2.2 node", "fd00::1 node ports"});
}

TEST_CASE("identities") {
  Service web = service("web", {port("", 80), port("dns", 53, Protocol::udp),
                                port("dns", 53, Protocol::tcp), port("sctp", 99, Protocol::sctp)});
  const auto tables = plan(cluster({web}), node_view());
  Texts names;
  for (const auto& [identity, wanted] : tables.services) names.push_back(identity.to_string());
  CHECK(names == Texts{"default/web TCP IPv4", "default/web:dns TCP IPv4",
                       "default/web:dns UDP IPv4", "default/web:sctp SCTP IPv4"});
}

TEST_CASE("a frontend that two services claim") {
  Service api = service("api");
  Service web = service("web");
  web.cluster_ips = {ip("10.96.0.2")};
  SECTION("external IP") {
    api.external_ips = web.external_ips = {ip("203.0.113.1")};
  }
  SECTION("an external IP against a cluster IP") {
    api.external_ips = {ip("10.96.0.2")};
  }
  SECTION("node port") {
    api.type = web.type = ServiceType::node_port;
    api.ports[0].node_port = web.ports[0].node_port = 30'080;
  }
  const auto tables = plan(cluster({web, api}), node_view());
  const ServiceIdentity first{"default/api:http", Protocol::tcp, Family::ipv4};
  const ServiceIdentity second{"default/web:http", Protocol::tcp, Family::ipv4};
  REQUIRE(tables.conflicts.size() == 1);
  CHECK(tables.conflicts[0].kept == first);
  CHECK(tables.conflicts[0].lost == second);
  CHECK(tables.services.at(first).frontends.contains(tables.conflicts[0].key));
  CHECK_FALSE(tables.services.at(second).frontends.contains(tables.conflicts[0].key));
}

TEST_CASE("another port or another protocol is no conflict", "[1.1/protocol-same-port]") {
  const Service api = service("api");
  const Service web = service("web", {port("http", 80, Protocol::udp), port("other", 81)});
  CHECK(plan(cluster({web, api}), node_view()).conflicts.empty());
}

TEST_CASE("addresses that nobody can have") {
  Service web = service("web");
  web.external_ips = {ip("0.0.0.0")};
  web.load_balancer = {{.address = ip("0.0.0.0"), .proxied = false}};
  CHECK(frontend_texts(only(plan(cluster({web}), node_view()))) ==
        Texts{"10.96.0.1:80 6 cluster IP"});
}

TEST_CASE("one address twice in a service") {
  Service web = service("web");
  web.type = ServiceType::load_balancer;
  web.external_ips = {ip("203.0.113.1"), ip("203.0.113.1")};
  web.load_balancer = {{.address = ip("203.0.113.1"), .proxied = false}};
  const auto tables = plan(cluster({web}), node_view());
  CHECK(frontend_texts(only(tables)) ==
        Texts{"10.96.0.1:80 6 cluster IP", "203.0.113.1:80 6 load balancer"});
  CHECK(tables.conflicts.empty());
}

TEST_CASE("two ports of one name in a service") {
  const Service web = service("web", {port("http", 80), port("http", 81)});
  CHECK(only(plan(cluster({web}), node_view())).port == 80);
}

}  // namespace weir::test
