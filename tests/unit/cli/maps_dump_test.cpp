// SPDX-License-Identifier: Apache-2.0
// `weir map dump`: the raw tables, decoded by the ABI.
#include <arpa/inet.h>
#include <net/if.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "unit/cli/command_line.hpp"
#include "unit/cli/pinned_maps.hpp"

using namespace weir;
using test::address;
using test::command;
using test::PinnedMaps;
using test::run;
using test::run_json;

namespace {

constexpr std::uint32_t kLoopback = 1;  // in a fresh network namespace

}  // namespace

TEST_CASE("map dump: every map, by the ABI") {
  PinnedMaps maps;
  maps.put("weir_address", address("10.96.0.10"),
           weir_address{.bits = WEIR_ADDRESS_SERVICE | WEIR_ADDRESS_LOCAL | 1 << 9});
  const auto addresses = run_json(command(maps, {"map", "dump", "weir_address"}));
  REQUIRE(addresses.Size() == 1);
  CHECK(std::string{addresses[0]["address"].GetString()} == "10.96.0.10");
  REQUIRE(addresses[0]["bits"].Size() == 3);
  CHECK(std::string{addresses[0]["bits"][0].GetString()} == "service");
  CHECK(std::string{addresses[0]["bits"][1].GetString()} == "local");
  CHECK(std::string{addresses[0]["bits"][2].GetString()} == "bit_9");

  maps.array<__u64>("weir_filter")[3] = std::uint64_t{WEIR_ADDRESS_NODE} << 16;
  const auto slots_of_filter = run_json(command(maps, {"map", "dump", "weir_filter"}));
  REQUIRE(slots_of_filter.Size() == 1);
  CHECK(slots_of_filter[0]["slot"].GetUint64() == 3 * 8 + 2);
  CHECK(std::string{slots_of_filter[0]["bits"][0].GetString()} == "node");
  maps.array<__u64>("weir_port")[2] = 1 << 5;
  const auto ports = run_json(command(maps, {"map", "dump", "weir_port"}));
  REQUIRE(ports.Size() == 1);
  CHECK(ports[0]["port"].GetUint64() == 2 * 64 + 5);

  maps.array<weir_slot>("weir_slot")[9].backend = 77;
  const auto slots = run_json(command(maps, {"map", "dump", "weir_slot"}));
  REQUIRE(slots.Size() == 1);
  CHECK(slots[0]["index"].GetUint64() == 9);
  CHECK(slots[0]["backend"].GetUint64() == 77);

  const auto all = run_json(command(maps, {"map", "list"}));
  for (const auto& map : all.GetArray()) {
    INFO(map["map"].GetString());
    CHECK(run(command(maps, {"map", "dump", map["map"].GetString()})).status == 0);
  }
}

TEST_CASE("map dump: keys sorted, ports in host order, names of devices") {
  PinnedMaps maps;
  const weir_flow_key high{.saddr = address("10.0.0.2"),
                           .daddr = address("10.96.0.10"),
                           .sport = htons(40'000),
                           .dport = htons(80),
                           .proto = IPPROTO_TCP,
                           .zero = {}};
  auto low = high;
  low.saddr = address("10.0.0.1");
  weir_flow value{};
  value.flags = WEIR_FLOW_REPLY | WEIR_FLOW_SEND;
  value.seen = WEIR_SEEN_FIN;
  value.way.dmac[5] = 0xab;
  value.token = 99;
  maps.put("weir_flow", high, value);
  maps.put("weir_flow", low, value);
  const auto flows = run_json(command(maps, {"map", "dump", "weir_flow"}));
  REQUIRE(flows.Size() == 2);
  CHECK(std::string{flows[0]["from"].GetString()} == "10.0.0.1:40000");
  CHECK(std::string{flows[1]["from"].GetString()} == "10.0.0.2:40000");
  CHECK(std::string{flows[0]["to"].GetString()} == "10.96.0.10:80");
  CHECK(flows[0]["flags"].Size() == 2);
  CHECK(std::string{flows[0]["seen"][0].GetString()} == "fin");
  CHECK(std::string{flows[0]["dmac"].GetString()} == "00:00:00:00:00:ab");
  CHECK(flows[0]["token"].GetUint64() == 99);

  maps.put("weir_xdp_tx", __u32{kLoopback}, __u32{kLoopback});
  const auto devices = run_json(command(maps, {"map", "dump", "weir_xdp_tx"}));
  REQUIRE(devices.Size() == 1);
  CHECK(std::string{devices[0]["device"].GetString()} == "lo");
}

TEST_CASE("map dump: datagrams of both families by their ids") {
  PinnedMaps maps;
  const weir_fragment value{.sport = htons(4000),
                            .dport = htons(53),
                            .proto = IPPROTO_UDP,
                            .zero = {},
                            .check = 0,
                            .seen = 7};
  maps.put("weir_fragment",
           weir_fragment_key{.saddr = address("10.0.0.1"),
                             .daddr = address("10.96.0.10"),
                             .id = htons(4711),
                             .proto = IPPROTO_UDP,
                             .zero = {}},
           value);
  const auto four = run_json(command(maps, {"map", "dump", "weir_fragment"}));
  REQUIRE(four.Size() == 1);
  CHECK(std::string{four[0]["from"].GetString()} == "10.0.0.1:4000");
  CHECK(std::string{four[0]["to"].GetString()} == "10.96.0.10:53");
  CHECK(four[0]["id"].GetUint64() == 4711);
  CHECK(std::string{four[0]["protocol"].GetString()} == "UDP");
  maps.put("weir_fragment",
           weir_fragment_key{.saddr = address("10.0.0.1"),
                             .daddr = address("10.96.0.10"),
                             .id = htonl(0x12345678),
                             .proto = 0,
                             .zero = {}},
           value);
  const auto both = run_json(command(maps, {"map", "dump", "weir_fragment"}));
  REQUIRE(both.Size() == 2);
  CHECK(both[0]["id"].GetUint64() + both[1]["id"].GetUint64() == 0x12345678 + 4711);
}

TEST_CASE("map dump: the head of the queue, counters, and a map that the ABI does not know") {
  PinnedMaps maps;
  auto queue = kernel::open_map(maps.pins(), "weir_expiry");
  REQUIRE(queue);
  weir_expiry element{};
  element.key.sport = htons(1234);
  element.token = 42;
  REQUIRE(bpf_map_update_elem(queue->get(), nullptr, &element, BPF_ANY) == 0);
  for (int again = 0; again < 2; ++again) {  // looking takes nothing away
    const auto head = run_json(command(maps, {"map", "dump", "weir_expiry"}));
    REQUIRE(head.Size() == 1);
    CHECK(head[0]["token"].GetUint64() == 42);
  }

  maps.put_counter(3, {8});
  const auto counters = run_json(command(maps, {"map", "dump", "weir_counter"}));
  CHECK(counters[3]["count"].GetUint64() == 8);
  CHECK(std::string{counters[3]["name"].GetString()} == "reply_tc");

  const UniqueFd other{bpf_map_create(BPF_MAP_TYPE_HASH, "other", 2, 3, 8, nullptr)};
  REQUIRE(bpf_obj_pin(other.get(), maps.pins().map("other").c_str()) == 0);
  REQUIRE(bpf_map_update_elem(other.get(), "\x01\xab", "\x00\xff\x10", BPF_ANY) == 0);
  const auto raw = run_json(command(maps, {"map", "dump", "other"}));
  REQUIRE(raw.Size() == 1);
  CHECK(std::string{raw[0]["key"].GetString()} == "01ab");
  CHECK(std::string{raw[0]["value"].GetString()} == "00ff10");
}

TEST_CASE("map dump: a map that is not there, and names that lead elsewhere") {
  PinnedMaps maps;
  CHECK(run(command(maps, {"map", "dump", "weir_nothing"})).err ==
        "weir: dump map: open map " + maps.pins().map("weir_nothing") +
            ": No such file or directory\n");
  for (const auto* name : {"../maps/weir_slot", "..", "/etc"})
    CHECK(run(command(maps, {"map", "dump", name})).err ==
          "weir: dump map: " + std::string{name} + ": not the name of a map\n");
}

TEST_CASE("a pinned map of another layout is an error, not nonsense") {
  PinnedMaps maps;
  std::filesystem::remove(maps.pins().map("weir_name"));
  const UniqueFd other{bpf_map_create(BPF_MAP_TYPE_HASH, "weir_name", 4, 16, 8, nullptr)};
  REQUIRE(bpf_obj_pin(other.get(), maps.pins().map("weir_name").c_str()) == 0);
  const auto ran = run(command(maps, {"service", "list"}));
  CHECK(ran.status == 1);
  CHECK(ran.err ==
        "weir: list services: map weir_name has another layout (key 4, value 16 bytes)\n");
}
