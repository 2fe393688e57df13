// SPDX-License-Identifier: Apache-2.0
// What weir_service and weir_address hold in the end, as far as it may be different.
#include <algorithm>

#include "plan/reconciler.hpp"

namespace weir {

std::uint32_t Reconciler::owner(const weir_service_key& key) const {
  const auto found = frontends_.find(key);
  return found == frontends_.end() ? 0 : found->second.id;
}

void Reconciler::settle_frontends(const WantedTables& wanted,
                                  std::span<const ServiceIdentity> touched) {
  std::map<weir_service_key, weir_service> granted;
  const auto grant = [&](const ServiceIdentity& identity) {
    const auto found = tables_.services.find(identity);
    if (found == tables_.services.end() || work_.left_alone.contains(identity)) return;
    for (const auto& [key, kind] : found->second.frontends)
      if (work_.frontends.contains(key))
        granted.emplace(key, weir_service{.id = found->second.id,
                                          .frontend = static_cast<std::uint8_t>(kind),
                                          .zero = {}});
  };
  if (work_.frontends.empty()) return;
  if (work_.whole)
    for (const auto& [identity, want] : wanted.services) grant(identity);
  else
    for (const auto& identity : touched) grant(identity);
  // A refused service keeps the frontends it had, but not against one that was given them.
  for (const auto& identity : work_.left_alone)
    std::erase_if(tables_.services.at(identity).frontends,
                  [&](const auto& frontend) { return granted.contains(frontend.first); });
  for (const auto& key : work_.frontends) {
    const auto after = granted.find(key);
    settle_frontend(key, after == granted.end() ? nullptr : &after->second);
  }
}

void Reconciler::settle_frontend(const weir_service_key& key, const weir_service* after) {
  const auto found = frontends_.find(key);
  const bool before = found != frontends_.end();
  if (before && after != nullptr && found->second == *after) return;
  work_.taken_away =
      work_.taken_away || (before && (after == nullptr || found->second.id != after->id));
  if (before && found->second.frontend != WEIR_FRONTEND_NODE_PORT) --uses(key.addr).services;
  if (after != nullptr) {
    emit(kPutFrontends, PutFrontend{key, *after});
    if (after->frontend != WEIR_FRONTEND_NODE_PORT) ++uses(key.addr).services;
    frontends_.insert_or_assign(key, *after);
  } else if (before) {
    emit(kDropFrontends, DeleteFrontend{key});
    frontends_.erase(found);
  }
}

Reconciler::Uses& Reconciler::uses(const weir_addr& address) {
  if (!work_.whole) work_.addresses.push_back(address);
  const auto [at, fresh] = uses_.try_emplace(address);
  if (fresh && !tables_.addresses.contains(address)) ++new_addresses_;
  return at->second;
}

// Node addresses are written even where they do not fit.
void Reconciler::set_node(const WantedTables& wanted) {
  for (const auto& address : std::exchange(node_, {})) uses(address).node = 0;
  for (const auto& [address, bits] : wanted.addresses) {
    const auto own = bits & ~std::uint32_t{WEIR_ADDRESS_SERVICE};
    if (own == 0) continue;
    node_.insert(address);
    uses(address).node = own;
  }
}

std::uint32_t Reconciler::bits_of(const Uses& at) {
  return at.node | (at.services > 0 ? std::uint32_t{WEIR_ADDRESS_SERVICE} : 0U) |
         (at.backends > 0 ? std::uint32_t{WEIR_ADDRESS_BACKEND} : 0U) |
         (at.local > 0 ? std::uint32_t{WEIR_ADDRESS_LOCAL} : 0U);
}

bool Reconciler::any_flows(const LiveFlows& live) const {
  return std::ranges::any_of(tables_.backends,
                             [&](const auto& entry) { return live(entry.first) > 0; });
}

// Each address once, in order: what the tables have, and what it is now.
std::vector<Reconciler::AddressChange> Reconciler::address_changes() {
  return work_.whole ? all_addresses() : touched_addresses();
}

// An agent that died may have left any of them half done.
std::vector<Reconciler::AddressChange> Reconciler::all_addresses() const {
  std::vector<AddressChange> changes;
  changes.reserve(uses_.size() + past_.size());
  for (const auto& [address, at] : uses_) changes.push_back({address, 0, bits_of(at)});
  for (const auto& [address, bits] : tables_.addresses)
    if (!uses_.contains(address)) changes.push_back({address, 0, 0});
  std::ranges::sort(changes, {}, &AddressChange::address);
  auto at = tables_.addresses.begin();
  for (auto& change : changes) {
    if (at == tables_.addresses.end() || change.address < at->first) continue;
    change.before = at->second;
    ++at;
  }
  return changes;
}

std::vector<Reconciler::AddressChange> Reconciler::touched_addresses() {
  auto& addresses = work_.addresses;
  addresses.insert(addresses.end(), past_.begin(), past_.end());
  std::ranges::sort(addresses);
  const auto rest = std::ranges::unique(addresses);
  addresses.erase(rest.begin(), rest.end());
  std::vector<AddressChange> changes;
  changes.reserve(addresses.size());
  for (const auto& address : addresses) {
    const auto before = tables_.addresses.find(address);
    const auto after = uses_.find(address);
    changes.push_back({address, before == tables_.addresses.end() ? 0U : before->second,
                       after == uses_.end() ? 0U : bits_of(after->second)});
  }
  return changes;
}

// An address that a service gave up may still have established flows, which its packets find only
// while it is known. Which address a flow goes to is in the kernel's table alone, so they all stay
// until there is no flow at all; not too many of them, since on a busy node that is never.
void Reconciler::keep_past(std::vector<AddressChange>& changes, const LiveFlows& live) {
  constexpr std::size_t kMost = 4096;
  constexpr std::uint32_t kKnown = WEIR_ADDRESS_SERVICE | WEIR_ADDRESS_PAST;
  past_.clear();
  const auto given_up = [](const AddressChange& change) {
    return (change.before & kKnown) != 0 && (change.after & WEIR_ADDRESS_SERVICE) == 0;
  };
  if (std::ranges::none_of(changes, given_up) || !any_flows(live)) return;
  for (auto& change : changes) {
    if (!given_up(change)) continue;
    if (past_.size() == kMost) return;
    past_.insert(past_.end(), change.address);
    change.after |= WEIR_ADDRESS_PAST;
  }
}

void Reconciler::settle_addresses(const LiveFlows& live) {
  auto changes = address_changes();
  keep_past(changes, live);
  auto at = tables_.addresses.begin();
  for (const auto& change : changes) {
    if (!work_.whole) at = tables_.addresses.lower_bound(change.address);
    while (at != tables_.addresses.end() && at->first < change.address) ++at;
    set_address(change, at);
    if ((change.after & ~std::uint32_t{WEIR_ADDRESS_PAST}) == 0) uses_.erase(change.address);
  }
  new_addresses_ = 0;
}

// `at`: the first that is not before the address, also afterwards.
void Reconciler::set_address(const AddressChange& change,
                             std::map<weir_addr, std::uint32_t>::iterator& at) {
  if (change.before == change.after) return;
  put_address_changes(change.address, change.before, change.after);
  if (change.before == 0)
    at = tables_.addresses.emplace_hint(at, change.address, change.after);
  else if (change.after == 0)
    at = tables_.addresses.erase(at);
  else
    at->second = change.after;
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

}  // namespace weir
