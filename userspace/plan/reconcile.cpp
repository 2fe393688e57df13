// SPDX-License-Identifier: Apache-2.0
#include "plan/reconcile.hpp"

#include <algorithm>
#include <iterator>

#include "plan/reconciler.hpp"

namespace weir {
namespace {

// Roughly what services that are new will take: lists and tables of all those of a first start had
// better not move while they grow.
struct Sizes {
  std::size_t operations = 0;
  std::size_t addresses = 0;
};

Sizes sizes_of_new(const ProgrammedTables& current, const WantedTables& wanted) {
  Sizes sizes;
  for (const auto& [identity, want] : wanted.services) {
    if (current.services.contains(identity)) continue;
    sizes.addresses += want.frontends.size() + want.backends.size();
    sizes.operations += 6 + want.frontends.size() + 2 * want.backends.size();
  }
  return sizes;
}

// Releases something that the next call may give to another, or that packets may still be using.
bool needs_grace(const Operation& operation) {
  if (const auto* change = std::get_if<SetBackendState>(&operation))
    return change->state == WEIR_BACKEND_GONE || change->state == WEIR_BACKEND_FREE;
  return std::holds_alternative<Publish>(operation) ||
         std::holds_alternative<DeleteName>(operation);
}

}  // namespace

Change Reconciler::to(const WantedTables& wanted, const LiveFlows& live) {
  release();
  work_.whole = true;
  const Sizes fresh = sizes_of_new(tables_, wanted);
  work_.phases[kPrepare].reserve(fresh.operations);
  uses_.reserve(uses_.size() + fresh.addresses);
  set_node(wanted);
  for (const auto& [identity, want] : wanted.services) update(identity, want);
  free_gone(live);
  sweep_services(wanted);
  finish(wanted, {}, live);
  return take_change();
}

Change Reconciler::to(const WantedTables& part, std::span<const ServiceIdentity> touched,
                      const LiveFlows& live) {
  release();
  for (const auto& [identity, want] : part.services) update(identity, want);
  free_gone(live);
  for (const auto& identity : touched) {
    const auto found = tables_.services.find(identity);
    if (found != tables_.services.end() && !work_.left_alone.contains(identity))
      sweep_service(identity, found->second, part);
  }
  finish(part, touched, live);
  return take_change();
}

void Reconciler::finish(const WantedTables& wanted, std::span<const ServiceIdentity> touched,
                        const LiveFlows& live) {
  gone_.insert(work_.gone.begin(), work_.gone.end());
  drop_emptied(wanted);
  sweep_ranges();
  settle_frontends(wanted, touched);
  settle_addresses(live);
  if (work_.taken_away) emit(kTakeAway, SetEpoch{++tables_.epoch});
}

Change Reconciler::take_change() {
  Change change;
  change.operations = std::move(work_.phases[kPrepare]);  // by far the longest
  for (auto& phase : std::span{work_.phases}.subspan(kPrepare + 1))
    std::ranges::move(phase, std::back_inserter(change.operations));
  if (std::ranges::any_of(change.operations, needs_grace)) change.operations.emplace_back(Grace{});
  std::ranges::move(work_.drop_ranges, std::back_inserter(change.operations));
  change.refused = std::move(work_.refused);
  work_ = {};
  return change;
}

bool Reconciler::can_reclaim(const LiveFlows& live) const {
  return std::ranges::any_of(gone_, [&](std::uint32_t index) { return live(index) == 0; }) ||
         (!past_.empty() && !any_flows(live));
}

Reconciled reconcile(const ProgrammedTables& current, const WantedTables& wanted,
                     const Limits& limits, const LiveFlows& live) {
  Reconciler reconciler{current, limits};
  Change change = reconciler.to(wanted, live);
  return {std::move(change.operations), reconciler.take_tables(), std::move(change.refused)};
}

}  // namespace weir
