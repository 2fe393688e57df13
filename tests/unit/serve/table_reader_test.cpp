// SPDX-License-Identifier: Apache-2.0
// What a scrape reads of real maps, and how long it takes over many.
#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <map>

#include "serve/metrics.hpp"
#include "serve/table_reader.hpp"
#include "unit/cli/pinned_maps.hpp"
#include "unit/serve/every_metric.hpp"
#include "unit/serve/exposition.hpp"

using namespace std::chrono_literals;
using namespace weir;
using test::Exposition;
using test::PinnedMaps;

namespace {

// Of this thread: others may keep the machine busy.
std::chrono::nanoseconds cpu_time() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return std::chrono::seconds{spent.tv_sec} + std::chrono::nanoseconds{spent.tv_nsec};
}

#ifdef __SANITIZE_ADDRESS__
constexpr auto kMost = 400ms;
#else
constexpr auto kMost = 100ms;
#endif

void put_name(PinnedMaps& maps, std::uint32_t id, const std::string& name) {
  maps.put("weir_name", id, test::reading(id, name, 0).name);
}

serve::TableReading read(const PinnedMaps& maps) {
  auto reader = serve::TableReader::open(maps.pins());
  REQUIRE(reader);
  auto reading = reader->read();
  REQUIRE(reading);
  return std::move(*reading);
}

const serve::ServiceReading& service(const serve::TableReading& reading, std::uint32_t id) {
  for (const auto& one : reading.services)
    if (one.id == id) return one;
  FAIL(id);
  return reading.services.front();
}

std::map<std::string, std::uint64_t> entries(const serve::TableReading& reading) {
  std::map<std::string, std::uint64_t> found;
  for (const auto& fill : reading.tables)
    if (fill.entries) found.emplace(fill.table, *fill.entries);
  return found;
}

}  // namespace

TEST_CASE("services: names, counts, and the flows of all their backends") {
  PinnedMaps maps;
  put_name(maps, 3, "default/web:http");
  put_name(maps, 4, "default/db");
  maps.array<weir_stat>("weir_stat")[3] = {.connections = 7, .packets = 8, .bytes = 9};
  auto backends = maps.array<weir_backend>("weir_backend");
  const auto put = [&](std::uint32_t index, weir_backend_state state, std::uint32_t id,
                       std::uint64_t live) {
    backends[index].state = static_cast<__u8>(state);
    backends[index].service = id;
    backends[index].live = live;
  };
  put(1, WEIR_BACKEND_ACTIVE, 3, 10);
  put(5, WEIR_BACKEND_GONE, 3, 20);
  put(6, WEIR_BACKEND_TERMINATING, 3, 40);
  put(7, WEIR_BACKEND_FREE, 3, 80);
  put(8, WEIR_BACKEND_ACTIVE, 4, 1);
  put(9, WEIR_BACKEND_ACTIVE, 1'000'000, 1);  // of no service
  const auto reading = read(maps);
  REQUIRE(reading.services.size() == 2);
  CHECK(service(reading, 3).stat.connections == 7);
  CHECK(service(reading, 3).stat.packets == 8);
  CHECK(service(reading, 3).stat.bytes == 9);
  CHECK(service(reading, 3).flows == 70);
  CHECK(service(reading, 4).stat.bytes == 0);
  CHECK(service(reading, 4).flows == 1);
  CHECK(std::string{static_cast<const char*>(service(reading, 4).name.text)} == "default/db");
  CHECK(entries(reading).at("weir_backend") == 5);
}

TEST_CASE("the fill of the tables, and which are not counted") {
  PinnedMaps maps;
  maps.put("weir_device", __u32{1}, weir_device{});
  maps.put("weir_service", weir_service_key{}, weir_service{});
  put_name(maps, 1, "a/b");
  maps.array<__u32>("weir_current")[1] = 4;
  maps.array<__u32>("weir_current")[2] = 5;
  // Two lists share two slots of three.
  maps.array<weir_version>("weir_version")[4].cluster = {.first = 10, .count = 3};
  maps.array<weir_version>("weir_version")[5].local = {.first = 11, .count = 2};
  maps.array<weir_state>("weir_state")[0].flows = 21;
  maps.array<weir_state>("weir_state")[0].queued = 23;
  maps.put("weir_half_udp", weir_flow_key{}, weir_flow{});
  const auto reading = read(maps);
  CHECK(entries(reading) == std::map<std::string, std::uint64_t>{{"weir_backend", 0},
                                                                 {"weir_current", 2},
                                                                 {"weir_device", 1},
                                                                 {"weir_expiry", 23},
                                                                 {"weir_flow", 42},
                                                                 {"weir_name", 1},
                                                                 {"weir_service", 1},
                                                                 {"weir_slot", 3},
                                                                 {"weir_version", 2}});
  CHECK(reading.tables.size() == 18);
  for (const auto& fill : reading.tables)
    CHECK(fill.limit == (fill.table == "weir_flow" ? 2 * test::kEntries : test::kEntries));
  CHECK(reading.state.flows == 21);
}

TEST_CASE("counters are summed over the CPUs") {
  PinnedMaps maps;
  maps.put_counter(WEIR_drop_no_route, {5, 6});
  const auto reading = read(maps);
  REQUIRE(reading.counters.size() == WEIR_COUNTER_MAX);
  CHECK(reading.counters[WEIR_drop_no_route] == (libbpf_num_possible_cpus() > 1 ? 11 : 5));
  CHECK(reading.counters[WEIR_drop_no_source] == 0);
}

TEST_CASE("policy Local and endpoints only elsewhere, by policy") {
  PinnedMaps maps;
  auto current = maps.array<__u32>("weir_current");
  auto versions = maps.array<weir_version>("weir_version");
  const auto put = [&](std::uint32_t id, std::uint32_t flags, std::uint32_t local) {
    current[id] = id;
    versions[id].flags = flags;
    versions[id].local.count = local;
  };
  put(1, WEIR_VERSION_INTERNAL_LOCAL | WEIR_VERSION_HAS_ENDPOINT, 0);
  put(2, WEIR_VERSION_EXTERNAL_LOCAL | WEIR_VERSION_HAS_ENDPOINT, 0);
  put(3, WEIR_VERSION_INTERNAL_LOCAL | WEIR_VERSION_EXTERNAL_LOCAL | WEIR_VERSION_HAS_ENDPOINT, 0);
  put(4, WEIR_VERSION_EXTERNAL_LOCAL | WEIR_VERSION_HAS_ENDPOINT, 0);
  put(5, WEIR_VERSION_EXTERNAL_LOCAL, 0);                                       // none anywhere
  put(6, WEIR_VERSION_INTERNAL_LOCAL | WEIR_VERSION_HAS_ENDPOINT, 1);           // one here
  put(7, WEIR_VERSION_HAS_ENDPOINT, 0);                                         // no such policy
  versions[8].flags = WEIR_VERSION_EXTERNAL_LOCAL | WEIR_VERSION_HAS_ENDPOINT;  // not current
  const auto reading = read(maps);
  CHECK(reading.no_local_internal == 2);
  CHECK(reading.no_local_external == 3);
}

TEST_CASE("tables that are not there are an error, and those of another layout") {
  const PinnedMaps maps;
  CHECK_FALSE(serve::TableReader::open(kernel::Pins{"/sys/fs/bpf/weir-none"}));
  REQUIRE(unlink(maps.pins().map("weir_stat").c_str()) == 0);
  const auto reader = serve::TableReader::open(maps.pins());
  REQUIRE_FALSE(reader);
  CHECK(reader.error().message().find("weir_stat") != std::string::npos);
}

TEST_CASE("a scrape of 10,000 services takes less than 100 ms") {
  constexpr std::uint32_t kServices = 10'000;
  constexpr std::uint32_t kBackends = 100'000;
  PinnedMaps maps{262'144};
  auto current = maps.array<__u32>("weir_current");
  auto version = maps.array<weir_version>("weir_version");
  auto backend = maps.array<weir_backend>("weir_backend");
  auto stat = maps.array<weir_stat>("weir_stat");
  for (std::uint32_t i = 1; i <= kServices; ++i) {
    put_name(maps, i, fmt::format("default/service-{}:http", i));
    stat[i].connections = i;
    current[i] = i;
    version[i].cluster = {.first = 10 * i, .count = 10};
    weir_service_key key{};
    key.addr.word[3] = i;
    maps.put("weir_service", key, weir_service{.id = i, .frontend = 1, .zero = {}});
  }
  for (std::uint32_t i = 1; i <= kBackends; ++i) {
    backend[i].state = WEIR_BACKEND_ACTIVE;
    backend[i].service = 1 + i % kServices;
    backend[i].live = 3;
  }
  serve::Metrics metrics;
  REQUIRE(metrics.read_tables(maps.pins(), 1000));
  metrics.addresses(110'000);
  auto best = 1h + 0ns;
  std::string text;
  for (int i = 0; i < 5; ++i) {
    const auto begin = cpu_time();
    text = metrics.text();
    best = std::min<std::chrono::nanoseconds>(best, cpu_time() - begin);
  }
  const Exposition exposed{text};
  CHECK(exposed.value("weir_services") == kServices);
  CHECK(exposed.value("weir_services_summed") == kServices - 1000);
  CHECK(exposed.value("weir_table_entries", {{"table", "weir_backend"}}) == kBackends);
  CHECK(exposed.value("weir_table_entries", {{"table", "weir_slot"}}) == kBackends);
  CHECK(exposed.value("weir_table_entries", {{"table", "weir_address"}}) == 110'000);
  fmt::print("measured: scrape of {} services, {} backends: {:.1f} ms, {} bytes\n", kServices,
             kBackends, std::chrono::duration<double, std::milli>{best}.count(), text.size());
  CHECK(best < kMost);
}
