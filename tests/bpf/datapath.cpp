// SPDX-License-Identifier: Apache-2.0
#include "bpf/datapath.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <ostream>
#include <string_view>
#include <utility>

#include "bpf/objects.hpp"
#include "bpf/seal.h"
#include "bpf/verdict.hpp"
#include "support/catch.hpp"
#include "support/prog_run.hpp"

namespace weir::test {
namespace {

template <class Key, class Value>
void put(const char* map, const Key& key, const Value& value) {
  INFO("write " << map);
  REQUIRE(bpf_map_update_elem(Objects::get().map(map), &key, &value, BPF_ANY) == 0);
}

template <class Value, class Key>
std::optional<Value> find(const char* map, const Key& key) {
  Value value{};
  if (bpf_map_lookup_elem(Objects::get().map(map), &key, &value) != 0) return std::nullopt;
  return value;
}

const char* map_name(FlowTable table) {
  constexpr std::array kMaps{"weir_flow", "weir_half_tcp", "weir_half_udp"};
  return kMaps.at(static_cast<std::size_t>(table));
}

using Counters = std::array<std::uint64_t, WEIR_COUNTER_MAX>;

// Of all CPUs.
Counters read_counters() {
  static const auto cpus = static_cast<std::size_t>(libbpf_num_possible_cpus());
  std::vector<std::uint64_t> values(cpus * WEIR_COUNTER_MAX);
  std::array<std::uint32_t, WEIR_COUNTER_MAX> keys{};
  std::uint32_t position = 0;
  std::uint32_t count = WEIR_COUNTER_MAX;
  const int rc = bpf_map_lookup_batch(Objects::get().map("weir_counter"), nullptr, &position,
                                      keys.data(), values.data(), &count, nullptr);
  REQUIRE((rc == 0 || rc == -ENOENT));
  Counters sums{};
  for (std::size_t i = 0; i < values.size(); ++i) sums.at(i / cpus) += values[i];
  return sums;
}

template <class T>
std::string why(const Result<T>& result) {
  return result ? "no error" : result.error().message();
}

}  // namespace

std::ostream& operator<<(std::ostream& out, Hook hook) {
  constexpr std::array kNames{"xdp", "up_in", "up_out", "l3_in", "l3_out", "pod_in", "pod_out"};
  return out << kNames.at(static_cast<std::size_t>(hook));
}

std::ostream& operator<<(std::ostream& out, Verdict verdict) {
  constexpr std::array kNames{"next", "drop", "transmit", "redirect", "other"};
  return out << kNames.at(static_cast<std::size_t>(verdict));
}

weir_addr to_addr(const std::string& ip) {
  weir_addr addr{};
  if (ip.find(':') != std::string::npos) {
    REQUIRE(inet_pton(AF_INET6, ip.c_str(), &addr) == 1);
    return addr;
  }
  addr.word[2] = htonl(0xffff);
  REQUIRE(inet_pton(AF_INET, ip.c_str(), &addr.word[3]) == 1);
  return addr;
}

weir_flow_key to_key(std::uint8_t proto, const Endpoint& from, const Endpoint& to) {
  return {.saddr = to_addr(from.ip),
          .daddr = to_addr(to.ip),
          .sport = htons(from.port),
          .dport = htons(to.port),
          .proto = proto,
          .zero = {}};
}

std::uint32_t now_ticks() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  const auto ns =
      static_cast<std::uint64_t>(now.tv_sec) * 1000000000 + static_cast<std::uint64_t>(now.tv_nsec);
  return static_cast<std::uint32_t>(ns >> WEIR_TICK_SHIFT);
}

// XDP leaves a packet to tc in the tick that is the backend's index modulo 16: start far from it,
// so that no test meets it by chance.
Datapath::Datapath() : next_backend_{16 + (now_ticks() + 6) % 16} {
  enter_topology();
  Objects::get().clear();
  node_tables();
}

void Datapath::node_tables() {
  put("weir_config", 0U,
      weir_config{.seed = kSeed,
                  .epoch = 1,
                  .max_flows = 1024,
                  .source_ports = {{61000, 4536}, {1024, 28976}},
                  .life_tcp = 100000,
                  .life_tcp_half_closed = 100,
                  .life_tcp_closing = 10,
                  .life_udp = 100,
                  .life_half = 60,
                  .zero = 0,
                  .programs = 0,
                  .netns = 0,
                  .service_blocks = {}});
  for (const auto* world : {&kV4, &kV6}) {
    add_address(world->node, WEIR_ADDRESS_NODE | WEIR_ADDRESS_NODE_PORT);
    add_address(world->node1, WEIR_ADDRESS_NODE | WEIR_ADDRESS_NODE_PORT);
    add_address(world->pod_gateway, WEIR_ADDRESS_NODE);
    add_address(world->bridge, WEIR_ADDRESS_NODE);
  }
  const auto source = [](const std::string World::* name) {
    return weir_device{.source4 = to_addr(kV4.*name),
                       .source6 = to_addr(kV6.*name),
                       .bridge = 0,
                       .flags = WEIR_DEVICE_ETHERNET};
  };
  set_device(Device::kUp0, source(&World::node));
  set_device(Device::kUp1, source(&World::node1));
  set_device(Device::kPod0, source(&World::pod_gateway));
  set_device(Device::kPod1, source(&World::pod_gateway));
  auto port = source(&World::bridge);
  port.bridge = ifindex(Device::kBridge);
  set_device(Device::kPort0, port);
  set_device(Device::kPort1, port);
}

void Datapath::add_address(const std::string& ip, std::uint32_t bits) {
  const auto known = find<weir_address>("weir_address", to_addr(ip)).value_or(weir_address{0});
  put("weir_address", to_addr(ip), weir_address{known.bits | bits});
}

std::uint32_t Datapath::add_backend(std::uint32_t service, std::uint8_t proto,
                                    const Backend& backend) {
  const auto index = next_backend_++;
  weir_backend entry{};
  entry.addr = to_addr(backend.at.ip);
  entry.port = htons(backend.at.port);
  entry.proto = proto;
  entry.state = WEIR_BACKEND_ACTIVE;
  entry.generation = 7;
  entry.service = service;
  entry.flags = backend.local ? static_cast<std::uint32_t>(WEIR_BACKEND_LOCAL) : 0U;
  put("weir_backend", index, entry);
  add_address(backend.at.ip,
              WEIR_ADDRESS_BACKEND | (backend.local ? std::uint32_t{WEIR_ADDRESS_LOCAL} : 0U));
  return index;
}

std::uint32_t Datapath::add_slots(const std::vector<std::uint32_t>& backends) {
  const auto first = next_slot_;
  for (const auto index : backends) put("weir_slot", next_slot_++, weir_slot{index, 0});
  return first;
}

Served Datapath::serve(const Service& service) {
  Served served{.id = next_service_++, .backends = {}};
  for (const auto& backend : service.backends)
    served.backends.push_back(add_backend(served.id, service.proto, backend));
  publish(served, service, next_version_++);

  for (const auto& frontend : service.frontends) {
    auto addr = to_addr(frontend.at.ip);
    if (frontend.kind != WEIR_FRONTEND_NODE_PORT) add_address(frontend.at.ip, WEIR_ADDRESS_SERVICE);
    if (frontend.kind == WEIR_FRONTEND_NODE_PORT)
      addr = to_addr(frontend.at.ip.find(':') == std::string::npos ? "0.0.0.0" : "::");
    put("weir_service",
        weir_service_key{
            .addr = addr, .port = htons(frontend.at.port), .proto = service.proto, .zero = 0},
        weir_service{.id = served.id, .frontend = static_cast<__u8>(frontend.kind), .zero = {}});
  }
  return served;
}

void Datapath::publish(const Served& served, const Service& service, std::uint32_t version) {
  next_version_ = std::max(next_version_, version + 1);
  std::vector<std::uint32_t> local;
  for (std::size_t i = 0; i < service.backends.size(); ++i)
    if (service.backends[i].local) local.push_back(served.backends.at(i));

  weir_version record{};
  record.service = served.id;
  record.generation = version;
  record.flags = service.policies;
  record.affinity = service.affinity;
  record.ranges = service.ranges;
  if (!service.backends.empty()) record.flags |= WEIR_VERSION_HAS_ENDPOINT;
  record.cluster.count = static_cast<std::uint32_t>(service.backends.size());
  record.cluster.first = add_slots(std::vector(
      served.backends.begin(), served.backends.begin() + std::ptrdiff_t{record.cluster.count}));
  record.local.count = static_cast<std::uint32_t>(local.size());
  record.local.first = add_slots(local);
  put("weir_version", version, record);
  put("weir_current", served.id, version);
}

void Datapath::unpublish(const Served& served) {
  put("weir_current", served.id, 0U);
}

void Datapath::set_state(std::uint32_t backend, weir_backend_state state) {
  auto entry = this->backend(backend);
  entry.state = static_cast<__u8>(state);
  put("weir_backend", backend, entry);
}

void Datapath::give_backend(std::uint32_t backend, std::uint32_t service) {
  auto entry = this->backend(backend);
  entry.service = service;
  put("weir_backend", backend, entry);
}

void Datapath::recycle(std::uint32_t backend) {
  auto entry = this->backend(backend);
  ++entry.generation;
  put("weir_backend", backend, entry);
}

void Datapath::set_flags(std::uint32_t backend, std::uint32_t flags) {
  auto entry = this->backend(backend);
  entry.flags = flags;
  put("weir_backend", backend, entry);
}

void Datapath::add_range(std::uint32_t set, const std::string& ip, std::uint32_t prefix) {
  const bool v4 = ip.find(':') == std::string::npos;
  put("weir_source_range",
      weir_range_key{.prefix = 32 + (v4 ? 96 : 0) + prefix, .set = set, .addr = to_addr(ip)}, 1U);
}

std::optional<weir_affinity> Datapath::affinity(const std::string& client,
                                                std::uint32_t service) const {
  return find<weir_affinity>("weir_affinity",
                             weir_affinity_key{.client = to_addr(client), .service = service});
}

void Datapath::set_affinity(const std::string& client, std::uint32_t service,
                            const weir_affinity& value) {
  put("weir_affinity", weir_affinity_key{.client = to_addr(client), .service = service}, value);
}

void Datapath::bump_epoch() {
  configure([](weir_config& config) { ++config.epoch; });
}

void Datapath::configure(const std::function<void(weir_config&)>& change) {
  auto config = find<weir_config>("weir_config", 0U).value();
  change(config);
  put("weir_config", 0U, config);
}

void Datapath::set_address(const std::string& ip, std::uint32_t bits) {
  if (bits != 0) return put("weir_address", to_addr(ip), weir_address{bits});
  const auto key = to_addr(ip);
  REQUIRE(bpf_map_delete_elem(Objects::get().map("weir_address"), &key) == 0);
}

void Datapath::set_filter(const std::string& ip, std::uint32_t bits) {
  const auto at = to_addr(ip);
  const auto slot = static_cast<std::uint32_t>(weir_filter_slot(&at));
  auto word = find<std::uint64_t>("weir_filter", slot / 8).value();
  word &= ~(std::uint64_t{0xff} << slot % 8 * 8);
  put("weir_filter", slot / 8, word | std::uint64_t{bits} << slot % 8 * 8);
}

void Datapath::set_port_known(std::uint16_t port, bool known) {
  const std::uint32_t index = port / 64U;
  const auto bit = std::uint64_t{1} << port % 64;
  const auto word = find<std::uint64_t>("weir_port", index).value();
  put("weir_port", index, known ? word | bit : word & ~bit);
}

void Datapath::set_device(Device device, const weir_device& value) {
  put("weir_device", ifindex(device), value);
}

void Datapath::allow_xdp_to(Device device) {
  put("weir_xdp_tx", ifindex(device), ifindex(device));
}

Ran Datapath::run_uncounted(Hook hook, Device device, const Frame& in, std::uint32_t gso_size) {
  const int program = Objects::get().program(hook);
  if (hook == Hook::kXdp) {
    auto ran = run_xdp(program, in, {.ingress_ifindex = ifindex(device)});
    INFO(why(ran));
    REQUIRE(ran);
    return {verdict_of_xdp(ran->verdict), std::move(ran->out), {}};
  }
  TcContext context{.ifindex = ifindex(device)};
  context.gso_size = gso_size;
  auto ran = run_tc(program, in, context);
  INFO(why(ran));
  REQUIRE(ran);
  return left_to_kernel(in, {verdict_of_tc(ran->verdict), std::move(ran->out), {}});
}

Ran Datapath::run(Hook hook, Device device, const Frame& in, std::uint32_t gso_size) {
  const auto before = read_counters();
  auto ran = run_uncounted(hook, device, in, gso_size);
  const auto after = read_counters();
  for (std::size_t i = 0; i < after.size(); ++i)
    ran.counted.insert(ran.counted.end(), after.at(i) - before.at(i),
                       std::string{kCounters.at(i).name});
  return ran;
}

std::optional<Ran> Datapath::run_complete(Hook hook, Device device, const Frame& in) {
  TcContext context{.ifindex = ifindex(device)};
  context.checksum_complete = true;
  auto ran = run_tc(Objects::get().program(hook), in, context);
  if (!ran && ran.error().code() == std::errc::invalid_argument) return std::nullopt;
  INFO(why(ran));
  REQUIRE(ran);
  return left_to_kernel(in, Ran{verdict_of_tc(ran->verdict), std::move(ran->out), {}});
}

std::optional<weir_flow> Datapath::flow(FlowTable table, const weir_flow_key& key) const {
  return find<weir_flow>(map_name(table), key);
}

void Datapath::set_flow(FlowTable table, const weir_flow_key& key, const weir_flow& value) {
  put(map_name(table), key, value);
}

void Datapath::set_flow_sealed(FlowTable table, const weir_flow_key& key, weir_flow value) {
  weir_test_seal(&key, kSeed, &value);
  set_flow(table, key, value);
}

void Datapath::erase_flow(FlowTable table, const weir_flow_key& key) {
  REQUIRE(bpf_map_delete_elem(Objects::get().map(map_name(table)), &key) == 0);
}

std::size_t Datapath::count_flows(FlowTable table) const {
  const int map = Objects::get().map(map_name(table));
  weir_flow_key key{};
  std::size_t count = 0;
  for (const void* at = nullptr; bpf_map_get_next_key(map, at, &key) == 0; at = &key) ++count;
  return count;
}

weir_backend Datapath::backend(std::uint32_t index) const {
  return find<weir_backend>("weir_backend", index).value();
}

weir_state Datapath::state() const {
  return find<weir_state>("weir_state", 0U).value();
}

weir_stat Datapath::stat(std::uint32_t service) const {
  return find<weir_stat>("weir_stat", service).value();
}

int Datapath::arm_expiry() {
  const Frame any = Packet::udp({kV4.client, 1}, {kV4.node, 1}).frame();
  return run_tc(Objects::get().arm_program(), any).value().verdict;
}

}  // namespace weir::test
