// SPDX-License-Identifier: Apache-2.0
#include "cli/service_tables.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <tuple>

#include "cli/text.hpp"
#include "kernel/map.hpp"
#include "kernel/tables.hpp"

namespace weir::cli {
namespace {

using kernel::Map;
using kernel::MappedArray;

struct VersionArrays {
  MappedArray<__u32> current;
  MappedArray<weir_version> version;
  MappedArray<weir_slot> slot;
};

Result<VersionArrays> open_version_arrays(const kernel::Pins& pins) {
  auto current = MappedArray<__u32>::open(pins, "weir_current", false);
  if (!current) return std::unexpected{std::move(current.error())};
  auto version = MappedArray<weir_version>::open(pins, "weir_version", false);
  if (!version) return std::unexpected{std::move(version.error())};
  auto slot = MappedArray<weir_slot>::open(pins, "weir_slot", false);
  if (!slot) return std::unexpected{std::move(slot.error())};
  return VersionArrays{std::move(*current), std::move(*version), std::move(*slot)};
}

// A record and its slots are reused some time after another version was published: if that
// happened while they were copied, they are copied again.
void read_version(const VersionArrays& arrays, ServiceEntry& service) {
  if (service.id >= arrays.current.size()) return;
  const volatile __u32& current = arrays.current[service.id];
  for (int attempt = 0; attempt < 100; ++attempt) {
    const __u32 index = current;
    service.version_index = index;
    service.version.reset();
    if (index == 0 || index >= arrays.version.size()) return;
    service.version = arrays.version[index];
    service.cluster = backends_of(arrays.slot, service.version->cluster);
    service.local = backends_of(arrays.slot, service.version->local);
    if (current == index) return;
  }
}

Result<> read_frontends(const kernel::Pins& pins, std::map<std::uint32_t, ServiceEntry>& by_id) {
  auto map = Map<weir_service_key, weir_service>::open(pins, "weir_service");
  if (!map) return std::unexpected{std::move(map.error())};
  auto done = map->for_each([&](const weir_service_key& key, const weir_service& value) {
    if (const auto found = by_id.find(value.id); found != by_id.end())
      found->second.frontends.push_back(
          {static_cast<weir_frontend>(value.frontend), key.addr, key.port});
  });
  for (auto& [id, service] : by_id)
    std::ranges::sort(service.frontends, [](const FrontendEntry& a, const FrontendEntry& b) {
      return std::tuple{a.kind, a.address, ntohs(a.port)} <
             std::tuple{b.kind, b.address, ntohs(b.port)};
    });
  return done;
}

Result<> read_ranges(const kernel::Pins& pins, std::map<std::uint32_t, ServiceEntry>& by_id) {
  auto map = Map<weir_range_key, __u32>::open(pins, "weir_source_range");
  if (!map) return std::unexpected{std::move(map.error())};
  auto sets = kernel::read_range_sets(*map);
  if (!sets) return std::unexpected{std::move(sets.error())};
  for (auto& [id, service] : by_id)
    if (service.version && service.version->ranges != 0)
      service.ranges = (*sets)[service.version->ranges];
  return {};
}

auto order(const ServiceEntry& service) {
  return std::tuple{name_text(service.name), ntohs(service.name.port), service.name.proto,
                    service.name.family, service.id};
}

Result<> read_backends(const kernel::Pins& pins, ServiceTables& tables) {
  auto array = MappedArray<weir_backend>::open(pins, "weir_backend", false);
  if (!array) return std::unexpected{std::move(array.error())};
  for (std::uint32_t i = 1; i < array->size(); ++i) {
    const weir_backend& value = std::as_const(*array)[i];
    if (value.state != WEIR_BACKEND_FREE) tables.backends.push_back({i, value});
  }
  const auto& rank = tables.rank;
  const auto key = [&](const BackendEntry& entry) {
    const auto found = rank.find(entry.value.service);
    return std::tuple{found == rank.end() ? rank.size() : found->second, entry.value.addr,
                      ntohs(entry.value.port), entry.index};
  };
  std::ranges::sort(tables.backends, {}, key);
  return {};
}

}  // namespace

std::vector<std::uint32_t> backends_of(const kernel::MappedArray<weir_slot>& slots,
                                       const weir_list& list) {
  std::vector<std::uint32_t> indexes;
  for (std::uint64_t i = list.first; i < std::uint64_t{list.first} + list.count; ++i)
    if (i < slots.size()) indexes.push_back(slots[static_cast<std::uint32_t>(i)].backend);
  return indexes;
}

const ServiceEntry* ServiceTables::find(std::uint32_t id) const {
  const auto found = rank.find(id);
  return found == rank.end() ? nullptr : &services[found->second];
}

Result<std::map<std::uint32_t, weir_name>> read_names(const kernel::Pins& pins) {
  auto map = Map<__u32, weir_name>::open(pins, "weir_name");
  if (!map) return std::unexpected{std::move(map.error())};
  std::map<std::uint32_t, weir_name> names;
  auto done = map->for_each([&](const __u32& id, const weir_name& name) { names[id] = name; });
  if (!done) return std::unexpected{std::move(done.error())};
  return names;
}

Result<ServiceTables> read_service_tables(const kernel::Pins& pins) {
  auto names = read_names(pins);
  if (!names) return std::unexpected{std::move(names.error())};
  auto arrays = open_version_arrays(pins);
  if (!arrays) return std::unexpected{std::move(arrays.error())};
  auto stats = MappedArray<weir_stat>::open(pins, "weir_stat", false);
  if (!stats) return std::unexpected{std::move(stats.error())};

  std::map<std::uint32_t, ServiceEntry> by_id;
  for (const auto& [id, name] : *names) {
    auto& service = by_id[id];
    service.id = id;
    service.name = name;
    if (id < stats->size()) service.stat = std::as_const(*stats)[id];
    read_version(*arrays, service);
  }
  if (auto done = read_frontends(pins, by_id); !done)
    return std::unexpected{std::move(done.error())};
  if (auto done = read_ranges(pins, by_id); !done) return std::unexpected{std::move(done.error())};

  ServiceTables tables;
  for (auto& [id, service] : by_id) tables.services.push_back(std::move(service));
  std::ranges::sort(tables.services, {}, order);
  for (const auto& service : tables.services) tables.rank.emplace(service.id, tables.rank.size());
  if (auto done = read_backends(pins, tables); !done)
    return std::unexpected{std::move(done.error())};
  return tables;
}

bool matches(const ServiceFilter& filter, const weir_name& name) {
  const auto text = name_text(name);
  const auto colon = text.find(':');
  if (text.substr(0, colon) != filter.service) return false;
  if (filter.port.empty() || filter.port == std::to_string(ntohs(name.port))) return true;
  return colon != text.npos && text.substr(colon + 1) == filter.port;
}

}  // namespace weir::cli
