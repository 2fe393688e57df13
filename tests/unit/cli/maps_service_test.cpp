// SPDX-License-Identifier: Apache-2.0
// service list, service show and backend list over real maps.
#include <arpa/inet.h>

#include <cstring>

#include "unit/cli/command_line.hpp"
#include "unit/cli/pinned_maps.hpp"

using namespace weir;
using test::address;
using test::command;
using test::PinnedMaps;
using test::run;
using test::run_json;

namespace {

weir_name name(const char* text, std::uint16_t port, std::uint8_t proto, std::uint8_t family,
               weir_service_type type) {
  weir_name value{};
  std::strncpy(value.text, text, sizeof value.text - 1);
  value.port = htons(port);
  value.proto = proto;
  value.family = family;
  value.type = static_cast<__u8>(type);
  return value;
}

weir_backend backend(const char* ip, std::uint16_t port, weir_backend_state state,
                     std::uint32_t service, bool local) {
  weir_backend value{};
  value.addr = address(ip);
  value.port = htons(port);
  value.proto = IPPROTO_TCP;
  value.state = static_cast<__u8>(state);
  value.service = service;
  value.flags = local ? WEIR_BACKEND_LOCAL : 0;
  return value;
}

void add_frontend(PinnedMaps& maps, const char* ip, std::uint16_t port, std::uint32_t id,
                  weir_frontend kind) {
  maps.put(
      "weir_service",
      weir_service_key{.addr = address(ip), .port = htons(port), .proto = IPPROTO_TCP, .zero = 0},
      weir_service{.id = id, .frontend = static_cast<__u8>(kind), .zero = {}});
}

// default/web:http, id 3: backend 5 (local) and 6 in the cluster list, 5 in the local one, 7
// terminating and in none.
void add_web(PinnedMaps& maps) {
  maps.put("weir_name", __u32{3},
           name("default/web:http", 80, IPPROTO_TCP, 4, WEIR_TYPE_LOAD_BALANCER));
  add_frontend(maps, "203.0.113.9", 80, 3, WEIR_FRONTEND_LOAD_BALANCER);
  add_frontend(maps, "0.0.0.0", 30'080, 3, WEIR_FRONTEND_NODE_PORT);
  add_frontend(maps, "10.96.0.10", 80, 3, WEIR_FRONTEND_CLUSTER_IP);
  auto backends = maps.array<weir_backend>("weir_backend");
  backends[5] = backend("10.244.0.5", 8080, WEIR_BACKEND_ACTIVE, 3, true);
  backends[5].live = 11;
  backends[5].connections = 12;
  backends[5].packets = 13;
  backends[5].bytes = 14;
  backends[6] = backend("10.244.1.6", 8080, WEIR_BACKEND_ACTIVE, 3, false);
  backends[7] = backend("10.244.1.7", 8080, WEIR_BACKEND_TERMINATING, 3, false);
  auto slots = maps.array<weir_slot>("weir_slot");
  slots[20].backend = 5;
  slots[21].backend = 6;
  slots[30].backend = 5;
  auto versions = maps.array<weir_version>("weir_version");
  versions[8] = {.cluster = {.first = 20, .count = 2},
                 .local = {.first = 30, .count = 1},
                 .service = 3,
                 .generation = 17,
                 .flags = WEIR_VERSION_EXTERNAL_LOCAL | WEIR_VERSION_HAS_ENDPOINT,
                 .affinity = 600,
                 .ranges = 2,
                 .zero = {}};
  for (const auto* range : {"203.0.113.9/32", "198.51.100.0/24"})
    maps.put("weir_source_range", range_key(2, *Cidr::parse(range)), __u32{1});
  maps.put("weir_source_range", range_key(3, *Cidr::parse("0.0.0.0/1")), __u32{1});
  maps.array<__u32>("weir_current")[3] = 8;
  maps.array<weir_stat>("weir_stat")[3] = {.connections = 100, .packets = 2000, .bytes = 30'000};
}

// kube-system/dns, id 4: IPv6, nothing behind it; id 5 is withdrawn.
void add_others(PinnedMaps& maps) {
  maps.put("weir_name", __u32{4},
           name("kube-system/dns", 53, IPPROTO_UDP, 6, WEIR_TYPE_CLUSTER_IP));
  add_frontend(maps, "fd00:10:96::a", 53, 4, WEIR_FRONTEND_CLUSTER_IP);
  auto versions = maps.array<weir_version>("weir_version");
  versions[9].service = 4;
  versions[9].flags = WEIR_VERSION_INTERNAL_LOCAL;
  maps.array<__u32>("weir_current")[4] = 9;
  maps.put("weir_name", __u32{5}, name("default/old", 81, IPPROTO_TCP, 4, WEIR_TYPE_CLUSTER_IP));
  maps.array<weir_backend>("weir_backend")[9] =
      backend("10.244.0.5", 81, WEIR_BACKEND_GONE, 5, true);
}

}  // namespace

TEST_CASE("service list: one row a service port, in the order of their names") {
  PinnedMaps maps;
  add_web(maps);
  add_others(maps);
  const auto rows = run_json(command(maps, {"service", "list"}));
  REQUIRE(rows.Size() == 3);
  CHECK(std::string{rows[0]["service"].GetString()} == "default/old");
  CHECK(rows[0]["internal_policy"].IsNull());  // withdrawn
  CHECK(rows[0]["frontends"].Size() == 0);

  const auto& web = rows[1];
  CHECK(std::string{web["service"].GetString()} == "default/web:http");
  CHECK(web["port"].GetUint64() == 80);
  CHECK(std::string{web["protocol"].GetString()} == "TCP");
  CHECK(std::string{web["family"].GetString()} == "IPv4");
  CHECK(std::string{web["type"].GetString()} == "LoadBalancer");
  REQUIRE(web["frontends"].Size() == 3);
  CHECK(std::string{web["frontends"][0].GetString()} == "ClusterIP 10.96.0.10:80");
  CHECK(std::string{web["frontends"][1].GetString()} == "NodePort *:30080");
  CHECK(std::string{web["frontends"][2].GetString()} == "LoadBalancer 203.0.113.9:80");
  CHECK(std::string{web["internal_policy"].GetString()} == "Cluster");
  CHECK(std::string{web["external_policy"].GetString()} == "Local");
  CHECK(web["cluster_endpoints"].GetUint64() == 2);
  CHECK(web["local_endpoints"].GetUint64() == 1);
  CHECK(web["connections"].GetUint64() == 100);
  CHECK(web["packets"].GetUint64() == 2000);
  CHECK(web["bytes"].GetUint64() == 30'000);

  const auto& dns = rows[2];
  CHECK(std::string{dns["service"].GetString()} == "kube-system/dns");
  CHECK(std::string{dns["protocol"].GetString()} == "UDP");
  CHECK(std::string{dns["family"].GetString()} == "IPv6");
  CHECK(std::string{dns["frontends"][0].GetString()} == "ClusterIP [fd00:10:96::a]:53");
  CHECK(std::string{dns["internal_policy"].GetString()} == "Local");
}

TEST_CASE("service list as a table has the same rows") {
  PinnedMaps maps;
  add_web(maps);
  const auto ran = run(command(maps, {"service", "list"}));
  CHECK(ran.status == 0);
  CHECK(ran.out.starts_with("SERVICE           PORT  PROTOCOL  FAMILY  TYPE          FRONTENDS"));
  CHECK(ran.out.find("\ndefault/web:http    80  TCP       IPv4    LoadBalancer  "
                     "ClusterIP 10.96.0.10:80, NodePort *:30080, LoadBalancer 203.0.113.9:80") !=
        std::string::npos);
}

TEST_CASE("service show: endpoints with the lists that they are in") {
  PinnedMaps maps;
  add_web(maps);
  add_others(maps);
  const auto shown = run_json(command(maps, {"service", "show", "default/web"}));
  REQUIRE(shown.Size() == 1);
  const auto& web = shown[0];
  CHECK(web["id"].GetUint64() == 3);
  CHECK(web["version"].GetUint64() == 8);
  CHECK(web["generation"].GetUint64() == 17);
  CHECK(web["affinity_seconds"].GetUint64() == 600);
  REQUIRE(web["source_ranges"].Size() == 2);
  CHECK(std::string{web["source_ranges"][0].GetString()} == "198.51.100.0/24");
  CHECK(std::string{web["source_ranges"][1].GetString()} == "203.0.113.9/32");
  CHECK(std::string{web["external_policy"].GetString()} == "Local");
  REQUIRE(web["frontends"].Size() == 3);
  CHECK(std::string{web["frontends"][1]["kind"].GetString()} == "NodePort");
  CHECK(std::string{web["frontends"][1]["address"].GetString()} == "*");
  CHECK(web["frontends"][1]["port"].GetUint64() == 30'080);

  const auto& endpoints = web["endpoints"];
  REQUIRE(endpoints.Size() == 3);
  CHECK(std::string{endpoints[0]["address"].GetString()} == "10.244.0.5");
  CHECK(endpoints[0]["port"].GetUint64() == 8080);
  CHECK(endpoints[0]["local"].GetBool());
  CHECK(endpoints[0]["in_cluster_list"].GetBool());
  CHECK(endpoints[0]["in_local_list"].GetBool());
  CHECK(endpoints[0]["live_flows"].GetUint64() == 11);
  CHECK(endpoints[0]["backend"].GetUint64() == 5);
  CHECK(endpoints[1]["in_cluster_list"].GetBool());
  CHECK_FALSE(endpoints[1]["in_local_list"].GetBool());
  CHECK_FALSE(endpoints[1]["local"].GetBool());
  CHECK(std::string{endpoints[2]["state"].GetString()} == "terminating");
  CHECK_FALSE(endpoints[2]["in_cluster_list"].GetBool());
}

TEST_CASE("service show: by port name or number, and one that is not there") {
  PinnedMaps maps;
  add_web(maps);
  for (const auto* which : {"default/web:http", "default/web:80"})
    CHECK(run_json(command(maps, {"service", "show", which})).Size() == 1);
  for (const std::string which : {"default/web:81", "default/we", "web/default"}) {
    const auto ran = run(command(maps, {"service", "show", which}));
    CHECK(ran.status == 1);
    CHECK(ran.err == "weir: show service: " + which + ": no such service in the tables\n");
  }
}

TEST_CASE("backend list: every entry in use, of one service if asked") {
  PinnedMaps maps;
  add_web(maps);
  add_others(maps);
  const auto rows = run_json(command(maps, {"backend", "list"}));
  REQUIRE(rows.Size() == 4);
  CHECK(std::string{rows[0]["service"].GetString()} == "default/old");
  CHECK(std::string{rows[0]["state"].GetString()} == "gone");
  CHECK(std::string{rows[1]["service"].GetString()} == "default/web:http");
  CHECK(std::string{rows[1]["backend"].GetString()} == "10.244.0.5:8080");
  CHECK(std::string{rows[1]["state"].GetString()} == "active");
  CHECK(rows[1]["local"].GetBool());
  CHECK(rows[1]["live_flows"].GetUint64() == 11);
  CHECK(rows[1]["connections"].GetUint64() == 12);
  CHECK(rows[1]["packets"].GetUint64() == 13);
  CHECK(rows[1]["bytes"].GetUint64() == 14);
  CHECK(run_json(command(maps, {"backend", "list", "--service", "default/web"})).Size() == 3);
  CHECK(run_json(command(maps, {"backend", "list", "--service", "default/none"})).Size() == 0);
}

TEST_CASE("a list that leads out of its table is cut, not followed") {
  PinnedMaps maps;
  add_web(maps);
  maps.array<weir_version>("weir_version")[8].cluster = {.first = 60, .count = ~__u32{0}};
  CHECK(run_json(command(maps, {"service", "list"}))[0]["cluster_endpoints"].GetUint64() == 4);
  maps.array<__u32>("weir_current")[3] = 1'000'000;
  CHECK(run_json(command(maps, {"service", "list"}))[0]["internal_policy"].IsNull());
}
