// SPDX-License-Identifier: Apache-2.0
#include "plan/reconcile.hpp"

#include <algorithm>
#include <iterator>
#include <span>

#include "plan/reconciler.hpp"

namespace weir {
namespace {

std::vector<std::uint32_t> ids_in_use(const ProgrammedTables& tables) {
  std::vector<std::uint32_t> used;
  used.reserve(tables.services.size());
  for (const auto& [identity, service] : tables.services) used.push_back(service.id);
  return used;
}

std::vector<std::uint32_t> backends_in_use(const ProgrammedTables& tables) {
  std::vector<std::uint32_t> used;
  used.reserve(tables.backends.size());
  for (const auto& [index, backend] : tables.backends) used.push_back(index);
  return used;
}

std::vector<std::uint32_t> versions_in_use(const ProgrammedTables& tables) {
  std::vector<std::uint32_t> used;
  used.reserve(tables.services.size());
  for (const auto& [identity, service] : tables.services) used.push_back(service.version_index);
  return used;
}

std::vector<weir_list> slots_in_use(const ProgrammedTables& tables) {
  std::vector<weir_list> used;
  for (const auto& [identity, service] : tables.services) {
    used.push_back(service.version.cluster);
    used.push_back(service.version.local);
  }
  return used;
}

std::vector<std::uint32_t> ranges_in_use(const ProgrammedTables& tables) {
  std::vector<std::uint32_t> used;
  used.reserve(tables.ranges.size());
  for (const auto& [id, set] : tables.ranges) used.push_back(id);
  return used;
}

// Roughly how many operations services that are new will take. An operation is 200 bytes, so a
// list of all those of a first start had better not move while it grows.
std::size_t operations_of_new(const ProgrammedTables& current, const WantedTables& wanted) {
  std::size_t count = 0;
  for (const auto& [identity, want] : wanted.services)
    if (!current.services.contains(identity))
      count += 4 + 2 * (want.frontends.size() + want.backends.size()) + want.cluster.size() +
               want.local.size();
  return count;
}

// Releases something that the next call may give to another, or that packets may still be using.
bool needs_grace(const Operation& operation) {
  if (const auto* change = std::get_if<SetBackendState>(&operation))
    return change->state == WEIR_BACKEND_GONE || change->state == WEIR_BACKEND_FREE;
  return std::holds_alternative<Publish>(operation) ||
         std::holds_alternative<DeleteName>(operation);
}

// Walks two sequences of pairs, sorted by key: visit(left or null, right or null) for each key.
template <class Left, class Right, class Visit>
void walk_both(const Left& left, const Right& right, Visit visit) {
  auto a = left.begin();
  auto b = right.begin();
  while (a != left.end() || b != right.end()) {
    const bool only_a = b == right.end() || (a != left.end() && a->first < b->first);
    const bool only_b = !only_a && (a == left.end() || b->first < a->first);
    visit(only_b ? nullptr : &*a, only_a ? nullptr : &*b);
    if (!only_b) ++a;
    if (!only_a) ++b;
  }
}

}  // namespace

Reconciler::Reconciler(const ProgrammedTables& current, const WantedTables& wanted,
                       const Limits& limits, const LiveFlows& live)
    : current_{current},
      wanted_{wanted},
      limits_{limits},
      live_{live},
      tables_{current},
      ids_{limits.services, ids_in_use(current)},
      backends_{limits.backends, backends_in_use(current)},
      versions_{2 * limits.services, versions_in_use(current)},
      slots_{limits.slots, slots_in_use(current)},
      range_ids_{limits.ranges + 1, ranges_in_use(current)} {
  for (const auto& [id, set] : current.ranges) {
    range_sets_.emplace(set, id);
    ranges_used_ += set.size();
  }
  for (const auto& [identity, service] : current.services)
    for (const auto& [key, kind] : service.frontends)
      frontends_.push_back(
          {key, {.id = service.id, .frontend = static_cast<std::uint8_t>(kind), .zero = {}}});
  std::ranges::sort(frontends_, {}, &Frontend::first);
  frontends_used_ = frontends_.size();
  phases_[kPrepare].reserve(operations_of_new(current, wanted));
  // The node's own addresses come before any service's.
  for (const auto& [address, bits] : wanted.addresses)
    if ((bits & ~std::uint32_t{WEIR_ADDRESS_SERVICE}) != 0 && !current.addresses.contains(address))
      new_addresses_.insert(address);
}

Reconciled Reconciler::run() {
  for (const auto& [identity, want] : wanted_.services) update(identity, want);
  sweep_services();
  sweep_ranges();
  settle_addresses(settle_frontends());
  return finish();
}

// Ends what is not wanted any more: services first, then backends of those that stay.
void Reconciler::sweep_services() {
  for (auto at = tables_.services.begin(); at != tables_.services.end();) {
    auto& [identity, service] = *at;
    const auto want = wanted_.services.find(identity);
    const bool wanted = want != wanted_.services.end();
    if (!wanted) withdraw(service);
    sweep(service, wanted ? &want->second : nullptr, left_alone_.contains(identity));
    if (!wanted && service.backends.empty()) {
      emit(kDropNames, DeleteName{service.id});
      at = tables_.services.erase(at);
    } else {
      ++at;
    }
  }
}

void Reconciler::withdraw(ProgrammedService& service) {
  if (service.version_index != 0) {
    emit(kWithdraw, Publish{service.id, 0});
    taken_away_ = true;
  }
  service.version_index = 0;
  service.version = {};
  service.cluster.clear();
  service.local.clear();
  service.frontends.clear();
}

// A backend goes in two steps, at least one grace period apart: GONE, and FREE once no flow is
// left on it. A service that was refused keeps all that its lists may name.
void Reconciler::sweep(ProgrammedService& service, const WantedService* want, bool left_alone) {
  std::erase_if(service.backends, [&](const auto& entry) {
    const auto& [identity, index] = entry;
    auto& backend = tables_.backends.at(index);
    if (backend.state == WEIR_BACKEND_GONE) {
      if (live_(index) > 0) return false;
      emit(kFreeBackends, SetBackendState{index, WEIR_BACKEND_FREE});
      tables_.backends.erase(index);
      return true;
    }
    if (left_alone || (want != nullptr && want->backends.contains(identity))) return false;
    backend.state = WEIR_BACKEND_GONE;
    emit(kTakeAway, SetBackendState{index, WEIR_BACKEND_GONE});
    taken_away_ = true;
    return false;
  });
}

// Packets may still be looking at a set until the grace is over.
void Reconciler::sweep_ranges() {
  std::set<std::uint32_t> named;
  for (const auto& [identity, service] : tables_.services) named.insert(service.version.ranges);
  std::erase_if(tables_.ranges, [&](const auto& entry) {
    const auto& [id, set] = entry;
    if (named.contains(id)) return false;
    for (const auto& range : set) drop_ranges_.emplace_back(DeleteRange{range_key(id, range)});
    return true;
  });
}

// What weir_service holds in the end, sorted by key.
std::vector<Reconciler::Frontend> Reconciler::settle_frontends() {
  std::vector<Frontend> settled;
  const auto add = [&](const ProgrammedService& service) {
    for (const auto& [key, kind] : service.frontends)
      settled.push_back(
          {key, {.id = service.id, .frontend = static_cast<std::uint8_t>(kind), .zero = {}}});
  };
  for (const auto& [identity, service] : tables_.services)
    if (!left_alone_.contains(identity)) add(service);
  std::ranges::sort(settled, {}, &Frontend::first);
  // A refused service keeps the frontends it had, but not against one that was given them.
  const std::vector<Frontend> granted = left_alone_.empty() ? std::vector<Frontend>{} : settled;
  for (const auto& identity : left_alone_) {
    auto& service = tables_.services.at(identity);
    std::erase_if(service.frontends, [&](const auto& frontend) {
      return std::ranges::binary_search(granted, frontend.first, {}, &Frontend::first);
    });
    add(service);
  }
  if (!left_alone_.empty()) std::ranges::sort(settled, {}, &Frontend::first);

  walk_both(frontends_, settled, [&](const Frontend* before, const Frontend* after) {
    if (after == nullptr) {
      emit(kDropFrontends, DeleteFrontend{before->first});
    } else if (before == nullptr || before->second != after->second) {
      emit(kPutFrontends, PutFrontend{after->first, after->second});
    }
    taken_away_ = taken_away_ || after == nullptr ||
                  (before != nullptr && before->second.id != after->second.id);
  });
  return settled;
}

void Reconciler::settle_addresses(const std::vector<Frontend>& frontends) {
  std::vector<AddressBits> parts;
  parts.reserve(wanted_.addresses.size() + frontends.size() + tables_.backends.size());
  for (const auto& [address, bits] : wanted_.addresses)
    parts.emplace_back(address, bits & ~std::uint32_t{WEIR_ADDRESS_SERVICE});
  for (const auto& [key, value] : frontends)
    if (value.frontend != WEIR_FRONTEND_NODE_PORT)
      parts.emplace_back(key.addr, std::uint32_t{WEIR_ADDRESS_SERVICE});
  for (const auto& [index, backend] : tables_.backends) {
    const bool here = (backend.flags & WEIR_BACKEND_LOCAL) != 0;
    const std::uint32_t local = here ? std::uint32_t{WEIR_ADDRESS_LOCAL} : 0U;
    parts.emplace_back(backend.identity.address.raw(), WEIR_ADDRESS_BACKEND | local);
  }
  std::ranges::sort(parts, {}, &AddressBits::first);

  std::map<weir_addr, std::uint32_t> settled;
  for (const auto& [address, bits] : parts)
    if (bits != 0) settled.emplace_hint(settled.end(), address, 0U)->second |= bits;
  keep_past(settled);
  walk_both(current_.addresses, settled, [&](const auto* before, const auto* after) {
    put_address_changes(before != nullptr ? before->first : after->first,
                        before != nullptr ? before->second : 0,
                        after != nullptr ? after->second : 0);
  });
  tables_.addresses = std::move(settled);
}

// An address that a service gave up may still have established flows, which its packets find only
// while it is known. Which address a flow goes to is in the kernel's table alone, so they all stay
// until there is no flow at all; not too many of them, since on a busy node that is never.
void Reconciler::keep_past(std::map<weir_addr, std::uint32_t>& settled) const {
  constexpr std::size_t kMost = 4096;
  const bool flows = std::ranges::any_of(tables_.backends,
                                         [&](const auto& entry) { return live_(entry.first) > 0; });
  if (!flows) return;
  std::size_t kept = 0;
  for (const auto& [address, bits] : current_.addresses) {
    if ((bits & (WEIR_ADDRESS_SERVICE | WEIR_ADDRESS_PAST)) == 0) continue;
    const auto found = settled.find(address);
    if (found != settled.end() && (found->second & WEIR_ADDRESS_SERVICE) != 0) continue;
    if (++kept > kMost) return;
    settled[address] |= WEIR_ADDRESS_PAST;
  }
}

// Up to three writes, because the bits of one address change at different moments.
void Reconciler::put_address_changes(const weir_addr& key, std::uint32_t before,
                                     std::uint32_t after) {
  const std::uint32_t prepared = before | (after & ~std::uint32_t{WEIR_ADDRESS_SERVICE});
  const std::uint32_t grown = before | after;
  if (prepared != before) emit(kPrepare, PutAddress{key, {.bits = prepared}});
  if (grown != prepared) emit(kPutAddresses, PutAddress{key, {.bits = grown}});
  if (after == 0) {
    emit(kDropAddresses, DeleteAddress{key});
  } else if (after != grown) {
    emit(kDropAddresses, PutAddress{key, {.bits = after}});
  }
}

Reconciled Reconciler::finish() {
  if (taken_away_) emit(kTakeAway, SetEpoch{++tables_.epoch});
  Reconciled result;
  result.operations = std::move(phases_[kPrepare]);  // by far the longest
  for (auto& phase : std::span{phases_}.subspan(kPrepare + 1))
    std::ranges::move(phase, std::back_inserter(result.operations));
  if (std::ranges::any_of(result.operations, needs_grace)) result.operations.emplace_back(Grace{});
  std::ranges::move(drop_ranges_, std::back_inserter(result.operations));
  result.tables = std::move(tables_);
  result.refused = std::move(refused_);
  return result;
}

Reconciled reconcile(const ProgrammedTables& current, const WantedTables& wanted,
                     const Limits& limits, const LiveFlows& live) {
  return Reconciler{current, wanted, limits, live}.run();
}

}  // namespace weir
