// SPDX-License-Identifier: Apache-2.0
#include "cli/decode_rows.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>
#include <bit>
#include <span>
#include <string_view>

#include "cli/text.hpp"
#include "model/address.hpp"
#include "plan/tables.hpp"

namespace weir::cli {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::array<std::string_view, 7> kAddressBits{"service", "node", "node_port", "backend",
                                                       "local",   "past", "localhost"};
constexpr std::array<std::string_view, 4> kVersionFlags{"internal_local", "external_local",
                                                        "has_endpoint", "ranges_node"};
constexpr std::array<std::string_view, 2> kBackendFlags{"local", "reset"};
constexpr std::array<std::string_view, 5> kFlowFlags{"reply", "send", "hairpin", "pod", "direct"};
constexpr std::array<std::string_view, 6> kFlowSeen{"syn", "syn_ack", "ack", "fin", "rst", "xdp"};
constexpr std::array<std::string_view, 1> kDeviceFlags{"ethernet"};

static_assert(WEIR_ADDRESS_LOCALHOST == 1 << (kAddressBits.size() - 1));
static_assert(WEIR_VERSION_RANGES_NODE == 1 << (kVersionFlags.size() - 1));
static_assert(WEIR_BACKEND_RESET == 1 << (kBackendFlags.size() - 1));
static_assert(WEIR_FLOW_DIRECT == 1 << (kFlowFlags.size() - 1));
static_assert(WEIR_SEEN_XDP == 1 << (kFlowSeen.size() - 1));
static_assert(WEIR_DEVICE_ETHERNET == 1 << (kDeviceFlags.size() - 1));

// The bits that are set, by name; one without a name by its number.
Cell bits(std::uint32_t value, Names names) {
  std::vector<std::string> set;
  for (std::size_t i = 0; i < 32; ++i)
    if ((value >> i & 1) != 0)
      set.push_back(i < names.size() ? std::string{names[i]} : fmt::format("bit_{}", i));
  return set;
}

Cell number(std::uint64_t value) {
  return value;
}
Cell port(__be16 value) {
  return std::uint64_t{ntohs(value)};
}

Cell address_or_none(const weir_addr& address) {
  return address == weir_addr{} ? Cell{} : address_text(address);
}

Cell end_or_none(const weir_end& end) {
  return end.proto == 0 ? Cell{} : end_text(end.addr, end.port);
}

std::string range_text(const weir_port_range& range) {
  return range.count == 0 ? "none"
                          : fmt::format("{}-{}", range.first, range.first + range.count - 1);
}

std::string block_text(const weir_block& block) {
  if (block.base == weir_addr{}) return "none";
  int length = 0;
  for (const auto word : block.mask.word) length += std::popcount(word);
  const Address base{block.base};
  return fmt::format("{}/{}", base.to_string(),
                     base.family() == Family::ipv4 ? length - 96 : length);
}

}  // namespace

Cell address_bits_text(std::uint32_t set) {
  return bits(set, kAddressBits);
}

Columns columns(const weir_addr*, const weir_address*) {
  return {"address", "bits"};
}
Row row(const weir_addr& key, const weir_address& value) {
  return {address_text(key), address_bits_text(value.bits)};
}

Columns columns(const weir_service_key*, const weir_service*) {
  return {"address", "port", "protocol", "id", "frontend"};
}
Row row(const weir_service_key& key, const weir_service& value) {
  return {address_text(key.addr), port(key.port), protocol_text(key.proto), number(value.id),
          frontend_text(value.frontend)};
}

Columns columns(const Index*, const __u32*) {
  return {"id", "version"};
}
Row row(const Index& key, const __u32& value) {
  return {number(key.value), number(value)};
}

Columns columns(const Index*, const weir_version*) {
  return {"index",         "service",     "generation",  "flags",    "cluster_first",
          "cluster_count", "local_first", "local_count", "affinity", "ranges"};
}
Row row(const Index& key, const weir_version& value) {
  return {number(key.value),           number(value.service),
          number(value.generation),    bits(value.flags, kVersionFlags),
          number(value.cluster.first), number(value.cluster.count),
          number(value.local.first),   number(value.local.count),
          number(value.affinity),      number(value.ranges)};
}

Columns columns(const weir_affinity_key*, const weir_affinity*) {
  return {"client", "service", "backend", "generation", "used"};
}
Row row(const weir_affinity_key& key, const weir_affinity& value) {
  return {address_text(key.client), number(key.service), number(value.backend),
          number(value.generation), number(value.used)};
}

Columns columns(const weir_range_key*, const __u32*) {
  return {"set", "range"};
}
Row row(const weir_range_key& key, const __u32&) {
  const auto range = range_of(key);
  return {number(key.set), range ? Cell{range->to_string()} : Cell{}};
}

Columns columns(const Index*, const weir_slot*) {
  return {"index", "backend"};
}
Row row(const Index& key, const weir_slot& value) {
  return {number(key.value), number(value.backend)};
}

Columns columns(const Index*, const weir_backend*) {
  return {"index",   "address", "port",       "protocol",    "state",   "generation",
          "service", "flags",   "live_flows", "connections", "packets", "bytes"};
}
Row row(const Index& key, const weir_backend& value) {
  return {number(key.value),
          address_text(value.addr),
          port(value.port),
          protocol_text(value.proto),
          backend_state_text(value.state),
          number(value.generation),
          number(value.service),
          bits(value.flags, kBackendFlags),
          number(value.live),
          number(value.connections),
          number(value.packets),
          number(value.bytes)};
}

Columns columns(const weir_flow_key*, const weir_flow*) {
  return {"from",          "to",        "protocol",  "new_from", "new_to",
          "flags",         "seen",      "service",   "backend",  "generation",
          "epoch",         "ifindex",   "mtu",       "dmac",     "smac",
          "created",       "touched",   "packets",   "bytes",    "counted_packets",
          "counted_bytes", "addr_diff", "port_diff", "syn_ack",  "token",
          "check"};
}
Row row(const weir_flow_key& key, const weir_flow& value) {
  return {end_text(key.saddr, key.sport),
          end_text(key.daddr, key.dport),
          protocol_text(key.proto),
          end_text(value.saddr, value.sport),
          end_text(value.daddr, value.dport),
          bits(value.flags, kFlowFlags),
          bits(value.seen, kFlowSeen),
          number(value.service),
          number(value.backend),
          number(value.generation),
          number(value.epoch),
          number(value.way.ifindex),
          number(value.way.mtu),
          mac_text(value.way.dmac),
          mac_text(value.way.smac),
          number(value.created),
          number(value.touched),
          number(value.packets),
          number(value.bytes),
          number(value.counted_packets),
          number(value.counted_bytes),
          number(value.addr_diff),
          number(value.port_diff),
          number(value.syn_ack),
          number(value.token),
          number(value.check)};
}

// The id as on the wire: 16 bits of it in IPv4.
Columns columns(const weir_fragment_key*, const weir_fragment*) {
  return {"from", "to", "id", "protocol", "seen"};
}
Row row(const weir_fragment_key& key, const weir_fragment& value) {
  const auto id = key.proto != 0 ? ntohs(static_cast<std::uint16_t>(key.id)) : ntohl(key.id);
  return {end_text(key.saddr, value.sport), end_text(key.daddr, value.dport), number(id),
          protocol_text(value.proto), number(value.seen)};
}

Columns columns(const __u32*, const weir_device*) {
  return {"ifindex", "device", "source4", "source6", "bridge", "flags"};
}
Row row(const __u32& key, const weir_device& value) {
  return {number(key),
          device_text(key),
          address_or_none(value.source4),
          address_or_none(value.source6),
          device_text(value.bridge),
          bits(value.flags, kDeviceFlags)};
}

Columns columns(const Index*, const weir_config*) {
  return {"seed",
          "epoch",
          "max_flows",
          "source_ports",
          "life_tcp",
          "life_tcp_half_closed",
          "life_tcp_closing",
          "life_udp",
          "life_half",
          "programs",
          "netns",
          "service_blocks"};
}
Row row(const Index&, const weir_config& value) {
  const auto& ranges = value.source_ports;
  return {number(value.seed),
          number(value.epoch),
          number(value.max_flows),
          std::vector{range_text(ranges[0]), range_text(ranges[1])},
          number(value.life_tcp),
          number(value.life_tcp_half_closed),
          number(value.life_tcp_closing),
          number(value.life_udp),
          number(value.life_half),
          number(value.programs),
          number(value.netns),
          std::vector{block_text(value.service_blocks[0]), block_text(value.service_blocks[1])}};
}

Columns columns(const Index*, const weir_state*) {
  return {"flows",          "queued",         "direct_flows",   "direct_until", "expiry_runs",
          "expiry_checked", "expiry_deleted", "expiry_longest", "expiry_last"};
}
Row row(const Index&, const weir_state& value) {
  return {number(value.flows),          number(value.queued),         number(value.direct_flows),
          number(value.direct_until),   number(value.expiry_runs),    number(value.expiry_checked),
          number(value.expiry_deleted), number(value.expiry_longest), number(value.expiry_last)};
}

Columns columns(const Index*, const weir_stat*) {
  return {"id", "connections", "packets", "bytes"};
}
Row row(const Index& key, const weir_stat& value) {
  return {number(key.value), number(value.connections), number(value.packets), number(value.bytes)};
}

Columns columns(const weir_socket_key*, const weir_peer*) {
  return {"socket", "backend", "protocol", "service", "index", "generation", "next", "check"};
}
Row row(const weir_socket_key& key, const weir_peer& value) {
  return {number(key.cookie),           end_text(key.end.addr, key.end.port),
          protocol_text(key.end.proto), end_text(value.service.addr, value.service.port),
          number(value.backend),        number(value.generation),
          end_or_none(value.next),      number(value.check)};
}

Columns columns(const weir_socket_key*, const weir_sticky*) {
  return {"socket", "service", "protocol", "id", "backend", "generation", "next", "check"};
}
Row row(const weir_socket_key& key, const weir_sticky& value) {
  return {number(key.cookie),           end_text(key.end.addr, key.end.port),
          protocol_text(key.end.proto), number(value.service),
          number(value.backend),        number(value.generation),
          end_or_none(value.next),      number(value.check)};
}

Columns columns(const Index*, const weir_source*) {
  return {"resource", "kind", "state", "since", "heard", "restarts"};
}
Row row(const Index& key, const weir_source& value) {
  return {source_resource_text(key.value),
          source_kind_text(value.kind),
          source_state_text(value.state),
          number(value.since),
          number(value.heard),
          number(value.restarts)};
}

Columns columns(const __u32*, const weir_name*) {
  return {"id", "name", "port", "protocol", "family", "type"};
}
Row row(const __u32& key, const weir_name& value) {
  return {number(key),
          name_text(value),
          port(value.port),
          protocol_text(value.proto),
          family_text(value.family),
          type_text(value.type)};
}

}  // namespace weir::cli
