// SPDX-License-Identifier: Apache-2.0
// Traffic policies, readiness and topology, where the table of cases leaves something open.
#include "support/catch.hpp"
#include "unit/plan/cluster_builder.hpp"

namespace weir::test {
namespace {

constexpr auto kHere = kThisNode;

WantedService plan_one(const Service& of, std::vector<Endpoint> endpoints) {
  return only(plan(cluster({of}, {slice("a", of, std::move(endpoints))}), node_view()));
}

WantedService plan_udp(std::vector<Endpoint> endpoints) {
  const Service dns = service("dns", {port("dns", 53, Protocol::udp)});
  return only(
      plan(cluster({dns}, {slice("a", dns, std::move(endpoints),
                                 {{.name = "dns", .protocol = Protocol::udp, .port = 53}})}),
           node_view()));
}

}  // namespace

TEST_CASE("policy flags say what the lists are for", "[1.2/external-local-accessible]") {
  Service web = service("web");
  const std::vector<Endpoint> endpoints{endpoint("10.1.0.1", kHere), endpoint("10.1.0.2")};

  SECTION("neither") {
    CHECK(plan_one(web, endpoints).flags == WEIR_VERSION_HAS_ENDPOINT);
    CHECK(plan_one(web, endpoints).local.empty());
  }
  SECTION("internal, no way in from outside: nothing uses the cluster list") {
    web.internal_policy = TrafficPolicy::local;
    const auto wanted = plan_one(web, endpoints);
    CHECK(wanted.flags == (WEIR_VERSION_HAS_ENDPOINT | WEIR_VERSION_INTERNAL_LOCAL));
    CHECK(wanted.cluster.empty());
    CHECK(texts(wanted.local) == Texts{"10.1.0.1:8080"});
    // The other one keeps the flows that it may have.
    CHECK(backend_texts(wanted) == Texts{"10.1.0.1:8080 active local", "10.1.0.2:8080 active"});
  }
  SECTION("internal, with a node port: outside clients use the cluster list") {
    web.internal_policy = TrafficPolicy::local;
    web.type = ServiceType::node_port;
    web.ports[0].node_port = 30'080;
    const auto wanted = plan_one(web, endpoints);
    CHECK(wanted.flags == (WEIR_VERSION_HAS_ENDPOINT | WEIR_VERSION_INTERNAL_LOCAL));
    CHECK(texts(wanted.cluster) == Texts{"10.1.0.1:8080", "10.1.0.2:8080"});
    CHECK(texts(wanted.local) == Texts{"10.1.0.1:8080"});
  }
  SECTION("external, without a way in: ignored") {
    web.external_policy = TrafficPolicy::local;
    CHECK(plan_one(web, endpoints).flags == WEIR_VERSION_HAS_ENDPOINT);
    CHECK(plan_one(web, endpoints).local.empty());
  }
  SECTION("external, ways in") {
    web.external_policy = TrafficPolicy::local;
    const auto flags = WEIR_VERSION_HAS_ENDPOINT | WEIR_VERSION_EXTERNAL_LOCAL;
    SECTION("an external IP") {
      web.external_ips = {ip("203.0.113.9")};
    }
    SECTION("a load balancer's address") {
      web.type = ServiceType::load_balancer;
      web.load_balancer = {{.address = ip("203.0.113.9"), .proxied = false}};
    }
    SECTION("a node port") {
      web.type = ServiceType::node_port;
      web.ports[0].node_port = 30'080;
    }
    CHECK(plan_one(web, endpoints).flags == flags);
    CHECK(texts(plan_one(web, endpoints).local) == Texts{"10.1.0.1:8080"});
    CHECK(plan_one(web, endpoints).cluster.size() == 2);
  }
  SECTION("external, ways in that do not count") {
    web.external_policy = TrafficPolicy::local;
    SECTION("an external IP of the other family") {
      web.external_ips = {ip("2001:db8::9")};
    }
    SECTION("an address that the load balancer serves itself") {
      web.type = ServiceType::load_balancer;
      web.load_balancer = {{.address = ip("203.0.113.9"), .proxied = true}};
    }
    CHECK(plan_one(web, endpoints).flags == WEIR_VERSION_HAS_ENDPOINT);
    CHECK(plan_one(web, endpoints).local.empty());
  }
}

TEST_CASE("each list falls back to terminating endpoints by itself",
          "[1.2/conditions-terminating]") {
  Service web = service("web");
  web.type = ServiceType::node_port;
  web.ports[0].node_port = 30'080;
  web.external_policy = TrafficPolicy::local;
  const auto wanted = plan_one(web, {terminating(endpoint("10.1.0.1", kHere)),
                                     unready(endpoint("10.1.0.2", kHere)), endpoint("10.1.0.3")});
  CHECK(texts(wanted.cluster) == Texts{"10.1.0.3:8080"});
  CHECK(texts(wanted.local) == Texts{"10.1.0.1:8080"});
  CHECK(backend_texts(wanted) == Texts{"10.1.0.1:8080 terminating local",
                                       "10.1.0.2:8080 terminating local", "10.1.0.3:8080 active"});
}

TEST_CASE("whether any endpoint is usable does not depend on this node",
          "[1.2/conditions-serving]") {
  Service web = service("web");
  web.internal_policy = TrafficPolicy::local;
  const auto has_endpoint = [&](const Endpoint& one) {
    const auto wanted = plan_one(web, {one});
    CHECK(wanted.local.empty());
    return (wanted.flags & WEIR_VERSION_HAS_ENDPOINT) != 0;
  };
  CHECK(has_endpoint(endpoint("10.1.0.1")));
  CHECK(has_endpoint(terminating(endpoint("10.1.0.1"))));
  CHECK_FALSE(has_endpoint(unready(endpoint("10.1.0.1"))));
  Endpoint serving = unready(endpoint("10.1.0.1"));
  serving.serving = true;  // but not terminating: never used
  CHECK_FALSE(has_endpoint(serving));
}

TEST_CASE("an endpoint without a node is local to none") {
  Service web = service("web");
  web.internal_policy = TrafficPolicy::local;
  NodeView view = node_view();
  view.name = "";
  const auto tables = plan(cluster({web}, {slice("a", web, {endpoint("10.1.0.1", "")})}), view);
  CHECK(only(tables).local.empty());
  CHECK(backend_texts(only(tables)) == Texts{"10.1.0.1:8080 active"});
}

TEST_CASE("a node without a zone is in no zone that a hint names", "[1.2/hints-no-zone]") {
  const Service web = service("web");
  Endpoint here = endpoint("10.1.0.1");
  here.zone_hints = {""};
  Endpoint there = endpoint("10.1.0.2");
  there.zone_hints = {"zone-b"};
  CHECK(plan_one(web, {here, there}).cluster.size() == 2);
}

TEST_CASE("hints are not asked of endpoints that step in while they terminate",
          "[1.2/hints-terminating]") {
  const Service web = service("web");
  Endpoint near = terminating(endpoint("10.1.0.1"));
  near.node_hints = {kThisNode};
  Endpoint far = terminating(endpoint("10.1.0.2"));
  far.node_hints = {"node-b"};
  CHECK(texts(plan_one(web, {near, far}).cluster) == Texts{"10.1.0.1:8080", "10.1.0.2:8080"});
}

TEST_CASE("endpoints that topology leaves out keep their flows", "[1.3/udp-policies]") {
  const Service web = service("web");
  Endpoint near = endpoint("10.1.0.1");
  near.node_hints = {kThisNode};
  Endpoint far = endpoint("10.1.0.2");
  far.node_hints = {"node-b"};
  const auto wanted = plan_one(web, {near, far});
  CHECK(texts(wanted.cluster) == Texts{"10.1.0.1:8080"});
  CHECK(backend_texts(wanted) == Texts{"10.1.0.1:8080 active", "10.1.0.2:8080 active"});
}

TEST_CASE("flows of an endpoint that is not ready", "[1.2/not-ready-published][1.3/udp-serving]") {
  Endpoint serving = terminating(endpoint("10.1.0.1"));
  Endpoint dying = serving;
  dying.address = ip("10.1.0.2");
  dying.serving = false;
  const Endpoint sick = unready(endpoint("10.1.0.3"));
  Endpoint published = unready(endpoint("10.1.0.4"));  // publishNotReadyAddresses
  published.ready = published.terminating = true;
  SECTION("TCP: left to its client") {
    CHECK(backend_texts(plan_one(service("web"), {serving, dying, sick, published})) ==
          Texts{"10.1.0.1:8080 terminating", "10.1.0.2:8080 terminating",
                "10.1.0.3:8080 terminating", "10.1.0.4:8080 terminating"});
  }
  SECTION("UDP: moved, unless it still serves") {
    const auto wanted = plan_udp({serving, dying, sick, published});
    CHECK(backend_texts(wanted) == Texts{"10.1.0.1:53 terminating", "10.1.0.4:53 terminating"});
    CHECK(texts(wanted.cluster) == Texts{"10.1.0.4:53"});
  }
  SECTION("UDP: none serves") {
    CHECK(plan_udp({dying, sick}).backends.empty());
  }
}

TEST_CASE("session affinity is a service port's, with the timeout in seconds") {
  Service web = service("web");
  CHECK(plan_one(web, {endpoint("10.1.0.1")}).affinity == 0);
  web.affinity = std::chrono::hours{3};
  CHECK(plan_one(web, {endpoint("10.1.0.1")}).affinity == 10'800);
}

TEST_CASE("what becomes of connections is said of every backend, terminating ones included") {
  Service web = service("web");
  web.reset_on_removal = true;
  const auto wanted = plan_one(web, {endpoint("10.1.0.1"), terminating(endpoint("10.1.0.2"))});
  for (const auto& [id, backend] : wanted.backends) CHECK(backend.reset);
  CHECK(wanted.backends.size() == 2);
}

TEST_CASE("source ranges",
          "[1.1/ip-mode-proxy-ranges][1.1/families-addresses][1.2/source-ranges-node]"
          "[1.2/source-ranges-everybody][1.2/source-ranges-families]") {
  Service web = service("web");
  web.type = ServiceType::load_balancer;
  web.load_balancer = {{.address = ip("203.0.113.1"), .proxied = false},
                       {.address = ip("203.0.113.2"), .proxied = true}};
  const auto plan_ranges = [&](std::vector<std::string> ranges) {
    web.source_ranges.clear();
    for (const auto& text : ranges) web.source_ranges.push_back(Cidr::parse_within(text).value());
    const auto wanted = plan_one(web, {endpoint("10.1.0.1")});
    Texts made;
    for (const auto& range : wanted.ranges) made.push_back(range.to_string());
    made.push_back((wanted.flags & WEIR_VERSION_RANGES_NODE) != 0 ? "node" : "no node");
    return made;
  };
  CHECK(plan_ranges({}) == Texts{"no node"});
  CHECK(plan_ranges({"198.51.100.0/24"}) == Texts{"198.51.100.0/24", "no node"});
  SECTION("sorted, each once") {
    CHECK(plan_ranges({"198.51.100.0/24", "10.9.9.9/8", "198.51.100.0/24"}) ==
          Texts{"10.0.0.0/8", "198.51.100.0/24", "no node"});
  }
  SECTION("of the family: those of the other leave this one open") {
    CHECK(plan_ranges({"fd00::/8"}) == Texts{"no node"});
    CHECK(plan_ranges({"fd00::/8", "10.0.0.0/8"}) == Texts{"10.0.0.0/8", "no node"});
  }
  SECTION("/0 is everybody, whatever else there is") {
    CHECK(plan_ranges({"10.0.0.0/8", "0.0.0.0/0"}) == Texts{"no node"});
    CHECK(plan_ranges({"10.0.0.0/8", "::/0"}) == Texts{"10.0.0.0/8", "no node"});
  }
  SECTION("with this node in one of them, so is each of the addresses that weir serves") {
    CHECK(plan_ranges({"192.0.2.2/32"}) == Texts{"192.0.2.2/32", "203.0.113.1/32", "node"});
  }
  SECTION("without an address that weir serves they bind nothing") {
    web.load_balancer[0].proxied = true;
    CHECK(plan_ranges({"10.0.0.0/8"}) == Texts{"no node"});
  }
}

}  // namespace weir::test
