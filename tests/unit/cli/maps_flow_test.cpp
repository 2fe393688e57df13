// SPDX-License-Identifier: Apache-2.0
// flow list, count and delete over real maps; what is kept of sockets.
#include <arpa/inet.h>

#include <cstring>

#include "cli/flow_table.hpp"
#include "unit/cli/command_line.hpp"
#include "unit/cli/pinned_maps.hpp"

using namespace weir;
using test::address;
using test::command;
using test::PinnedMaps;
using test::run;
using test::run_json;

namespace {

struct End {
  const char* ip;
  std::uint16_t port;
};

// One flow as the kernel half would record it.
struct Pair {
  End client;
  End frontend;
  End backend;
  End source;  // what the backend sees
  std::uint8_t proto = IPPROTO_TCP;
  std::uint32_t service = 3;
  std::uint32_t index = 5;
  std::uint8_t flags = 0;
  std::uint32_t age = 10;  // ticks
  std::uint32_t idle = 2;
};

weir_flow_key key(const End& from, const End& to, std::uint8_t proto) {
  return {.saddr = address(from.ip),
          .daddr = address(to.ip),
          .sport = htons(from.port),
          .dport = htons(to.port),
          .proto = proto,
          .zero = {}};
}

weir_flow record(const Pair& pair, const End& from, const End& to) {
  weir_flow value{};
  value.saddr = address(from.ip);
  value.daddr = address(to.ip);
  value.sport = htons(from.port);
  value.dport = htons(to.port);
  value.flags = pair.flags;
  value.backend = pair.index;
  value.service = pair.service & 0xffffff;
  value.generation = 1;
  value.created = cli::now_ticks() - pair.age;
  value.touched = cli::now_ticks() - pair.idle;
  value.packets = 10;
  value.bytes = 1000;
  value.counted_packets = 4;
  value.counted_bytes = 400;
  return value;
}

weir_flow_key forward_key(const Pair& p) {
  return key(p.client, p.frontend, p.proto);
}
weir_flow_key reply_key(const Pair& p) {
  return key(p.backend, p.source, p.proto);
}

void put_forward(PinnedMaps& maps, const char* map, const Pair& pair) {
  maps.put(map, forward_key(pair), record(pair, pair.source, pair.backend));
}

// Longer idle than the forward half, and with other counts.
void put_reply(PinnedMaps& maps, const char* map, const Pair& pair) {
  auto value = record(pair, pair.frontend, pair.client);
  value.flags |= WEIR_FLOW_REPLY;
  value.touched -= 3;
  value.packets = 5;
  value.bytes = 500;
  value.counted_packets = 3;
  value.counted_bytes = 300;
  maps.put(map, reply_key(pair), value);
}

void put(PinnedMaps& maps, const char* map, const Pair& pair) {
  put_forward(maps, map, pair);
  put_reply(maps, map, pair);
}

const Pair kPodFlow{.client = {"10.244.0.9", 40'001},
                    .frontend = {"10.96.0.10", 80},
                    .backend = {"10.244.0.5", 8080},
                    .source = {"10.244.0.9", 40'001},
                    .flags = WEIR_FLOW_POD};
const Pair kSentFlow{.client = {"198.51.100.7", 40'002},
                     .frontend = {"192.0.2.1", 30'080},
                     .backend = {"10.244.1.6", 8080},
                     .source = {"10.0.0.1", 61'234},
                     .index = 6,
                     .flags = WEIR_FLOW_SEND};
const Pair kSix{.client = {"fd00:244::9", 40'003},
                .frontend = {"fd00:10:96::a", 53},
                .backend = {"fd00:244::5", 5353},
                .source = {"fd00:244::9", 40'003},
                .proto = IPPROTO_UDP,
                .service = 4,
                .index = 7,
                .flags = WEIR_FLOW_POD};
const Pair kHalfFlow{.client = {"198.51.100.8", 40'004},
                     .frontend = {"192.0.2.1", 30'080},
                     .backend = {"10.244.1.6", 8080},
                     .source = {"10.0.0.1", 61'235},
                     .index = 6,
                     .flags = WEIR_FLOW_SEND};

void put_name(PinnedMaps& maps, std::uint32_t id, const char* text, std::uint16_t port) {
  weir_name name{};
  std::strncpy(name.text, text, sizeof name.text - 1);
  name.port = htons(port);
  maps.put("weir_name", __u32{id}, name);
}

// Three established flows and one half-open one.
void fill(PinnedMaps& maps) {
  put_name(maps, 3, "default/web:http", 80);
  put_name(maps, 4, "kube-system/dns", 53);
  put(maps, "weir_flow", kPodFlow);
  put(maps, "weir_flow", kSentFlow);
  put(maps, "weir_flow", kSix);
  put(maps, "weir_half_tcp", kHalfFlow);
  maps.array<weir_config>("weir_config")[0].life_half = 56;
  maps.array<weir_state>("weir_state")[0].flows = 3;
  auto backends = maps.array<weir_backend>("weir_backend");
  for (const std::uint32_t index : {5U, 6U, 7U}) {
    backends[index].generation = 1;
    backends[index].live = 1;
  }
}

std::uint64_t total(const PinnedMaps& maps, std::vector<std::string> filter) {
  filter.insert(filter.begin(), {"flow", "count"});
  return run_json(command(maps, filter))["total"].GetUint64();
}

}  // namespace

TEST_CASE("flow list: one row a flow, both directions together") {
  PinnedMaps maps;
  fill(maps);
  const auto rows = run_json(command(maps, {"flow", "list"}));
  REQUIRE(rows.Size() == 4);
  const auto row = [&](const char* client) -> const rapidjson::Value& {
    for (const auto& one : rows.GetArray())
      if (std::string{one["client"].GetString()} == client) return one;
    FAIL(client);
    return rows[0];
  };
  const auto& direct = row("10.244.0.9:40001");
  CHECK(std::string{direct["frontend"].GetString()} == "10.96.0.10:80");
  CHECK(std::string{direct["service"].GetString()} == "default/web:http");
  CHECK(std::string{direct["backend"].GetString()} == "10.244.0.5:8080");
  CHECK(direct["source"].IsNull());
  CHECK(std::string{direct["protocol"].GetString()} == "TCP");
  CHECK(std::string{direct["state"].GetString()} == "established");
  CHECK(std::string{direct["edge"].GetString()} == "pod");
  CHECK(direct["packets"].GetUint64() == 15);
  CHECK(direct["bytes"].GetUint64() == 1500);
  // Ticks of 1.07 s; one may pass while the test runs.
  CHECK(direct["age_seconds"].GetUint64() >= 10);
  CHECK(direct["age_seconds"].GetUint64() <= 12);
  CHECK(direct["idle_seconds"].GetUint64() >= 2);
  CHECK(direct["idle_seconds"].GetUint64() <= 4);

  const auto& sent = row("198.51.100.7:40002");
  CHECK(std::string{sent["source"].GetString()} == "10.0.0.1:61234");
  CHECK(std::string{sent["edge"].GetString()} == "uplink");
  const auto& six = row("[fd00:244::9]:40003");
  CHECK(std::string{six["frontend"].GetString()} == "[fd00:10:96::a]:53");
  CHECK(std::string{six["protocol"].GetString()} == "UDP");
  CHECK(std::string{row("198.51.100.8:40004")["state"].GetString()} == "half");
}

TEST_CASE("flow count and its filters") {
  PinnedMaps maps;
  fill(maps);
  const auto counted = run_json(command(maps, {"flow", "count"}));
  CHECK(counted["established"].GetUint64() == 3);
  CHECK(counted["half"].GetUint64() == 1);
  CHECK(counted["total"].GetUint64() == 4);

  CHECK(total(maps, {"--client", "10.244.0.9"}) == 1);
  CHECK(total(maps, {"--client", "10.244.0.9:40001"}) == 1);
  CHECK(total(maps, {"--client", "10.244.0.9:40002"}) == 0);
  CHECK(total(maps, {"--client", "198.51.100.0/24"}) == 2);
  CHECK(total(maps, {"--client", "::/0"}) == 1);
  CHECK(total(maps, {"--client", "0.0.0.0/0"}) == 3);
  CHECK(total(maps, {"--client", "10.96.0.10"}) == 0);  // a frontend, and no client
  CHECK(total(maps, {"--service", "default/web"}) == 3);
  CHECK(total(maps, {"--service", "default/web:http"}) == 3);
  CHECK(total(maps, {"--service", "kube-system/dns:53"}) == 1);
  CHECK(total(maps, {"--service", "default/none"}) == 0);
  CHECK(total(maps, {"--backend", "10.244.1.6"}) == 2);
  CHECK(total(maps, {"--backend", "10.244.1.6:8080"}) == 2);
  CHECK(total(maps, {"--backend", "[fd00:244::5]:5353"}) == 1);
  CHECK(total(maps, {"--backend", "10.244.1.6:80"}) == 0);
  CHECK(total(maps, {"--protocol", "udp"}) == 1);
  CHECK(total(maps, {"--protocol", "tcp"}) == 3);
  CHECK(total(maps, {"--state", "half"}) == 1);
  CHECK(total(maps, {"--state", "established"}) == 3);
  CHECK(total(maps, {"--backend", "10.244.1.6", "--state", "half"}) == 1);
}

TEST_CASE("a flow that lost one half is still one flow") {
  PinnedMaps maps;
  put_forward(maps, "weir_half_tcp", kPodFlow);
  put_reply(maps, "weir_half_udp", kSix);
  maps.array<weir_config>("weir_config")[0].life_half = 56;
  const auto rows = run_json(command(maps, {"flow", "list"}));
  REQUIRE(rows.Size() == 2);
  CHECK(std::string{rows[0]["client"].GetString()} == "10.244.0.9:40001");
  CHECK(std::string{rows[1]["client"].GetString()} == "[fd00:244::9]:40003");
  CHECK(std::string{rows[1]["frontend"].GetString()} == "[fd00:10:96::a]:53");
  CHECK(std::string{rows[1]["backend"].GetString()} == "[fd00:244::5]:5353");
}

TEST_CASE("a flow that is in both tables while it is promoted counts once, as established") {
  PinnedMaps maps;
  fill(maps);
  put(maps, "weir_half_tcp", kPodFlow);
  const auto counted = run_json(command(maps, {"flow", "count", "--client", "10.244.0.9"}));
  CHECK(counted["established"].GetUint64() == 1);
  CHECK(counted["half"].GetUint64() == 0);
  const auto rows = run_json(command(maps, {"flow", "list", "--client", "10.244.0.9"}));
  CHECK(rows[0]["packets"].GetUint64() == 15);
}

TEST_CASE("half-open records past their lifetime are no flows") {
  PinnedMaps maps;
  fill(maps);
  auto old = kHalfFlow;
  old.client.port = 40'005;
  old.idle = 200;
  put(maps, "weir_half_tcp", old);
  CHECK(total(maps, {"--state", "half"}) == 1);
  old.client.port = 40'006;
  put(maps, "weir_flow", old);  // only the timer ends an established one
  CHECK(total(maps, {"--state", "established"}) == 4);
}

TEST_CASE("flow delete: both records go, and the counts are the kernel half's") {
  PinnedMaps maps;
  fill(maps);
  const auto deleted = run_json(command(maps, {"flow", "delete", "--client", "10.244.0.9"}));
  CHECK(deleted["deleted"].GetUint64() == 1);
  CHECK_FALSE(maps.get<weir_flow_key, weir_flow>("weir_flow", forward_key(kPodFlow)));
  CHECK_FALSE(maps.get<weir_flow_key, weir_flow>("weir_flow", reply_key(kPodFlow)));
  CHECK(maps.get<weir_flow_key, weir_flow>("weir_flow", forward_key(kSentFlow)));
  CHECK(maps.get<weir_flow_key, weir_flow>("weir_flow", reply_key(kSentFlow)));

  const auto backends = maps.array<weir_backend>("weir_backend");
  CHECK(backends[5].live == 0);
  CHECK(backends[6].live == 1);
  CHECK(backends[5].packets == 8);  // what was counted since: 10 - 4 and 5 - 3
  CHECK(backends[5].bytes == 800);
  const auto stats = maps.array<weir_stat>("weir_stat");
  CHECK(stats[3].packets == 8);
  CHECK(stats[3].bytes == 800);
  const auto state = maps.array<weir_state>("weir_state");
  CHECK(state[0].flows == 2);
  CHECK(state[0].direct_flows == 0);
}

TEST_CASE("flow delete: half-open flows have no counts to correct") {
  PinnedMaps maps;
  fill(maps);
  CHECK(run_json(command(maps, {"flow", "delete", "--state", "half"}))["deleted"].GetUint64() == 1);
  CHECK_FALSE(maps.get<weir_flow_key, weir_flow>("weir_half_tcp", forward_key(kHalfFlow)));
  CHECK_FALSE(maps.get<weir_flow_key, weir_flow>("weir_half_tcp", reply_key(kHalfFlow)));
  const auto state = maps.array<weir_state>("weir_state");
  CHECK(state[0].flows == 3);
  CHECK(maps.array<weir_backend>("weir_backend")[6].live == 1);
}

TEST_CASE("flow delete: a backend entry that is another's by now is left alone") {
  PinnedMaps maps;
  fill(maps);
  maps.array<weir_backend>("weir_backend")[5].generation = 2;
  CHECK(run_json(command(maps, {"flow", "delete", "--backend", "10.244.0.5"}))["deleted"]
            .GetUint64() == 1);
  const auto backends = maps.array<weir_backend>("weir_backend");
  CHECK(backends[5].live == 1);
  CHECK(backends[5].packets == 0);
}

TEST_CASE("flow delete: direct flows have a count of their own") {
  PinnedMaps maps;
  fill(maps);
  auto direct = kPodFlow;
  direct.client.port = 40'009;
  direct.source.port = 50'009;
  direct.flags = WEIR_FLOW_DIRECT;
  direct.service = 0;
  direct.index = 0;
  put(maps, "weir_flow", direct);
  maps.array<weir_state>("weir_state")[0].flows = 4;
  maps.array<weir_state>("weir_state")[0].direct_flows = 1;
  CHECK(run_json(command(maps, {"flow", "delete", "--client", "10.244.0.9:40009"}))["deleted"]
            .GetUint64() == 1);
  const auto state = maps.array<weir_state>("weir_state");
  CHECK(state[0].flows == 3);
  CHECK(state[0].direct_flows == 0);
}

TEST_CASE("flow delete --all") {
  PinnedMaps maps;
  fill(maps);
  CHECK(run_json(command(maps, {"flow", "delete", "--all"}))["deleted"].GetUint64() == 4);
  CHECK(total(maps, {}) == 0);
  CHECK(maps.array<weir_state>("weir_state")[0].flows == 0);
  CHECK(run_json(command(maps, {"flow", "delete", "--all"}))["deleted"].GetUint64() == 0);
}

TEST_CASE("deleting what somebody else has deleted meanwhile corrects nothing") {
  PinnedMaps maps;
  fill(maps);
  auto table = cli::read_flows(maps.pins(), {});
  REQUIRE(table);
  REQUIRE(table->flows.size() == 4);
  CHECK(run_json(command(maps, {"flow", "delete", "--all"}))["deleted"].GetUint64() == 4);
  const auto again = cli::delete_flows(maps.pins(), table->flows);
  REQUIRE(again);
  CHECK(*again == 0);
  CHECK(maps.array<weir_state>("weir_state")[0].flows == 0);
  CHECK(maps.array<weir_backend>("weir_backend")[5].live == 0);
}

TEST_CASE("map dump: what is kept of the TCP sockets of the node") {
  PinnedMaps maps;
  weir_stream_set set{};
  set.cookie[2] = 77;
  set.way[2].service = {
      .addr = address("10.96.0.1"), .port = htons(80), .proto = IPPROTO_TCP, .zero = 0};
  set.way[2].backend = {
      .addr = address("10.244.1.5"), .port = htons(8080), .proto = IPPROTO_TCP, .zero = 0};
  maps.put("weir_stream", std::uint32_t{3}, set);
  const auto streams = run_json(command(maps, {"map", "dump", "weir_stream"}));
  REQUIRE(streams.Size() == 1);
  CHECK(streams[0]["socket"].GetUint64() == 77);
  CHECK(std::string{streams[0]["backend"].GetString()} == "10.244.1.5:8080");
  CHECK(std::string{streams[0]["service"].GetString()} == "10.96.0.1:80");
}

TEST_CASE("map dump: what is kept of the UDP sockets of the node") {
  PinnedMaps maps;
  weir_socket_key key{};
  key.cookie = 77;
  key.end = {.addr = address("10.244.1.5"), .port = htons(8080), .proto = IPPROTO_UDP, .zero = 0};
  weir_peer peer{};
  peer.service = {.addr = address("fd00::10"), .port = htons(53), .proto = IPPROTO_UDP, .zero = 0};
  peer.backend = 5;
  peer.generation = 6;
  maps.put("weir_peer", key, peer);
  weir_sticky sticky{};
  sticky.next = key.end;
  sticky.backend = 5;
  sticky.service = 3;
  key.end = peer.service;
  maps.put("weir_sticky", key, sticky);

  const auto peers = run_json(command(maps, {"map", "dump", "weir_peer"}));
  REQUIRE(peers.Size() == 1);
  CHECK(peers[0]["socket"].GetUint64() == 77);
  CHECK(std::string{peers[0]["backend"].GetString()} == "10.244.1.5:8080");
  CHECK(std::string{peers[0]["protocol"].GetString()} == "UDP");
  CHECK(std::string{peers[0]["service"].GetString()} == "[fd00::10]:53");
  CHECK(peers[0]["index"].GetUint64() == 5);
  CHECK(peers[0]["next"].IsNull());
  const auto stickies = run_json(command(maps, {"map", "dump", "weir_sticky"}));
  REQUIRE(stickies.Size() == 1);
  CHECK(std::string{stickies[0]["service"].GetString()} == "[fd00::10]:53");
  CHECK(stickies[0]["id"].GetUint64() == 3);
  CHECK(stickies[0]["backend"].GetUint64() == 5);
  CHECK(std::string{stickies[0]["next"].GetString()} == "10.244.1.5:8080");
}
