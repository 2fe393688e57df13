// SPDX-License-Identifier: Apache-2.0
#include "serve/table_reader.hpp"

#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>

#include "kernel/map.hpp"

namespace weir::serve {
namespace {

using kernel::Map;
using kernel::MappedArray;

// All that can be full, by name. What weir_config and its like hold is no matter of fill.
constexpr std::array<std::string_view, 18> kTables{
    "weir_address", "weir_affinity", "weir_backend",  "weir_current",  "weir_device",
    "weir_expiry",  "weir_flow",     "weir_fragment", "weir_half_tcp", "weir_half_udp",
    "weir_name",    "weir_peer",     "weir_service",  "weir_slot",     "weir_source_range",
    "weir_sticky",  "weir_stream",   "weir_version"};

using Limits = std::map<std::string_view, std::uint64_t>;
using Entries = std::map<std::string_view, std::uint64_t>;

Result<Limits> read_limits(const kernel::Pins& pins) {
  Limits limits;
  for (const auto name : kTables) {
    auto fd = kernel::open_map(pins, name);
    if (!fd) return std::unexpected{std::move(fd.error())};
    auto info = kernel::map_info(fd->get());
    if (!info) return std::unexpected{std::move(info.error())};
    limits.emplace(name, info->max_entries);
  }
  return limits;
}

// Opens it, and leaves it out of memory until it is wanted.
template <class Value>
Result<> open_array(const kernel::Pins& pins, std::string_view name,
                    std::optional<MappedArray<Value>>& to) {
  auto array = MappedArray<Value>::open(pins, name, false);
  if (!array) return std::unexpected{std::move(array.error())};
  to.emplace(std::move(*array));
  return to->window(1);
}

template <class Key, class Value>
Result<> open_hash(const kernel::Pins& pins, std::string_view name,
                   std::optional<Map<Key, Value>>& to) {
  auto map = Map<Key, Value>::open(pins, name);
  if (!map) return std::unexpected{std::move(map.error())};
  to.emplace(std::move(*map));
  return {};
}

// The whole array in memory, as long as `read` runs.
template <class Value, class Read>
Result<> lend(MappedArray<Value>& array, Read read) {
  if (auto ok = array.window(array.size()); !ok) return ok;
  read(std::as_const(array));
  return array.window(1);
}

template <class Key, class Value>
Result<std::uint64_t> count(const Map<Key, Value>& map) {
  std::uint64_t elements = 0;
  auto walked = map.for_each([&](const Key&, const Value&) { ++elements; });
  if (!walked) return std::unexpected{std::move(walked.error())};
  return elements;
}

Result<std::vector<std::uint64_t>> read_counters(int fd) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return fail(cpus, "count the CPUs");
  std::vector<std::uint64_t> of_cpu(static_cast<std::size_t>(cpus));
  std::vector<std::uint64_t> sums;
  for (__u32 i = 0; i < WEIR_COUNTER_MAX; ++i) {
    if (const int rc = bpf_map_lookup_elem(fd, &i, of_cpu.data()); rc != 0)
      return fail(rc, "read map weir_counter");
    sums.push_back(std::accumulate(of_cpu.begin(), of_cpu.end(), std::uint64_t{0}));
  }
  return sums;
}

void mark(std::vector<bool>& used, const weir_list& list) {
  const auto end = std::min<std::uint64_t>(std::uint64_t{list.first} + list.count, used.size());
  for (std::uint64_t i = list.first; i < end; ++i) used[i] = true;
}

void count_no_local(const weir_version& version, TableReading& to) {
  if (version.local.count != 0 || (version.flags & WEIR_VERSION_HAS_ENDPOINT) == 0) return;
  if ((version.flags & WEIR_VERSION_INTERNAL_LOCAL) != 0) ++to.no_local_internal;
  if ((version.flags & WEIR_VERSION_EXTERNAL_LOCAL) != 0) ++to.no_local_external;
}

}  // namespace

struct TableReader::Maps {
  Limits limits;
  UniqueFd counter;
  std::optional<MappedArray<__u32>> current;
  std::optional<MappedArray<weir_version>> version;
  std::optional<MappedArray<weir_backend>> backend;
  std::optional<MappedArray<weir_stat>> stat;
  std::optional<MappedArray<weir_state>> state;
  std::optional<Map<weir_service_key, weir_service>> service;
  std::optional<Map<__u32, weir_device>> device;
  std::optional<Map<__u32, weir_name>> name;
  std::uint32_t slots = 0;

  Result<> open(const kernel::Pins& pins);
  Result<> open_maps(const kernel::Pins& pins);
  Result<> read_services(TableReading& to, Entries& entries);
  Result<> read_backends(TableReading& to, Entries& entries);
  Result<> read_versions(TableReading& to, Entries& entries);
  Result<> count_hashes(Entries& entries) const;
};

Result<> TableReader::Maps::open(const kernel::Pins& pins) {
  auto sizes = read_limits(pins);
  if (!sizes) return std::unexpected{std::move(sizes.error())};
  limits = std::move(*sizes);
  slots = static_cast<std::uint32_t>(limits["weir_slot"]);
  auto fd = kernel::open_map(pins, "weir_counter");
  if (!fd) return std::unexpected{std::move(fd.error())};
  counter = std::move(*fd);
  auto info = kernel::map_info(counter.get());
  if (!info) return std::unexpected{std::move(info.error())};
  if (info->value_size != sizeof(std::uint64_t) || info->max_entries < WEIR_COUNTER_MAX)
    return fail("map weir_counter has another layout (value {} bytes, {} entries)",
                info->value_size, info->max_entries);
  return open_maps(pins);
}

Result<> TableReader::Maps::open_maps(const kernel::Pins& pins) {
  if (auto ok = open_array(pins, "weir_current", current); !ok) return ok;
  if (auto ok = open_array(pins, "weir_version", version); !ok) return ok;
  if (auto ok = open_array(pins, "weir_backend", backend); !ok) return ok;
  if (auto ok = open_array(pins, "weir_stat", stat); !ok) return ok;
  if (auto ok = open_array(pins, "weir_state", state); !ok) return ok;
  if (auto ok = open_hash(pins, "weir_service", service); !ok) return ok;
  if (auto ok = open_hash(pins, "weir_device", device); !ok) return ok;
  return open_hash(pins, "weir_name", name);
}

Result<> TableReader::Maps::read_services(TableReading& to, Entries& entries) {
  auto walked = name->for_each([&](const __u32& id, const weir_name& value) {
    to.services.push_back({.id = id, .name = value, .stat = {}, .flows = 0});
  });
  if (!walked) return walked;
  entries["weir_name"] = to.services.size();
  return lend(*stat, [&](const MappedArray<weir_stat>& array) {
    for (auto& one : to.services)
      if (one.id < array.size()) one.stat = array[one.id];
  });
}

Result<> TableReader::Maps::read_backends(TableReading& to, Entries& entries) {
  std::vector<std::uint64_t> flows(current->size());
  auto& used = entries["weir_backend"];
  auto done = lend(*backend, [&](const MappedArray<weir_backend>& array) {
    for (std::uint32_t i = 1; i < array.size(); ++i) {
      const auto& entry = array[i];
      if (entry.state == WEIR_BACKEND_FREE) continue;
      ++used;
      if (entry.service < flows.size()) flows[entry.service] += entry.live;
    }
  });
  for (auto& one : to.services)
    if (one.id < flows.size()) one.flows = flows[one.id];
  return done;
}

Result<> TableReader::Maps::read_versions(TableReading& to, Entries& entries) {
  std::vector<std::uint32_t> indexes;
  auto done = lend(*current, [&](const MappedArray<__u32>& array) {
    for (std::uint32_t id = 0; id < array.size(); ++id)
      if (const auto index = array[id]; index != 0) indexes.push_back(index);
  });
  if (!done) return done;
  entries["weir_current"] = entries["weir_version"] = indexes.size();
  std::vector<bool> used(slots);  // equal lists share theirs
  done = lend(*version, [&](const MappedArray<weir_version>& array) {
    for (const auto index : indexes) {
      if (index >= array.size()) continue;
      const weir_version record = array[index];
      mark(used, record.cluster);
      mark(used, record.local);
      count_no_local(record, to);
    }
  });
  entries["weir_slot"] = static_cast<std::uint64_t>(std::ranges::count(used, true));
  return done;
}

Result<> TableReader::Maps::count_hashes(Entries& entries) const {
  const auto add = [&](std::string_view table, const Result<std::uint64_t>& counted) -> Result<> {
    if (!counted) return std::unexpected{counted.error()};
    entries[table] = *counted;
    return {};
  };
  if (auto ok = add("weir_service", count(*service)); !ok) return ok;
  return add("weir_device", count(*device));
}

TableReader::TableReader(std::unique_ptr<Maps> maps) : maps_{std::move(maps)} {}
TableReader::TableReader(TableReader&&) noexcept = default;
TableReader& TableReader::operator=(TableReader&&) noexcept = default;
TableReader::~TableReader() = default;

Result<TableReader> TableReader::open(const kernel::Pins& pins) {
  auto maps = std::make_unique<Maps>();
  if (auto ok = maps->open(pins); !ok) return std::unexpected{std::move(ok.error())};
  return TableReader{std::move(maps)};
}

Result<TableReading> TableReader::read() {
  TableReading reading;
  Entries entries;
  if (auto ok = maps_->read_services(reading, entries); !ok)
    return std::unexpected{std::move(ok.error())};
  if (auto ok = maps_->read_backends(reading, entries); !ok)
    return std::unexpected{std::move(ok.error())};
  if (auto ok = maps_->read_versions(reading, entries); !ok)
    return std::unexpected{std::move(ok.error())};
  if (auto ok = maps_->count_hashes(entries); !ok) return std::unexpected{std::move(ok.error())};
  auto counters = read_counters(maps_->counter.get());
  if (!counters) return std::unexpected{std::move(counters.error())};
  reading.counters = std::move(*counters);
  reading.state = std::as_const(*maps_->state)[0];
  entries["weir_flow"] = 2 * reading.state.flows;
  entries["weir_expiry"] = reading.state.queued;
  for (const auto& [table, limit] : maps_->limits) {
    auto& fill = reading.tables.emplace_back();
    fill.table = table;
    fill.limit = limit;
    if (const auto found = entries.find(table); found != entries.end())
      fill.entries = found->second;
  }
  return reading;
}

}  // namespace weir::serve
