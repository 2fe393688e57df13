// SPDX-License-Identifier: Apache-2.0
#include "cli/decode.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <utility>

#include "cli/decode_rows.hpp"
#include "cli/raw_map.hpp"
#include "cli/text.hpp"
#include "kernel/map.hpp"

namespace weir::cli {
namespace {

using kernel::Map;
using kernel::MappedArray;
using Dump = Result<Listing> (*)(const kernel::Pins&, const std::string&);

template <class Key, class Value>
Result<Listing> dump_hash(const kernel::Pins& pins, const std::string& name) {
  auto map = Map<Key, Value>::open(pins, name);
  if (!map) return std::unexpected{std::move(map.error())};
  std::vector<std::pair<Key, Value>> elements;
  auto done =
      map->for_each([&](const Key& key, const Value& value) { elements.emplace_back(key, value); });
  if (!done) return std::unexpected{std::move(done.error())};
  std::ranges::sort(elements, {}, [](const auto& element) { return element.first; });

  Listing listing{.columns = columns(static_cast<Key*>(nullptr), static_cast<Value*>(nullptr)),
                  .rows = {}};
  for (const auto& [key, value] : elements) listing.rows.push_back(row(key, value));
  return listing;
}

template <class Value>
Result<Listing> dump_array(const kernel::Pins& pins, const std::string& name) {
  const auto array = MappedArray<Value>::open(pins, name, false);
  if (!array) return std::unexpected{array.error()};
  Listing listing{.columns = columns(static_cast<Index*>(nullptr), static_cast<Value*>(nullptr)),
                  .rows = {}};
  const Value unused{};
  for (std::uint32_t i = 0; i < array->size(); ++i) {
    const Value value = (*array)[i];  // copied once: the kernel half writes on
    if (std::memcmp(&value, &unused, sizeof value) == 0) continue;
    listing.rows.push_back(row(Index{i}, value));
  }
  return listing;
}

// The head alone: a queue gives nothing more away without being emptied.
Result<Listing> dump_queue(const kernel::Pins& pins, const std::string& name) {
  auto fd = kernel::open_map(pins, name);
  if (!fd) return std::unexpected{std::move(fd.error())};
  auto info = kernel::map_info(fd->get());
  if (!info) return std::unexpected{std::move(info.error())};
  if (info->value_size != sizeof(weir_expiry))
    return fail("map {} has another layout (value {} bytes)", name, info->value_size);
  Listing listing{.columns = {"from", "to", "protocol", "token"}, .rows = {}};
  weir_expiry head{};
  const int rc = bpf_map_lookup_elem(fd->get(), nullptr, &head);
  if (rc != 0 && rc != -ENOENT) return fail(rc, "read map {}", name);
  if (rc == 0)
    listing.rows.push_back({end_text(head.key.saddr, head.key.sport),
                            end_text(head.key.daddr, head.key.dport), protocol_text(head.key.proto),
                            std::uint64_t{head.token}});
  return listing;
}

Result<Listing> dump_counters(const kernel::Pins& pins, const std::string& name) {
  auto fd = kernel::open_map(pins, name);
  if (!fd) return std::unexpected{std::move(fd.error())};
  auto info = kernel::map_info(fd->get());
  if (!info) return std::unexpected{std::move(info.error())};
  auto sums = per_cpu_sums(fd->get(), *info);
  if (!sums) return std::unexpected{std::move(sums.error())};
  Listing listing{.columns = {"index", "name", "count"}, .rows = {}};
  for (std::size_t i = 0; i < sums->size(); ++i)
    listing.rows.push_back({std::uint64_t{i},
                            i < kCounters.size() ? Cell{std::string{kCounters[i].name}} : Cell{},
                            (*sums)[i]});
  return listing;
}

// A devmap has no batched lookup, so it is walked as bytes.
Result<Listing> dump_devices(const kernel::Pins& pins, const std::string& name) {
  auto fd = kernel::open_map(pins, name);
  if (!fd) return std::unexpected{std::move(fd.error())};
  auto info = kernel::map_info(fd->get());
  if (!info) return std::unexpected{std::move(info.error())};
  if (info->key_size != sizeof(std::uint32_t) || info->value_size < sizeof(std::uint32_t))
    return fail("map {} has another layout (value {} bytes)", name, info->value_size);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> elements;
  auto done = walk(fd->get(), *info, [&](Bytes key, Bytes value) {
    auto& element = elements.emplace_back();
    std::memcpy(&element.first, key.data(), sizeof element.first);
    std::memcpy(&element.second, value.data(), sizeof element.second);  // of struct bpf_devmap_val
  });
  if (!done) return std::unexpected{std::move(done.error())};
  std::ranges::sort(elements);
  Listing listing{.columns = {"key", "ifindex", "device"}, .rows = {}};
  for (const auto& [key, ifindex] : elements)
    listing.rows.push_back({std::uint64_t{key}, std::uint64_t{ifindex}, device_text(ifindex)});
  return listing;
}

// The sets are of no interest, only who is in them.
Result<Listing> dump_streams(const kernel::Pins& pins, const std::string& name) {
  auto fd = kernel::open_map(pins, name);
  if (!fd) return std::unexpected{std::move(fd.error())};
  auto info = kernel::map_info(fd->get());
  if (!info) return std::unexpected{std::move(info.error())};
  if (info->value_size != sizeof(weir_stream_set))
    return fail("map {} has another layout (value {} bytes)", name, info->value_size);
  std::map<std::uint64_t, weir_stream> sockets;
  auto done = walk(fd->get(), *info, [&](Bytes, Bytes value) {
    weir_stream_set set{};
    std::memcpy(&set, value.data(), sizeof set);
    for (std::size_t i = 0; i < WEIR_STREAM_WAYS; ++i)
      if (set.cookie[i] != 0) sockets.emplace(set.cookie[i], set.way[i]);
  });
  if (!done) return std::unexpected{std::move(done.error())};
  Listing listing{.columns = {"socket", "backend", "service", "check"}, .rows = {}};
  for (const auto& [cookie, way] : sockets)
    listing.rows.push_back({cookie, end_text(way.backend.addr, way.backend.port),
                            end_text(way.service.addr, way.service.port),
                            std::uint64_t{way.check}});
  return listing;
}

// Each slot that has anything, by its address's place: see weir_filter_slot().
Result<Listing> dump_filter(const kernel::Pins& pins, const std::string& name) {
  const auto words = MappedArray<__u64>::open(pins, name, false);
  if (!words) return std::unexpected{words.error()};
  Listing listing{.columns = {"slot", "bits"}, .rows = {}};
  for (std::uint32_t i = 0; i < words->size(); ++i)
    for (std::uint32_t byte = 0; byte < 8; ++byte)
      if (const auto set = static_cast<__u32>((*words)[i] >> 8 * byte & 0xff); set != 0)
        listing.rows.push_back({std::uint64_t{i} * 8 + byte, address_bits_text(set)});
  return listing;
}

Result<Listing> dump_ports(const kernel::Pins& pins, const std::string& name) {
  const auto words = MappedArray<__u64>::open(pins, name, false);
  if (!words) return std::unexpected{words.error()};
  Listing listing{.columns = {"port"}, .rows = {}};
  for (std::uint64_t port = 0; port < std::uint64_t{words->size()} * 64; ++port)
    if (((*words)[static_cast<std::uint32_t>(port / 64)] >> port % 64 & 1) != 0)
      listing.rows.push_back({port});
  return listing;
}

// Storage of sockets has no keys to walk; weir_peer and weir_sticky say all that is in it.
Result<Listing> dump_nothing(const kernel::Pins&, const std::string& name) {
  return fail("{}: the kernel shows it socket by socket only; see weir_peer and weir_sticky", name);
}

// Scratch paper of `weir trace`.
Result<Listing> dump_trace(const kernel::Pins&, const std::string& name) {
  return fail("{}: `weir trace` shows what it writes there", name);
}

std::string hex(Bytes bytes) {
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

Result<Listing> dump_raw(const kernel::Pins& pins, const std::string& name) {
  auto fd = kernel::open_map(pins, name);
  if (!fd) return std::unexpected{std::move(fd.error())};
  auto info = kernel::map_info(fd->get());
  if (!info) return std::unexpected{std::move(info.error())};
  Listing listing{.columns = {"key", "value"}, .rows = {}};
  auto done = walk(fd->get(), *info,
                   [&](Bytes key, Bytes value) { listing.rows.push_back({hex(key), hex(value)}); });
  if (!done) return std::unexpected{std::move(done.error())};
  return listing;
}

constexpr std::array<std::pair<std::string_view, Dump>, 28> kDumps{{
    {"weir_address", dump_hash<weir_addr, weir_address>},
    {"weir_filter", dump_filter},
    {"weir_port", dump_ports},
    {"weir_service", dump_hash<weir_service_key, weir_service>},
    {"weir_current", dump_array<__u32>},
    {"weir_version", dump_array<weir_version>},
    {"weir_affinity", dump_hash<weir_affinity_key, weir_affinity>},
    {"weir_source_range", dump_hash<weir_range_key, __u32>},
    {"weir_slot", dump_array<weir_slot>},
    {"weir_backend", dump_array<weir_backend>},
    {"weir_flow", dump_hash<weir_flow_key, weir_flow>},
    {"weir_half_tcp", dump_hash<weir_flow_key, weir_flow>},
    {"weir_half_udp", dump_hash<weir_flow_key, weir_flow>},
    {"weir_expiry", dump_queue},
    {"weir_fragment", dump_hash<weir_fragment_key, weir_fragment>},
    {"weir_device", dump_hash<__u32, weir_device>},
    {"weir_config", dump_array<weir_config>},
    {"weir_state", dump_array<weir_state>},
    {"weir_stat", dump_array<weir_stat>},
    {"weir_stream", dump_streams},
    {"weir_peer", dump_hash<weir_socket_key, weir_peer>},
    {"weir_sticky", dump_hash<weir_socket_key, weir_sticky>},
    {"weir_socket", dump_nothing},
    {"weir_source", dump_array<weir_source>},
    {"weir_name", dump_hash<__u32, weir_name>},
    {"weir_counter", dump_counters},
    {"weir_xdp_tx", dump_devices},
    {"weir_trace", dump_trace},
}};

}  // namespace

Result<Listing> dump_map(const kernel::Pins& pins, const std::string& name) {
  // Only names, so that "../programs/x" is no way out of the directory.
  if (name.empty() || name.find('/') != name.npos || name.starts_with('.'))
    return fail("{}: not the name of a map", name);
  const auto* known = std::ranges::find(kDumps, name, &decltype(kDumps)::value_type::first);
  return known == kDumps.end() ? dump_raw(pins, name) : known->second(pins, name);
}

}  // namespace weir::cli
