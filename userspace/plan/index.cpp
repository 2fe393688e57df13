// SPDX-License-Identifier: Apache-2.0
// What follows from the tables: who uses what, and what is free.
#include "plan/reconciler.hpp"

namespace weir {
namespace {

template <class Map, class Of>
std::vector<std::uint32_t> numbers(const Map& map, Of of) {
  std::vector<std::uint32_t> used;
  used.reserve(map.size());
  for (const auto& entry : map) used.push_back(of(entry));
  return used;
}

std::vector<weir_list> slots_in_use(const ProgrammedTables& tables) {
  std::vector<weir_list> used;
  used.reserve(2 * tables.services.size());
  for (const auto& [identity, service] : tables.services) {
    used.push_back(service.version.cluster);
    used.push_back(service.version.local);
  }
  return used;
}

}  // namespace

Reconciler::Reconciler(ProgrammedTables tables, const Limits& limits)
    : limits_{limits},
      tables_{std::move(tables)},
      ids_{limits.services, numbers(tables_.services, [](auto& at) { return at.second.id; })},
      backends_{limits.backends, numbers(tables_.backends, [](auto& at) { return at.first; })},
      versions_{2 * limits.services,
                numbers(tables_.services, [](auto& at) { return at.second.version_index; })},
      slots_{limits.slots, slots_in_use(tables_)},
      range_ids_{limits.ranges + 1, numbers(tables_.ranges, [](auto& at) { return at.first; })} {
  index_ranges();
  index_services();
  index_backends();
  for (const auto& [address, at] : uses_)
    if (!tables_.addresses.contains(address)) ++new_addresses_;
  for (const auto& [address, bits] : tables_.addresses)
    if ((bits & WEIR_ADDRESS_PAST) != 0) past_.insert(address);
}

void Reconciler::index_services() {
  uses_.reserve(tables_.addresses.size());
  for (const auto& [identity, service] : tables_.services) {
    for (const auto& [key, kind] : service.frontends) {
      frontends_.emplace(
          key,
          weir_service{.id = service.id, .frontend = static_cast<std::uint8_t>(kind), .zero = {}});
      if (kind != WEIR_FRONTEND_NODE_PORT) ++uses_[key.addr].services;
    }
    if (service.version.ranges != 0 && ++named_[service.version.ranges] == 1)
      unnamed_.erase(service.version.ranges);
  }
}

void Reconciler::index_backends() {
  for (const auto& [index, backend] : tables_.backends) {
    auto& at = uses_[backend.identity.address.raw()];
    ++at.backends;
    if ((backend.flags & WEIR_BACKEND_LOCAL) != 0) ++at.local;
    if (backend.state == WEIR_BACKEND_GONE) gone_.insert(index);
  }
}

void Reconciler::index_ranges() {
  for (const auto& [id, set] : tables_.ranges) {
    range_sets_.emplace(set, id);
    ranges_used_ += set.size();
    unnamed_.insert(id);
  }
}

// The last change has been carried out: what it gave up may be given to another.
void Reconciler::release() {
  for (const auto id : released_.ids) ids_.give_back(id);
  for (const auto index : released_.backends) backends_.give_back(index);
  for (const auto index : released_.versions) versions_.give_back(index);
  for (const auto id : released_.range_ids) range_ids_.give_back(id);
  for (const auto& list : released_.slots) slots_.give_back(list.first, list.count);
  ranges_used_ -= released_.ranges;
  released_ = {};
}

}  // namespace weir
