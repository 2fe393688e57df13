// SPDX-License-Identifier: Apache-2.0
// What is not wanted any more: services, backends, sets of source ranges.
#include <algorithm>

#include "plan/reconciler.hpp"

namespace weir {

// A backend goes in two steps, at least one grace period apart: GONE, and FREE once no flow is
// left on it.
void Reconciler::free_gone(const LiveFlows& live) {
  std::erase_if(gone_, [&](std::uint32_t index) {
    const auto found = tables_.backends.find(index);
    const ProgrammedBackend& backend = found->second;
    if (backend.state != WEIR_BACKEND_GONE) return true;  // it came back
    if (live(index) > 0) return false;
    emit(kFreeBackends, SetBackendState{index, WEIR_BACKEND_FREE});
    auto& at = uses(backend.identity.address.raw());
    --at.backends;
    if ((backend.flags & WEIR_BACKEND_LOCAL) != 0) --at.local;
    auto& service = tables_.services.at(backend.service);
    service.backends.erase(backend.identity);
    if (service.backends.empty()) work_.emptied.push_back(backend.service);
    released_.backends.push_back(index);
    tables_.backends.erase(found);
    return true;
  });
}

// Ends what is not wanted any more: services first, then backends of those that stay. A service
// that was refused keeps all that its lists may name.
void Reconciler::sweep_services(const WantedTables& wanted) {
  for (auto& [identity, service] : tables_.services)
    if (!work_.left_alone.contains(identity)) sweep_service(identity, service, wanted);
}

void Reconciler::sweep_service(const ServiceIdentity& identity, ProgrammedService& service,
                               const WantedTables& wanted) {
  const auto want = wanted.services.find(identity);
  const bool stays = want != wanted.services.end();
  if (!stays) withdraw(service);
  if (!stays && service.backends.empty()) work_.emptied.push_back(identity);
  for (const auto& [backend_identity, index] : service.backends) {
    if (stays && want->second.backends.contains(backend_identity)) continue;
    auto& backend = tables_.backends.at(index);
    if (backend.state == WEIR_BACKEND_GONE) continue;
    backend.state = WEIR_BACKEND_GONE;
    emit(kTakeAway, SetBackendState{index, WEIR_BACKEND_GONE});
    work_.gone.push_back(index);
    work_.taken_away = true;
  }
}

void Reconciler::withdraw(ProgrammedService& service) {
  if (service.version_index != 0) {
    emit(kWithdraw, Publish{service.id, 0});
    work_.taken_away = true;
    leave_version(service, {});
  }
  service.version_index = 0;
  service.version = {};
  service.cluster.clear();
  service.local.clear();
  for (const auto& [key, kind] : service.frontends) work_.frontends.insert(key);
  service.frontends.clear();
}

// The name of an id goes when its service is not wanted and the last of its backends is free.
void Reconciler::drop_emptied(const WantedTables& wanted) {
  std::ranges::sort(work_.emptied);
  for (const auto& identity : work_.emptied) {
    const auto found = tables_.services.find(identity);
    if (found == tables_.services.end() || wanted.services.contains(identity)) continue;
    const ProgrammedService& service = found->second;
    if (service.version_index != 0 || !service.backends.empty()) continue;
    emit(kDropNames, DeleteName{service.id});
    released_.ids.push_back(service.id);
    tables_.services.erase(found);
  }
}

// Packets may still be looking at a set until the grace is over.
void Reconciler::sweep_ranges() {
  for (const auto id : std::exchange(unnamed_, {})) {
    const auto found = tables_.ranges.find(id);
    for (const auto& range : found->second)
      work_.drop_ranges.emplace_back(DeleteRange{range_key(id, range)});
    released_.ranges += found->second.size();
    released_.range_ids.push_back(id);
    if (const auto at = range_sets_.find(found->second); at->second == id) range_sets_.erase(at);
    tables_.ranges.erase(found);
  }
}

}  // namespace weir
