// SPDX-License-Identifier: Apache-2.0
#include "bpf/flows/collector.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "bpf/seal.h"
#include "support/catch.hpp"
#include "support/packet.hpp"
#include "support/prog_run.hpp"
#include "weir_expiry.skel.h"

namespace weir::test {
namespace {

constexpr std::uint32_t kBatch = 8192;
constexpr std::uint32_t kGeneration = 7;
constexpr std::uint64_t kSeed = 4711;
constexpr std::uint16_t kClientPort = 40000;  // backends have another

weir_addr v4(std::uint32_t ip) {
  return {{0, 0, htonl(0xffff), htonl(ip)}};
}

weir_expiry_bpf* opened(std::uint32_t flows) {
  auto* object = weir_expiry_bpf::open(nullptr);
  REQUIRE(object != nullptr);
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object->obj) REQUIRE(bpf_map__set_pin_path(map, nullptr) == 0);
  REQUIRE(bpf_map__set_max_entries(object->maps.weir_flow, 2 * flows) == 0);
  REQUIRE(bpf_map__set_max_entries(object->maps.weir_expiry, flows) == 0);
  REQUIRE(weir_expiry_bpf::load(object) == 0);
  return object;
}

// The programs add to it meanwhile.
std::atomic_ref<__u64> shared(__u64& word) {
  return std::atomic_ref<__u64>{word};
}

}  // namespace

Pair make_pair(std::uint32_t number, std::uint8_t proto, std::uint32_t touched) {
  Pair pair;
  const auto client = v4(0x0a000000 + number);
  const auto service = v4(0xc6120001);
  const auto backend = v4(0xac100001);
  pair.key.saddr = client;
  pair.key.daddr = service;
  pair.key.sport = htons(kClientPort);
  pair.key.dport = htons(80);
  pair.key.proto = proto;
  pair.forward.saddr = client;
  pair.forward.daddr = backend;
  pair.forward.sport = htons(kClientPort);
  pair.forward.dport = htons(8080);
  pair.forward.touched = touched;
  pair.forward.backend = Collector::kBackend;
  pair.forward.generation = kGeneration;
  pair.forward.service = 1;
  pair.forward.packets = 3;
  pair.forward.token = number ^ 0x5a5a5a5a;
  pair.reply = pair.forward;
  pair.reply.saddr = service;
  pair.reply.daddr = client;
  pair.reply.sport = htons(80);
  pair.reply.dport = htons(kClientPort);
  pair.reply.flags = WEIR_FLOW_REPLY;
  pair.reply.packets = 2;
  return pair;
}

weir_flow_key reply_key(const Pair& pair) {
  weir_flow_key key{};
  key.saddr = pair.forward.daddr;
  key.daddr = pair.forward.saddr;
  key.sport = pair.forward.dport;
  key.dport = pair.forward.sport;
  key.proto = pair.key.proto;
  return key;
}

std::uint32_t number_of(const weir_flow_key& key) {
  const bool forward = key.sport == htons(kClientPort);
  return ntohl((forward ? key.saddr : key.daddr).word[3]) - 0x0a000000;
}

Collector::Collector(std::uint32_t flows) : object_{opened(flows), weir_expiry_bpf::destroy} {
  void* page = ::mmap(nullptr, static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)),
                      PROT_READ | PROT_WRITE, MAP_SHARED, map("weir_state"), 0);
  REQUIRE(page != MAP_FAILED);
  state_ = static_cast<weir_state*>(page);
  write_backend();
}

Collector::~Collector() {
  ::munmap(state_, static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
}

int Collector::map(const std::string& name) const {
  return bpf_map__fd(bpf_object__find_map_by_name(object_->obj, name.c_str()));
}

void Collector::set_lifetimes(const Lifetimes& ticks) {
  constexpr std::uint32_t kZero = 0;
  weir_config config{};
  config.seed = kSeed;
  config.life_tcp = ticks.tcp;
  config.life_tcp_half_closed = ticks.half_closed;
  config.life_tcp_closing = ticks.closing;
  config.life_udp = ticks.udp;
  REQUIRE(bpf_map_update_elem(map("weir_config"), &kZero, &config, BPF_ANY) == 0);
}

void Collector::write_backend() {
  weir_backend backend{};
  backend.state = WEIR_BACKEND_ACTIVE;
  backend.generation = kGeneration;
  backend.service = 1;
  REQUIRE(bpf_map_update_elem(map("weir_backend"), &kBackend, &backend, BPF_ANY) == 0);
}

void Collector::flush(const std::vector<weir_flow_key>& keys,
                      const std::vector<weir_flow>& values) {
  auto count = static_cast<std::uint32_t>(keys.size());
  REQUIRE(bpf_map_update_batch(map("weir_flow"), keys.data(), values.data(), &count, nullptr) == 0);
  REQUIRE(count == keys.size());
}

void Collector::push(const weir_flow_key& key, std::uint32_t token) {
  const weir_expiry element{.key = key, .token = token};
  if (bpf_map_update_elem(map("weir_expiry"), nullptr, &element, BPF_ANY) != 0)
    FAIL("push to the queue");
  shared(state_->queued).fetch_add(1);
}

void Collector::add_stale(const weir_flow_key& key, std::uint32_t token) {
  push(key, token);
}

void Collector::add(const std::vector<Pair>& pairs) {
  std::vector<weir_flow_key> keys;
  std::vector<weir_flow> values;
  for (const auto& pair : pairs) {
    keys.insert(keys.end(), {pair.key, reply_key(pair)});
    values.insert(values.end(), {pair.forward, pair.reply});
    weir_test_seal(&pair.key, kSeed, &values.at(values.size() - 2));
    weir_test_seal(&keys.back(), kSeed, &values.back());
    push(pair.key, pair.forward.token);
    if (keys.size() < kBatch && &pair != &pairs.back()) continue;
    flush(keys, values);
    keys.clear();
    values.clear();
  }
  shared(state_->flows).fetch_add(pairs.size());
  auto with = backend();
  with.live += pairs.size();
  REQUIRE(bpf_map_update_elem(map("weir_backend"), &kBackend, &with, BPF_ANY) == 0);
}

void Collector::erase(const weir_flow_key& key) {
  REQUIRE(bpf_map_delete_elem(map("weir_flow"), &key) == 0);
}

void Collector::arm() {
  const auto any = Packet::udp({"192.0.2.1", 1}, {"192.0.2.2", 1}).frame();
  REQUIRE(run_tc(bpf_program__fd(object_->progs.weir_expiry_arm), any).value().verdict == 0);
}

std::vector<weir_flow_key> Collector::keys() const {
  std::vector<weir_flow_key> all;
  std::vector<weir_flow_key> keys(kBatch);
  std::vector<weir_flow> values(kBatch);
  std::uint32_t position = 0;
  for (int rc = 0; rc == 0;) {
    std::uint32_t count = kBatch;
    rc = bpf_map_lookup_batch(map("weir_flow"), all.empty() ? nullptr : &position, &position,
                              keys.data(), values.data(), &count, nullptr);
    REQUIRE((rc == 0 || rc == -ENOENT));
    all.insert(all.end(), keys.begin(), keys.begin() + std::ptrdiff_t{count});
  }
  return all;
}

weir_backend Collector::backend() const {
  weir_backend value{};
  REQUIRE(bpf_map_lookup_elem(map("weir_backend"), &kBackend, &value) == 0);
  return value;
}

weir_state Collector::state() const {
  constexpr std::uint32_t kZero = 0;
  weir_state value{};
  REQUIRE(bpf_map_lookup_elem(map("weir_state"), &kZero, &value) == 0);
  return value;
}

std::uint64_t Collector::take_longest() {
  return shared(state_->expiry_longest).exchange(0);
}

}  // namespace weir::test
