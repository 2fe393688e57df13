// SPDX-License-Identifier: Apache-2.0
// What is counted, who is eligible, how old is too old, and what is written about it.
#include "serve/health.hpp"

#include <chrono>

#include "serve/reply.hpp"
#include "serve/sync_health.hpp"
#include "support/catch.hpp"

using namespace weir;
using namespace weir::serve;
using namespace std::chrono_literals;

namespace {

Address at(const char* text) {
  return Address::parse(text).value();
}

Service balancer(const std::string& name, std::uint16_t health_port) {
  Service service;
  service.key = {"default", name};
  service.type = ServiceType::load_balancer;
  service.external_policy = TrafficPolicy::local;
  service.cluster_ips = {at("10.96.0.1")};
  service.ports = {{"http", Protocol::tcp, 80, 30'080}, {"https", Protocol::tcp, 443, 30'443}};
  service.health_check_node_port = health_port;
  return service;
}

// On node "here", ready.
Endpoint here(const char* address) {
  Endpoint endpoint;
  endpoint.address = at(address);
  endpoint.node = "here";
  return endpoint;
}

struct Scene {
  ClusterState state;

  void add(const Service& service) { state.services[service.key] = service; }
  void slice(const std::string& service, const std::vector<EndpointPort>& ports,
             const std::vector<Endpoint>& endpoints) {
    EndpointSlice slice;
    slice.key = {"default", "slice-" + std::to_string(state.slices.size())};
    slice.service = service;
    slice.ports = ports;
    slice.endpoints = endpoints;
    slice.family = endpoints.at(0).address.family();
    state.slices[slice.key] = slice;
  }
  [[nodiscard]] std::uint32_t count() const {
    const auto checks = health_checks(state, "here");
    REQUIRE(checks.size() == 1);
    return checks[0].local_endpoints;
  }
};

const std::vector<EndpointPort> kBoth{{"http", Protocol::tcp, 8080},
                                      {"https", Protocol::tcp, 8443}};
const std::vector<EndpointPort> kHttp{{"http", Protocol::tcp, 8080}};
const std::vector<EndpointPort> kHttps{{"https", Protocol::tcp, 8443}};

}  // namespace

TEST_CASE("healthCheckNodePort: LoadBalancer with externalTrafficPolicy Local, and no other",
          "[1.2/health-check]") {
  Scene scene;
  scene.add(balancer("yes", 31'000));
  auto cluster = balancer("cluster", 31'001);
  cluster.external_policy = TrafficPolicy::cluster;
  scene.add(cluster);
  auto node_port = balancer("node-port", 31'002);
  node_port.type = ServiceType::node_port;
  scene.add(node_port);
  scene.add(balancer("none", 0));
  const auto checks = health_checks(scene.state, "here");
  CHECK(checks == std::vector<HealthCheck>{{{"default", "yes"}, 31'000, 0}});
}

TEST_CASE("healthCheckNodePort: distinct local addresses over all ports are counted",
          "[1.2/health-check-count]") {
  Scene scene;
  scene.add(balancer("web", 31'000));
  CHECK(scene.count() == 0);
  Endpoint elsewhere = here("10.1.0.9");
  elsewhere.node = "there";
  Endpoint nowhere = here("10.1.0.8");
  nowhere.node = "";
  scene.slice("web", kBoth, {here("10.1.0.1"), elsewhere, nowhere});
  CHECK(scene.count() == 1);
  scene.slice("web", kHttp, {here("10.1.0.1"), here("10.1.0.2")});
  CHECK(scene.count() == 2);
  scene.slice("web", kHttps, {here("10.1.0.3")});
  CHECK(scene.count() == 3);
  scene.slice("other", kBoth, {here("10.1.0.4")});
  scene.slice("web", {{"metrics", Protocol::tcp, 9090}}, {here("10.1.0.5")});
  CHECK(scene.count() == 3);
  CHECK(health_checks(scene.state, "there").at(0).local_endpoints == 1);
  CHECK(health_checks(scene.state, "").at(0).local_endpoints == 0);
}

TEST_CASE("healthCheckNodePort: only what is ready counts, terminating never does",
          "[1.2/health-check-terminating]") {
  Scene scene;
  scene.add(balancer("web", 31'000));
  Endpoint terminating = here("10.1.0.1");
  terminating.ready = false;
  terminating.serving = true;
  terminating.terminating = true;
  Endpoint not_ready = here("10.1.0.2");
  not_ready.ready = not_ready.serving = false;
  scene.slice("web", kBoth, {terminating, not_ready});
  CHECK(scene.count() == 0);
  // Ready on one port is ready.
  scene.slice("web", kHttps, {here("10.1.0.2")});
  CHECK(scene.count() == 1);
}

TEST_CASE("healthCheckNodePort: a dual-stack pod is one endpoint, and either family will do",
          "[1.2/health-check-count]") {
  Scene scene;
  auto dual = balancer("web", 31'000);
  dual.cluster_ips = {at("10.96.0.1"), at("fd00:96::1")};
  scene.add(dual);
  scene.slice("web", kBoth, {here("10.1.0.1"), here("10.1.0.2")});
  scene.slice("web", kBoth, {here("fd00::1"), here("fd00::2")});
  CHECK(scene.count() == 2);
  scene.state.slices.erase(scene.state.slices.begin());
  CHECK(scene.count() == 2);
}

TEST_CASE("a node that is being deleted or scaled away is not eligible") {
  ClusterState state;
  CHECK(node_eligible(state, "here"));
  state.nodes["there"].deleted = true;
  CHECK(node_eligible(state, "here"));
  auto& node = state.nodes["here"];
  node.taints = {"node.kubernetes.io/not-ready", "ToBeDeletedByClusterAutoscaler-soon"};
  CHECK(node_eligible(state, "here"));
  node.taints.emplace_back("ToBeDeletedByClusterAutoscaler");
  CHECK_FALSE(node_eligible(state, "here"));
  node.taints.clear();
  node.deleted = true;
  CHECK_FALSE(node_eligible(state, "here"));
}

TEST_CASE("the proxy is healthy unless a change waits for a minute") {
  const SyncHealth::Time start{1h};
  SyncHealth sync;
  CHECK(sync.healthy(start));
  CHECK(sync.healthy(start + 24h));
  CHECK_FALSE(sync.last_updated());
  sync.queued(start);
  sync.queued(start + 59s);  // the older one counts
  CHECK(sync.healthy(start + 59s));
  CHECK_FALSE(sync.healthy(start + 60s));
  sync.updated(SyncHealth::Date{5s});
  CHECK(sync.healthy(start + 24h));
  CHECK(sync.last_updated() == SyncHealth::Date{5s});
  sync.queued(start + 25h);
  CHECK(sync.healthy(start + 25h + 59s));
  CHECK_FALSE(sync.healthy(start + 25h + 61s));
}

TEST_CASE("what a health check node port answers", "[1.2/health-check-answer]") {
  const auto reply = health_check_reply({{"shop", "web"}, 31'000, 3}, true);
  CHECK(reply.status == 200);
  using Headers = decltype(reply.headers);
  CHECK(reply.headers == Headers{{"Content-Type", "application/json"},
                                 {"X-Content-Type-Options", "nosniff"},
                                 {"X-Load-Balancing-Endpoint-Weight", "3"}});
  CHECK(reply.body ==
        "{\n\t\"service\": {\n\t\t\"namespace\": \"shop\",\n\t\t\"name\": \"web\"\n\t},\n"
        "\t\"localEndpoints\": 3,\n\t\"serviceProxyHealthy\": true\n}");
  const auto none = health_check_reply({{"shop", "web"}, 31'000, 0}, true);
  CHECK(none.status == 503);
  CHECK(none.headers.at(2).second == "0");
  CHECK(none.body.find("\"localEndpoints\": 0,") != std::string::npos);
  const auto stuck = health_check_reply({{"shop", "web"}, 31'000, 3}, false);
  CHECK(stuck.status == 503);
  CHECK(stuck.headers.at(2).second == "3");
  CHECK(stuck.body.find("\"serviceProxyHealthy\": false") != std::string::npos);
}

TEST_CASE("what /livez and /healthz answer") {
  // 2026-01-31T12:00:00.123Z and half a minute before, from date(1).
  const SyncHealth::Date now{1'769'860'800'123ms};
  const ProxyHealth good{.healthy = true, .last_updated = now - 30s, .now = now};
  const ProxyHealth bad{.healthy = false, .last_updated = now - 30s, .now = now};
  const auto has = [](const Reply& reply, const std::string& text) {
    return reply.body.find(text) != std::string::npos;
  };
  const std::string current = R"("currentTime": "2026-01-31T12:00:00.123Z")";
  const std::string fresh = R"("lastUpdated": "2026-01-31T12:00:00.123Z")";
  const std::string stale = R"("lastUpdated": "2026-01-31T11:59:30.123Z")";

  const auto live = livez_reply(good);
  CHECK(live.status == 200);
  CHECK(live.headers == decltype(live.headers){{"Content-Type", "application/json"},
                                               {"X-Content-Type-Options", "nosniff"}});
  CHECK(has(live, current));
  CHECK(has(live, fresh));  // idle is as good as new
  CHECK(has(live, R"("healthy": true)"));
  CHECK_FALSE(has(live, "nodeEligible"));
  CHECK(livez_reply(bad).status == 503);
  CHECK(has(livez_reply(bad), stale));
  CHECK(has(livez_reply(bad), R"("healthy": false)"));

  CHECK(healthz_reply(good, true).status == 200);
  CHECK(has(healthz_reply(good, true), R"("nodeEligible": true)"));
  CHECK(has(healthz_reply(good, true), fresh));
  CHECK(healthz_reply(bad, true).status == 503);
  CHECK(has(healthz_reply(bad, true), stale));
  const auto leaving = healthz_reply(good, false);
  CHECK(leaving.status == 503);
  CHECK(has(leaving, R"("nodeEligible": false)"));
  CHECK(has(leaving, R"("healthy": true)"));
  CHECK(has(leaving, current));

  const ProxyHealth never{.healthy = false, .last_updated = {}, .now = now};
  CHECK(has(livez_reply(never), R"("lastUpdated": "0001-01-01T00:00:00Z")"));
}
