// SPDX-License-Identifier: Apache-2.0
// The recorded lists and watches of a newer API server than the tests can run, to the state that
// its last objects are.
#include <rapidjson/document.h>

#include <sstream>

#include "unit/kubernetes/following.hpp"
#include "unit/kubernetes/recorded.hpp"

namespace weir::test {
namespace {

using kubernetes::Resource;
using Json = rapidjson::Document;

// Names of the objects of one kind, with a few of their fields, as the answers say.
using Digest = std::map<std::string, std::string>;

std::string text(const rapidjson::Value& at, const char* name, const std::string& otherwise = {}) {
  return at.HasMember(name) && at[name].IsString() ? at[name].GetString() : otherwise;
}

// Of a Service: type, policies, first address, number of ports, affinity. Of a slice: endpoints.
std::string digest_of(const rapidjson::Value& object) {
  if (object.HasMember("addressType")) {
    std::set<std::string> all;
    if (object["endpoints"].IsArray())
      for (const auto& endpoint : object["endpoints"].GetArray()) {
        const auto& ready = endpoint["conditions"];
        std::string one = endpoint["addresses"][0].GetString();
        one += "@" + text(endpoint, "nodeName");
        one += ready.HasMember("ready") && !ready["ready"].GetBool() ? " not ready" : "";
        if (endpoint.HasMember("hints"))
          for (const auto& zone : endpoint["hints"]["forZones"].GetArray())
            one += " for " + text(zone, "name");
        all.insert(one);
      }
    std::string joined = text(object["metadata"]["labels"], "kubernetes.io/service-name");
    for (const auto& one : all) joined += ", " + one;
    return joined;
  }
  const auto& spec = object["spec"];
  const bool sticky = text(spec, "sessionAffinity") == "ClientIP";
  return fmt::format(
      "{} {} {} {} {} {} {}", text(spec, "clusterIP"), spec["ports"].Size(),
      text(spec, "type", "ClusterIP"), text(spec, "internalTrafficPolicy", "Cluster"),
      text(spec, "externalTrafficPolicy", "Cluster"),
      sticky ? spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].GetInt() : 0,
      spec.HasMember("loadBalancerSourceRanges") ? spec["loadBalancerSourceRanges"].Size() : 0);
}

void take_list(const std::string& body, Digest& into) {
  Json list;
  list.Parse(body.c_str());
  REQUIRE_FALSE(list.HasParseError());
  for (const auto& item : list["items"].GetArray())
    into[text(item["metadata"], "name")] = digest_of(item);
}

void take_events(const std::string& body, Digest& into) {
  std::istringstream lines{body};
  for (std::string line; std::getline(lines, line);) {
    Json event;
    event.Parse(line.c_str());
    REQUIRE_FALSE(event.HasParseError());
    const std::string type = event["type"].GetString();
    if (type == "BOOKMARK") continue;
    const std::string name = event["object"]["metadata"]["name"].GetString();
    if (type == "DELETED")
      into.erase(name);
    else
      into[name] = digest_of(event["object"]);
  }
}

Digest services_of(const Following& all) {
  static constexpr std::array kTypes{"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"};
  static constexpr std::array kPolicies{"Cluster", "Local"};
  Digest digest;
  for (const auto& [key, one] : all.source->state().services)
    digest[key.name] = fmt::format("{} {} {} {} {} {} {}", one.cluster_ips.at(0).to_string(),
                                   one.ports.size(), kTypes.at(static_cast<std::size_t>(one.type)),
                                   kPolicies.at(static_cast<std::size_t>(one.internal_policy)),
                                   kPolicies.at(static_cast<std::size_t>(one.external_policy)),
                                   one.affinity.count(), one.source_ranges.size());
  return digest;
}

Digest slices_of(const Following& all) {
  Digest digest;
  for (const auto& [key, slice] : all.source->state().slices) {
    std::set<std::string> endpoints;
    for (const auto& endpoint : slice->endpoints) {
      std::string one = endpoint.address.to_string() + "@" + endpoint.node;
      if (!endpoint.ready) one += " not ready";
      for (const auto& zone : endpoint.zone_hints) one += " for " + zone;
      endpoints.insert(one);
    }
    std::string joined = slice->service;
    for (const auto& one : endpoints) joined += ", " + one;
    digest[key.name] = joined;
  }
  return digest;
}

// Bytes of a watch, some at a time.
void drip(Following& all, const char* path, const std::string& body, std::size_t piece) {
  const auto id = all.request(path, "watch=1");
  all.server.head(id, 200);
  for (std::size_t at = 0; at < body.size(); at += piece)
    all.server.body(id, body.substr(at, piece));
}

TEST_CASE("Recorded pages and watches", "[kubernetes]") {
  const auto piece = GENERATE(std::size_t{17}, std::size_t{4096});
  Following all;
  for (const auto* const path : {Following::kServices, Following::kSlices, Following::kNodes})
    all.refuse_stream(path);
  all.server.answer(all.request(Following::kServices, "limit="), 200,
                    recorded("01-services-page-1").body);
  all.server.answer(all.request(Following::kServices, "continue="), 200,
                    recorded("02-services-page-2").body);
  all.server.answer(all.request(Following::kSlices, "limit="), 200,
                    recorded("04-endpointslices").body);
  const auto node =
      "{\"metadata\":{\"resourceVersion\":\"114\"},\"items\":[" + recorded("05-node").body + "]}";
  const auto node_list = recorded("05-node").body.find("NodeList") != std::string::npos
                             ? recorded("05-node").body
                             : node;
  all.server.answer(all.request(Following::kNodes, "limit="), 200, node_list);
  REQUIRE(all.source->complete());

  Digest services;
  take_list(recorded("01-services-page-1").body, services);
  take_list(recorded("02-services-page-2").body, services);
  Digest slices;
  take_list(recorded("04-endpointslices").body, slices);
  CHECK(services_of(all) == services);
  CHECK(slices_of(all) == slices);

  drip(all, Following::kServices, recorded("06-watch-services").body, piece);
  drip(all, Following::kSlices, recorded("07-watch-endpointslices").body, piece);
  drip(all, Following::kNodes, recorded("08-watch-node").body, piece);
  take_events(recorded("06-watch-services").body, services);
  take_events(recorded("07-watch-endpointslices").body, slices);
  REQUIRE(services.size() >= 2);
  CHECK(services_of(all) == services);
  CHECK(slices_of(all) == slices);
  CHECK(all.source->problems().empty());

  // The node's last taints and zone.
  std::istringstream lines{recorded("08-watch-node").body};
  Json last;
  for (std::string line; std::getline(lines, line);) {
    Json event;
    event.Parse(line.c_str());
    if (std::string{event["type"].GetString()} == "MODIFIED") last.Swap(event);
  }
  const auto& object = last["object"];
  const auto& now = all.source->state().nodes.at(object["metadata"]["name"].GetString());
  CHECK(now.zone == text(object["metadata"]["labels"], "topology.kubernetes.io/zone"));
  CHECK(now.taints.size() ==
        (object["spec"].HasMember("taints") ? object["spec"]["taints"].Size() : 0));
}

TEST_CASE("Recorded lists by a watch", "[kubernetes]") {
  Following all;
  drip(all, Following::kServices, recorded("09-watchlist-services").body, 100);
  drip(all, Following::kSlices, recorded("10-watchlist-endpointslices").body, 100);
  Digest services;
  take_events(recorded("09-watchlist-services").body, services);
  Digest slices;
  take_events(recorded("10-watchlist-endpointslices").body, slices);
  REQUIRE_FALSE(services.empty());
  CHECK(services_of(all) == services);
  CHECK(slices_of(all) == slices);
  CHECK(all.source->status(Resource::services).synced);
  CHECK(all.source->status(Resource::endpoint_slices).synced);
}

TEST_CASE("Recorded refusals", "[kubernetes]") {
  Following all;
  all.list_all(service_json("a", 1, "1"), "");
  const auto answer = [&](std::string_view part, const std::string& name) {
    const auto recording = recorded(name);
    all.server.answer(all.request(Following::kServices, part), recording.status, recording.body);
  };
  answer("watch=1", "14-unauthorized");
  CHECK(all.status().error == "watch: status 401: Unauthorized");
  answer("watch=1", "11-watch-too-old");
  answer("resourceVersion=10&", "12-list-future-rv");
  CHECK(all.target(all.request(Following::kServices, "resourceVersion=&")).find("watch=1") ==
        std::string::npos);
  all.server.answer(all.request(Following::kServices, "resourceVersion=&"), 200,
                    list_json("70", service_json("a", 1, "1"), "token"));
  answer("continue=", "13-expired-continue");
  CHECK(all.target(all.request(Following::kServices, "resourceVersion=&")).find("limit=") ==
        std::string::npos);
}

}  // namespace
}  // namespace weir::test
