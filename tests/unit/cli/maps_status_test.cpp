// SPDX-License-Identifier: Apache-2.0
// status, drops, map list, map dump, check and cleanup over real maps.
#include <arpa/inet.h>
#include <net/if.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "kernel/attach.hpp"
#include "kernel/source_state.hpp"
#include "node/sysctl.hpp"
#include "unit/cli/command_line.hpp"
#include "unit/cli/pinned_maps.hpp"

using namespace weir;
using test::address;
using test::command;
using test::PinnedMaps;
using test::run;
using test::run_json;

namespace {

const rapidjson::Value& row_of(const rapidjson::Value& rows, const char* field, const char* value) {
  for (const auto& row : rows.GetArray())
    if (std::string{row[field].GetString()} == value) return row;
  FAIL(value);
  return rows;
}

std::uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// Two instructions: return 2, which is XDP_PASS.
UniqueFd pass_program() {
  std::array<bpf_insn, 2> code{};
  code[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
  code[0].imm = 2;
  code[1].code = BPF_JMP | BPF_EXIT;
  return UniqueFd{
      bpf_prog_load(BPF_PROG_TYPE_XDP, "weir_xdp", "GPL", code.data(), code.size(), nullptr)};
}

constexpr std::uint32_t kLoopback = 1;  // in a fresh network namespace

}  // namespace

TEST_CASE("status: nothing pinned is a state, and no error") {
  const PinnedMaps namespaces;
  const auto status = run_json({"status", "--pin-path", "/sys/fs/bpf/weir-none"});
  CHECK(std::string{status["version"].GetString()} == "0.1.0");
  CHECK(status["abi"].GetUint64() == WEIR_ABI_VERSION);
  CHECK(std::string{status["pin_path"].GetString()} == "/sys/fs/bpf/weir-none");
  CHECK_FALSE(status["agent_running"].GetBool());
  CHECK_FALSE(status["tables_pinned"].GetBool());
  CHECK_FALSE(status.HasMember("tables"));
}

TEST_CASE("status: an agent holds the lock, or does not") {
  PinnedMaps maps;
  CHECK_FALSE(run_json(command(maps, {"status"}))["agent_running"].GetBool());
  {
    const auto lock = maps.pins().lock();
    REQUIRE(lock);
    CHECK(run_json(command(maps, {"status"}))["agent_running"].GetBool());
  }
  CHECK_FALSE(run_json(command(maps, {"status"}))["agent_running"].GetBool());
}

TEST_CASE("status: the fill of every table") {
  PinnedMaps maps;
  maps.put("weir_address", address("10.96.0.10"), weir_address{.bits = WEIR_ADDRESS_SERVICE});
  maps.put("weir_name", __u32{1}, weir_name{});
  maps.put("weir_name", __u32{2}, weir_name{});
  maps.array<__u32>("weir_current")[1] = 4;
  maps.array<__u32>("weir_current")[2] = 5;
  // Two lists share two slots of three.
  maps.array<weir_version>("weir_version")[4].cluster = {.first = 10, .count = 3};
  maps.array<weir_version>("weir_version")[5].local = {.first = 11, .count = 2};
  maps.array<weir_backend>("weir_backend")[7].state = WEIR_BACKEND_GONE;
  maps.array<weir_state>("weir_state")[0].flows = 21;
  maps.array<weir_state>("weir_state")[0].queued = 23;

  const auto status = run_json(command(maps, {"status"}));
  const auto& tables = status["tables"];
  CHECK(tables.Size() == 26);
  const auto entries = [&](const char* name) {
    return row_of(tables, "table", name)["entries"].GetUint64();
  };
  CHECK(entries("weir_address") == 1);
  CHECK(entries("weir_service") == 0);
  CHECK(entries("weir_name") == 2);
  CHECK(entries("weir_current") == 2);
  CHECK(entries("weir_version") == 2);
  CHECK(entries("weir_slot") == 3);
  CHECK(entries("weir_backend") == 1);
  CHECK(entries("weir_flow") == 42);
  CHECK(entries("weir_expiry") == 23);
  CHECK(row_of(tables, "table", "weir_counter")["entries"].IsNull());
  CHECK(row_of(tables, "table", "weir_flow")["max_entries"].GetUint64() == 2 * test::kEntries);
  for (const auto& table : tables.GetArray()) {
    const std::string name{table["table"].GetString()};
    // Nothing of a trie is allocated before its first entry.
    CHECK((table["bytes"].GetUint64() > 0 || name == "weir_source_range"));
  }
}

TEST_CASE("status: how the agent stands with its source") {
  PinnedMaps maps;
  CHECK(run_json(command(maps, {"status"}))["source"].IsNull());  // no agent of this build has run
  REQUIRE(kernel::SourceState::open(maps.pins(), WEIR_SOURCE_MANIFESTS));
  const auto manifests = run_json(command(maps, {"status"}));
  CHECK(std::string{manifests["source"]["kind"].GetString()} == "manifests");
  CHECK(manifests["source"]["resources"].Size() == 0);

  auto state = kernel::SourceState::open(maps.pins(), WEIR_SOURCE_KUBERNETES);
  REQUIRE(state);
  const auto row = [&](const char* resource, const char* field) -> std::string {
    const auto status = run_json(command(maps, {"status"}));
    CHECK(std::string{status["source"]["kind"].GetString()} == "kubernetes");
    REQUIRE(status["source"]["resources"].Size() == 3);
    const auto& value = row_of(status["source"]["resources"], "resource", resource)[field];
    if (value.IsNull()) return "null";
    return value.IsString() ? value.GetString() : std::to_string(value.GetUint64());
  };
  CHECK(row("services", "state") == "not started");
  CHECK(row("services", "last_heard") == "null");
  CHECK(row("services", "last_heard_seconds_ago") == "null");
  const auto begin = static_cast<std::uint64_t>(std::time(nullptr));
  state->note(WEIR_SOURCE_SERVICES, WEIR_SOURCE_LISTING, false);
  CHECK(row("services", "state") == "listing");
  CHECK(row("services", "last_heard") == "null");
  state->note(WEIR_SOURCE_SERVICES, WEIR_SOURCE_WATCHING, true);
  CHECK(row("services", "state") == "watching");
  CHECK(std::stoull(row("services", "last_heard")) >= begin);
  CHECK(std::stoull(row("services", "last_heard_seconds_ago")) < 60);
  CHECK(row("services", "restarts") == "0");
  state->note(WEIR_SOURCE_SERVICES, WEIR_SOURCE_WATCHING, true);
  CHECK(row("services", "restarts") == "0");
  state->note(WEIR_SOURCE_SERVICES, WEIR_SOURCE_RETRYING, false);
  CHECK(row("services", "restarts") == "1");
  state->note(WEIR_SOURCE_SERVICES, WEIR_SOURCE_LISTING, false);
  CHECK(row("services", "restarts") == "1");
  state->note(WEIR_SOURCE_NODE, WEIR_SOURCE_RETRYING, false);
  CHECK(row("node", "state") == "retrying");
  CHECK(row("endpointslices", "state") == "not started");
  CHECK(std::stoull(row("node", "since")) >= begin);
  CHECK(std::stoull(row("node", "seconds")) < 60);
}

TEST_CASE("status: since when a state is, and what is long ago") {
  PinnedMaps maps;
  const auto now = static_cast<std::uint64_t>(std::time(nullptr));
  auto raw = maps.array<weir_source>("weir_source");
  raw[WEIR_SOURCE_SERVICES] = {.heard = now - 5000,
                               .since = now - 700,
                               .restarts = 12,
                               .kind = WEIR_SOURCE_KUBERNETES,
                               .state = WEIR_SOURCE_RETRYING};
  const auto status = run_json(command(maps, {"status"}));
  const auto& services = row_of(status["source"]["resources"], "resource", "services");
  CHECK(services["since"].GetUint64() == now - 700);
  CHECK(services["seconds"].GetUint64() - 700 < 60);
  CHECK(services["last_heard"].GetUint64() == now - 5000);
  CHECK(services["last_heard_seconds_ago"].GetUint64() - 5000 < 60);
  CHECK(services["restarts"].GetUint64() == 12);
  // Again the same state: that it is in since then stays.
  auto state = kernel::SourceState::open(maps.pins(), WEIR_SOURCE_KUBERNETES);
  raw[WEIR_SOURCE_NODE].since = now - 50;
  state->note(WEIR_SOURCE_NODE, WEIR_SOURCE_NOT_STARTED, true);
  CHECK(raw[WEIR_SOURCE_NODE].since == now - 50);
  state->note(WEIR_SOURCE_NODE, WEIR_SOURCE_WATCHING, true);
  CHECK(raw[WEIR_SOURCE_NODE].since >= now);
}

TEST_CASE("status: tables of an agent that did not have the source's map") {
  const PinnedMaps maps;
  REQUIRE(unlink(maps.pins().map("weir_source").c_str()) == 0);
  const auto status = run_json(command(maps, {"status"}));
  CHECK(status["source"].IsNull());
  CHECK(status["tables"].Size() == 25);
  const auto state = kernel::SourceState::open(maps.pins(), WEIR_SOURCE_KUBERNETES);
  REQUIRE_FALSE(state);
  CHECK(state.error().message().find("weir_source") != std::string::npos);
}

TEST_CASE("status: the health of the expiry timer") {
  PinnedMaps maps;
  const auto timer = [&] {
    return std::string{run_json(command(maps, {"status"}))["expiry"]["timer"].GetString()};
  };
  CHECK(timer() == "never ran");
  auto state = maps.array<weir_state>("weir_state");
  state[0].expiry_runs = 1000;
  state[0].expiry_checked = 50;
  state[0].expiry_deleted = 20;
  state[0].expiry_longest = 345'678;
  state[0].expiry_last = monotonic_ns();
  CHECK(timer() == "running");
  const auto status = run_json(command(maps, {"status"}));
  CHECK(status["expiry"]["last_run_ms_ago"].GetUint64() < 1500);
  CHECK(status["expiry"]["longest_run_us"].GetUint64() == 345);
  CHECK(status["expiry"]["runs"].GetUint64() == 1000);
  CHECK(status["expiry"]["flows_checked"].GetUint64() == 50);
  CHECK(status["expiry"]["flows_collected"].GetUint64() == 20);
  state[0].expiry_last -= 5'000'000'000;
  CHECK(timer() == "stalled");
}

TEST_CASE("status shows what is attached where, and cleanup takes it off") {
  PinnedMaps maps;
  const auto program = pass_program();
  REQUIRE(program);
  REQUIRE(
      kernel::attach_xdp(program.get(), kLoopback, kernel::XdpMode::generic, maps.pins().links()));
  REQUIRE(bpf_obj_pin(program.get(), maps.pins().program("weir_xdp").c_str()) == 0);
  const auto status = run_json(command(maps, {"status"}));
  REQUIRE(status["attachments"].Size() == 1);
  const auto& attachment = status["attachments"][0];
  CHECK(std::string{attachment["interface"].GetString()} == "lo");
  CHECK(attachment["ifindex"].GetUint64() == kLoopback);
  CHECK(std::string{attachment["hook"].GetString()} == "xdp");
  CHECK(std::string{attachment["mode"].GetString()} == "generic");
  CHECK(std::string{attachment["program"].GetString()} == "weir_xdp");
  CHECK(attachment["live"].GetBool());

  const auto removed = run_json(command(maps, {"cleanup"}));
  CHECK(removed["attachments_removed"].GetUint64() == 1);
  CHECK(removed["programs_removed"].GetUint64() == 1);
  CHECK(removed["maps_removed"].GetUint64() == 26);
  CHECK_FALSE(std::filesystem::exists(maps.pins().path()));
  // The device is free again: its program is gone, and not only the pin.
  __u32 id = 1;
  CHECK(bpf_xdp_query_id(static_cast<int>(kLoopback), 0, &id) == 0);
  CHECK(id == 0);
}

TEST_CASE("cleanup: a second time there is nothing to do") {
  PinnedMaps maps;
  CHECK(run(command(maps, {"cleanup"})).status == 0);
  const auto removed = run_json(command(maps, {"cleanup"}));
  CHECK(removed["attachments_removed"].GetUint64() == 0);
  CHECK(removed["maps_removed"].GetUint64() == 0);
}

TEST_CASE("cleanup: not under a running agent, unless forced") {
  PinnedMaps maps;
  const auto lock = maps.pins().lock();
  REQUIRE(lock);
  const auto refused = run(command(maps, {"cleanup"}));
  CHECK(refused.status == 1);
  CHECK(refused.err == "weir: clean up: pin path " + maps.pins().path() +
                           ": an agent is running on it; stop it first, or give --force\n");
  CHECK(std::filesystem::exists(maps.pins().map("weir_flow")));
  CHECK(run(command(maps, {"cleanup", "--force"})).status == 0);
  CHECK_FALSE(std::filesystem::exists(maps.pins().map("weir_flow")));
}

TEST_CASE("cleanup: other versions of the tables go, other things stay") {
  PinnedMaps maps;
  namespace fs = std::filesystem;
  const fs::path path{maps.pins().path()};
  fs::create_directories(path / "v0" / "maps");
  fs::create_directories(path / "vault");
  fs::create_directories(path / "v1x");
  CHECK(run(command(maps, {"cleanup"})).status == 0);
  CHECK_FALSE(fs::exists(path / "v0"));
  CHECK_FALSE(fs::exists(path / "v1"));
  CHECK(fs::exists(path / "vault"));
  CHECK(fs::exists(path / "v1x"));
}

TEST_CASE("cleanup: the reserved source ports are given back, and no others") {
  PinnedMaps maps;
  const std::string reserved = "net/ipv4/ip_local_reserved_ports";
  REQUIRE(node::write_sysctl("net/ipv4/ip_local_port_range", "32768 62000"));
  REQUIRE(node::write_sysctl(reserved, "80,40000-40001,60990-62000,63000"));
  auto config = maps.array<weir_config>("weir_config");
  config[0].source_ports[0] = {.first = 61'000, .count = 4'536};
  const auto removed = run_json(command(maps, {"cleanup"}));
  CHECK(std::string{removed["reserved_ports_released"].GetString()} == "61000-62000");
  CHECK(node::read_sysctl(reserved) == std::string{"80,40000-40001,60990-60999,63000"});
  const auto again = run_json(command(maps, {"cleanup"}));
  CHECK(std::string{again["reserved_ports_released"].GetString()}.empty());
  REQUIRE(node::write_sysctl(reserved, ""));
  REQUIRE(node::write_sysctl("net/ipv4/ip_local_port_range", "32768 60999"));
}

TEST_CASE("cleanup: never on another file system") {
  const PinnedMaps namespaces;
  const auto path = std::filesystem::temp_directory_path() / ("weir-" + std::to_string(getpid()));
  std::filesystem::create_directories(path / "v1" / "maps");
  std::ofstream{path / "v1" / "maps" / "precious"} << "x";
  const auto ran = run({"cleanup", "--pin-path", path.string()});
  CHECK(ran.status == 1);
  CHECK(ran.err == "weir: clean up: pin path " + path.string() +
                       ": not on a bpf file system, so nothing is removed\n");
  CHECK(std::filesystem::exists(path / "v1" / "maps" / "precious"));
  std::filesystem::remove_all(path);
}

TEST_CASE("drops: summed over the CPUs, zeros on request") {
  PinnedMaps maps;
  maps.put_counter(WEIR_drop_no_route, {5, 7});
  const auto rows = run_json(command(maps, {"drops"}));
  REQUIRE(rows.Size() == 1);
  CHECK(std::string{rows[0]["counter"].GetString()} == "drop_no_route");
  CHECK(rows[0]["count"].GetUint64() == (libbpf_num_possible_cpus() > 1 ? 12U : 5U));
  CHECK(std::string{rows[0]["meaning"].GetString()} == "no route to the backend or client");
  const auto all = run_json(command(maps, {"drops", "--all"}));
  CHECK(all.Size() == WEIR_COUNTER_MAX);
  CHECK(std::string{all[0]["counter"].GetString()} == "forward_tc");
}

TEST_CASE("map list: layout and size") {
  PinnedMaps maps;
  const auto rows = run_json(command(maps, {"map", "list"}));
  CHECK(rows.Size() == 26);
  CHECK(std::string{rows[0]["map"].GetString()} == "weir_address");
  const auto& flow = row_of(rows, "map", "weir_flow");
  CHECK(std::string{flow["type"].GetString()} == "hash");
  CHECK(flow["key_bytes"].GetUint64() == 40);
  CHECK(flow["value_bytes"].GetUint64() == sizeof(weir_flow));
  CHECK(std::string{row_of(rows, "map", "weir_half_udp")["type"].GetString()} == "lru_hash");
}

TEST_CASE("check: one row a question; a running agent is a warning") {
  PinnedMaps maps;
  const auto rows = run_json(command(maps, {"check"}));
  for (const auto* name : {"kernel", "capabilities", "pin_path", "tc", "xdp", "host_edge",
                           "source_ports", "kube_proxy", "masquerade", "agent"}) {
    INFO(name);
    CHECK(std::string{row_of(rows, "check", name)["result"].GetString()} == "ok");
  }
  // A fresh network namespace forwards nothing.
  CHECK(std::string{row_of(rows, "check", "forwarding")["result"].GetString()} == "warning");
  const auto lock = maps.pins().lock();
  REQUIRE(lock);
  const auto locked = run_json(command(maps, {"check"}));
  CHECK(std::string{row_of(locked, "check", "agent")["result"].GetString()} == "warning");
}

TEST_CASE("check: a failed row is exit status 1") {
  const PinnedMaps namespaces;
  const auto ran = run({"check", "--pin-path", "/tmp/weir"});
  CHECK(ran.status == 1);
  CHECK(ran.err.empty());
  CHECK(ran.out.find("/tmp/weir: /tmp is not on a bpf file system") != std::string::npos);
}
