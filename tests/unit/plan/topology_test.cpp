// SPDX-License-Identifier: Apache-2.0
// The endpoint selections of kube-proxy's own test, from tests/data/topology_cases.json.
#include <rapidjson/document.h>
#include <rapidjson/istreamwrapper.h>

#include <algorithm>
#include <fstream>

#include "support/catch.hpp"
#include "unit/plan/cluster_builder.hpp"

namespace weir::test {
namespace {

using Json = rapidjson::Value;

rapidjson::Document read_cases() {
  std::ifstream file{WEIR_TEST_DATA "/topology_cases.json"};
  rapidjson::IStreamWrapper stream{file};
  rapidjson::Document document;
  document.ParseStream(stream);
  return document;
}

std::vector<std::string> strings(const Json& list) {
  std::vector<std::string> made;
  if (!list.IsArray()) return made;  // null: the list is not in use, and so empty
  for (const auto& text : list.GetArray()) made.emplace_back(text.GetString());
  std::ranges::sort(made);
  return made;
}

// The node of a case may be nameless; being local still needs a name.
std::string node_name(const Json& test_case) {
  const std::string name = test_case["node"]["name"].GetString();
  return name.empty() ? kThisNode : name;
}

TrafficPolicy policy(const Json& text) {
  return std::string_view{text.GetString()} == "Local" ? TrafficPolicy::local
                                                       : TrafficPolicy::cluster;
}

Service service_of(const Json& spec) {
  Service made = service("web");
  made.internal_policy = policy(spec["internalTrafficPolicy"]);
  made.external_policy = policy(spec["externalTrafficPolicy"]);
  made.ports[0].node_port = static_cast<std::uint16_t>(spec["nodePort"].GetUint());
  if (made.ports[0].node_port != 0) made.type = ServiceType::node_port;
  for (const auto& text : strings(spec["externalIPs"])) made.external_ips.push_back(ip(text));
  for (const auto& text : strings(spec["loadBalancerVIPs"]))
    made.load_balancer.push_back({.address = ip(text), .proxied = false});
  return made;
}

Endpoint endpoint_of(const Json& entry, const Json& test_case, bool serving_when_ready) {
  const std::string text = entry["addr"].GetString();
  Endpoint made = endpoint(text.substr(0, text.find(':')));
  made.node = entry["local"].GetBool() ? node_name(test_case) : "elsewhere";
  made.ready = entry["ready"].GetBool();
  made.serving = made.ready ? serving_when_ready : entry["serving"].GetBool();
  made.terminating = entry["terminating"].GetBool();
  made.zone_hints = strings(entry["zoneHints"]);
  // The gate stands for a proxy that does not read node hints.
  if (test_case["gates"]["PreferSameTrafficDistribution"].GetBool())
    made.node_hints = strings(entry["nodeHints"]);
  return made;
}

WantedTables plan_case(const Json& test_case, bool serving_when_ready) {
  const Service web = service_of(test_case["service"]);
  std::vector<EndpointSlice> slices;
  for (const auto& entry : test_case["endpoints"].GetArray()) {
    // One slice for each: the port's number is part of the endpoint.
    const std::string text = entry["addr"].GetString();
    const auto number = static_cast<std::uint16_t>(std::stoi(text.substr(text.find(':') + 1)));
    slices.push_back(slice("web-" + std::to_string(slices.size()), web,
                           {endpoint_of(entry, test_case, serving_when_ready)},
                           {{.name = "http", .protocol = Protocol::tcp, .port = number}}));
  }
  ClusterState state = cluster({web}, slices);
  NodeView view = node_view();
  view.name = node_name(test_case);
  Node self;
  self.name = view.name;
  if (const auto& zone = test_case["node"]["zoneLabel"]; zone.IsString())
    self.zone = zone.GetString();
  state.nodes.emplace(self.name, self);
  return plan(state, view);
}

std::vector<std::string> sorted(std::vector<std::string> list) {
  std::ranges::sort(list);
  return list;
}

}  // namespace

TEST_CASE("endpoint selection",
          "[1.2/hints-node][1.2/hints-zone][1.2/hints-missing][1.2/hints-ready]"
          "[1.2/hints-no-zone][1.2/hints-cluster-list][1.2/conditions-ready]"
          "[1.2/conditions-terminating][1.2/external-local-accessible]") {
  const auto document = read_cases();
  REQUIRE(document.IsObject());
  const auto& cases = document["cases"];
  REQUIRE(cases.Size() == 34);
  for (const auto& test_case : cases.GetArray()) {
    for (const bool serving_when_ready : {true, false}) {
      DYNAMIC_SECTION(test_case["id"].GetInt() << " " << test_case["name"].GetString()
                                               << (serving_when_ready ? "" : ", not serving")) {
        const WantedTables tables = plan_case(test_case, serving_when_ready);
        const WantedService& wanted = only(tables);
        const auto& expect = test_case["expect"];
        CHECK(sorted(texts(wanted.cluster)) == strings(expect["cluster"]));
        CHECK(sorted(texts(wanted.local)) == strings(expect["local"]));
        const bool has_endpoint = (wanted.flags & WEIR_VERSION_HAS_ENDPOINT) != 0;
        CHECK(has_endpoint == expect["hasAnyEndpoints"].GetBool());
        const auto local = WEIR_VERSION_INTERNAL_LOCAL | WEIR_VERSION_EXTERNAL_LOCAL;
        CHECK(((wanted.flags & local) != 0) == !expect["local"].IsNull());
      }
    }
  }
}

}  // namespace weir::test
