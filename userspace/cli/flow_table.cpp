// SPDX-License-Identifier: Apache-2.0
#include "cli/flow_table.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <string_view>
#include <unordered_map>

#include "cli/service_tables.hpp"
#include "kernel/map.hpp"

namespace weir::cli {
namespace {

using kernel::Map;
using kernel::MappedArray;
using FlowMap = Map<weir_flow_key, weir_flow>;

struct HashKey {
  std::size_t operator()(const weir_flow_key& key) const {
    const std::string_view bytes{reinterpret_cast<const char*>(&key), sizeof key};
    return std::hash<std::string_view>{}(bytes);
  }
};

using Pairs = std::unordered_map<weir_flow_key, Flow, HashKey>;  // by forward key

weir_flow_key peer_key(const weir_flow_key& key, const weir_flow& record) {
  return {.saddr = record.daddr,
          .daddr = record.saddr,
          .sport = record.dport,
          .dport = record.sport,
          .proto = key.proto,
          .zero = {}};
}

bool takes(const EndFilter& filter, const weir_addr& address, __be16 port) {
  return filter.block.contains(Address{address}) && (!filter.port || *filter.port == ntohs(port));
}

class Collector {
 public:
  Collector(const FlowFilter& filter, const std::map<std::uint32_t, weir_name>& names)
      : filter_{filter} {
    if (!filter.service) return;
    for (const auto& [id, name] : names)
      if (matches(*filter.service, name)) services_.insert(id);
  }

  // Either half will do: what the other says follows from it.
  void add(const weir_flow_key& key, const weir_flow& record, bool established) {
    const bool reply = (record.flags & WEIR_FLOW_REPLY) != 0;
    const auto peer = peer_key(key, record);
    const auto& forward = reply ? peer : key;
    const auto& back = reply ? key : peer;
    if (!wanted(forward, back, record.service)) return;
    auto& flow = pairs_[forward];
    // Met in a half-open table before, and promoted meanwhile: counted once, as what it is now.
    if (flow.established != established) flow = {};
    flow.forward = forward;
    flow.reply = back;
    flow.established = established;
    flow.flags = static_cast<std::uint8_t>(record.flags & ~WEIR_FLOW_REPLY);
    flow.service = record.service;
    flow.backend = record.backend;
    flow.created = record.created;
    flow.touched = std::max(flow.touched, record.touched);
    flow.packets += record.packets;
    flow.bytes += record.bytes;
  }

  std::vector<Flow> take(std::uint32_t now, std::uint32_t life_half) {
    std::vector<Flow> flows;
    for (auto& [key, flow] : pairs_) {
      const bool over = !flow.established && flow.touched + std::uint64_t{life_half} < now;
      const bool other_state = filter_.established && *filter_.established != flow.established;
      if (!over && !other_state) flows.push_back(flow);
    }
    std::ranges::sort(flows, {}, &Flow::forward);
    return flows;
  }

 private:
  [[nodiscard]] bool wanted(const weir_flow_key& forward, const weir_flow_key& reply,
                            std::uint32_t service) const {
    if (filter_.protocol && *filter_.protocol != forward.proto) return false;
    if (filter_.service && !services_.contains(service)) return false;
    if (filter_.client && !takes(*filter_.client, forward.saddr, forward.sport)) return false;
    return !filter_.backend || takes(*filter_.backend, reply.saddr, reply.sport);
  }

  const FlowFilter& filter_;
  std::set<std::uint32_t> services_;
  Pairs pairs_;
};

Result<> collect(const kernel::Pins& pins, const char* name, Collector& into) {
  auto map = FlowMap::open(pins, name);
  if (!map) return std::unexpected{std::move(map.error())};
  const bool established = name == std::string_view{"weir_flow"};
  return map->for_each([&](const weir_flow_key& key, const weir_flow& record) {
    into.add(key, record, established);
  });
}

struct Ledgers {
  FlowMap flow;
  FlowMap half_tcp;
  FlowMap half_udp;
  MappedArray<weir_backend> backend;
  MappedArray<weir_stat> stat;
  MappedArray<weir_state> state;
};

Result<Ledgers> open_ledgers(const kernel::Pins& pins) {
  auto flow = FlowMap::open(pins, "weir_flow");
  if (!flow) return std::unexpected{std::move(flow.error())};
  auto half_tcp = FlowMap::open(pins, "weir_half_tcp");
  if (!half_tcp) return std::unexpected{std::move(half_tcp.error())};
  auto half_udp = FlowMap::open(pins, "weir_half_udp");
  if (!half_udp) return std::unexpected{std::move(half_udp.error())};
  auto backend = MappedArray<weir_backend>::open(pins, "weir_backend", true);
  if (!backend) return std::unexpected{std::move(backend.error())};
  auto stat = MappedArray<weir_stat>::open(pins, "weir_stat", true);
  if (!stat) return std::unexpected{std::move(stat.error())};
  auto state = MappedArray<weir_state>::open(pins, "weir_state", true);
  if (!state) return std::unexpected{std::move(state.error())};
  return Ledgers{std::move(*flow),    std::move(*half_tcp), std::move(*half_udp),
                 std::move(*backend), std::move(*stat),     std::move(*state)};
}

void add(__u64& to, std::uint64_t what) {
  std::atomic_ref{to}.fetch_add(what, std::memory_order_relaxed);
}

// The record as it was when it was taken away; nothing if somebody else took it.
Result<std::optional<weir_flow>> take(FlowMap& map, const weir_flow_key& key) {
  weir_flow record{};
  const int rc = bpf_map_lookup_and_delete_elem(map.fd(), &key, &record);
  if (rc == -ENOENT) return std::nullopt;
  if (rc != 0) return fail(rc, "delete from map {}", map.info().name);
  return record;
}

weir_backend* backend_of(Ledgers& ledgers, const weir_flow& record) {
  if (record.backend == 0 || record.backend >= ledgers.backend.size()) return nullptr;
  auto& backend = ledgers.backend[record.backend];
  return backend.generation == record.generation ? &backend : nullptr;
}

// What the record counted since it was last settled: flow_settle() of the kernel half.
void settle(Ledgers& ledgers, const weir_flow& record) {
  const auto packets = record.packets - record.counted_packets;
  const auto bytes = record.bytes - record.counted_bytes;
  if (auto* backend = backend_of(ledgers, record)) {
    add(backend->packets, packets);
    add(backend->bytes, bytes);
  }
  if (record.service < ledgers.stat.size()) {
    add(ledgers.stat[record.service].packets, packets);
    add(ledgers.stat[record.service].bytes, bytes);
  }
}

// As flow_delete() of the kernel half: who takes the forward half away corrects the counts, so
// that the expiry timer and this tool never do it both.
Result<bool> delete_established(Ledgers& ledgers, const Flow& flow) {
  auto forward = take(ledgers.flow, flow.forward);
  if (!forward) return std::unexpected{std::move(forward.error())};
  if (!*forward) return false;
  auto reply = take(ledgers.flow, flow.reply);
  if (!reply) return std::unexpected{std::move(reply.error())};

  settle(ledgers, **forward);
  if (*reply) settle(ledgers, **reply);
  constexpr auto kOneLess = ~std::uint64_t{0};
  if (auto* backend = backend_of(ledgers, **forward)) add(backend->live, kOneLess);
  add(ledgers.state[0].flows, kOneLess);
  if (((*forward)->flags & WEIR_FLOW_DIRECT) != 0) add(ledgers.state[0].direct_flows, kOneLess);
  return true;
}

Result<bool> delete_half(Ledgers& ledgers, const Flow& flow) {
  auto& map = flow.forward.proto == IPPROTO_TCP ? ledgers.half_tcp : ledgers.half_udp;
  auto forward = take(map, flow.forward);
  if (!forward) return std::unexpected{std::move(forward.error())};
  auto reply = take(map, flow.reply);
  if (!reply) return std::unexpected{std::move(reply.error())};
  return forward->has_value() || reply->has_value();
}

}  // namespace

std::uint32_t now_ticks() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  const auto ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
                  static_cast<std::uint64_t>(now.tv_nsec);
  return static_cast<std::uint32_t>(ns >> WEIR_TICK_SHIFT);
}

std::uint64_t ticks_to_seconds(std::uint64_t ticks) {
  return (ticks << WEIR_TICK_SHIFT) / 1'000'000'000;
}

Result<FlowTable> read_flows(const kernel::Pins& pins, const FlowFilter& filter) {
  FlowTable table;
  auto names = read_names(pins);
  if (!names) return std::unexpected{std::move(names.error())};
  table.names = std::move(*names);
  auto config = MappedArray<weir_config>::open(pins, "weir_config", false);
  if (!config) return std::unexpected{std::move(config.error())};

  Collector collector{filter, table.names};
  // Half-open tables first: a flow that is promoted meanwhile is met twice, not never.
  for (const auto* name : {"weir_half_tcp", "weir_half_udp", "weir_flow"})
    if (auto done = collect(pins, name, collector); !done)
      return std::unexpected{std::move(done.error())};
  table.now = now_ticks();
  table.flows = collector.take(table.now, std::as_const(*config)[0].life_half);
  return table;
}

Result<std::uint64_t> delete_flows(const kernel::Pins& pins, const std::vector<Flow>& flows) {
  auto ledgers = open_ledgers(pins);
  if (!ledgers) return std::unexpected{std::move(ledgers.error())};
  std::uint64_t deleted = 0;
  for (const auto& flow : flows) {
    const auto done =
        flow.established ? delete_established(*ledgers, flow) : delete_half(*ledgers, flow);
    if (!done) return std::unexpected{done.error()};
    deleted += *done ? 1 : 0;
  }
  return deleted;
}

}  // namespace weir::cli
