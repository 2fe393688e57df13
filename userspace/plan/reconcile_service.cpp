// SPDX-License-Identifier: Apache-2.0
// One service: whether what it wants fits, and the writes that give it that.
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "plan/reconciler.hpp"

namespace weir {
namespace {

std::string full(std::string_view table, std::uint32_t size, std::string_view option) {
  return fmt::format("{}: table of {} is full ({})", table, size, option);
}

weir_name name_of(const ServiceIdentity& identity, const WantedService& want) {
  weir_name name{};
  std::memcpy(name.text, identity.text.data(), identity.text.size());
  name.port = htons(want.port);
  name.proto = static_cast<std::uint8_t>(identity.protocol);
  name.family = static_cast<std::uint8_t>(identity.family);
  name.type = static_cast<std::uint8_t>(want.type);
  return name;
}

weir_backend_state state_of(const WantedBackend& backend) {
  return backend.terminating ? WEIR_BACKEND_TERMINATING : WEIR_BACKEND_ACTIVE;
}

weir_list range(std::uint32_t first, std::size_t count) {
  return {.first = first, .count = static_cast<std::uint32_t>(count)};
}

// Whether the slots of `programmed` already say what `list` wants.
bool holds(const ProgrammedService& service, const std::vector<std::uint32_t>& programmed,
           const std::vector<BackendIdentity>& list) {
  return programmed.size() == list.size() && std::ranges::all_of(list, [&](const auto& identity) {
           const auto found = service.backends.find(identity);
           return found != service.backends.end() &&
                  std::ranges::binary_search(programmed, found->second);
         });
}

// The range that has the list already, if one of the two has.
std::optional<weir_list> kept(const ProgrammedService* old,
                              const std::vector<BackendIdentity>& list) {
  if (list.empty()) return weir_list{};
  if (old == nullptr) return std::nullopt;
  if (holds(*old, old->cluster, list)) return old->version.cluster;
  if (holds(*old, old->local, list)) return old->version.local;
  return std::nullopt;
}

// In the order of struct weir_list.
std::vector<std::uint32_t> indexes_of(const ProgrammedService& service,
                                      const std::vector<BackendIdentity>& list) {
  std::vector<std::uint32_t> indexes;
  indexes.reserve(list.size());
  for (const auto& identity : list) indexes.push_back(service.backends.at(identity));
  std::ranges::sort(indexes);
  return indexes;
}

std::uint32_t flags_of(const WantedBackend& backend) {
  std::uint32_t flags = 0;
  if (backend.local) flags |= WEIR_BACKEND_LOCAL;
  if (backend.reset) flags |= WEIR_BACKEND_RESET;
  return flags;
}

}  // namespace

void Reconciler::update(const ServiceIdentity& identity, const WantedService& want) {
  Draft plan = draft(identity, want);
  auto reason = lacking(plan);
  if (!reason && !take_slots(plan)) {
    const auto most = std::max(want.cluster.size(), want.local.size());
    reason = fmt::format("slots: no {} in a row are free in the table of {} (--max-slots)", most,
                         limits_.slots);
  }
  if (!reason && !take_ranges(plan)) {
    give_back_slots(plan);
    reason = full("source ranges", limits_.ranges, "fixed size");
  }
  if (!reason) return commit(plan);
  work_.refused.push_back({identity, std::move(*reason)});
  if (plan.old != nullptr) work_.left_alone.insert(identity);
}

Reconciler::Draft Reconciler::draft(const ServiceIdentity& identity, const WantedService& want) {
  const auto found = tables_.services.find(identity);
  ProgrammedService* old = found == tables_.services.end() ? nullptr : &found->second;
  Draft draft{.identity = identity, .want = want, .old = old};
  for (const auto& [backend, unused] : want.backends)
    if (old == nullptr || !old->backends.contains(backend)) draft.new_backends.push_back(backend);
  if (old == nullptr || old->frontends != want.frontends) {
    draft.new_frontends =
        static_cast<std::size_t>(std::ranges::count_if(want.frontends, [&](const auto& frontend) {
          return !frontends_.contains(frontend.first);
        }));
  }
  count_new_addresses(draft);
  return draft;
}

void Reconciler::count_new_addresses(Draft& draft) const {
  auto& fresh = draft.new_addresses;
  const auto count = [&](const weir_addr& address) {
    if (!uses_.contains(address) && !tables_.addresses.contains(address)) fresh.push_back(address);
  };
  for (const auto& backend : draft.new_backends) count(backend.address.raw());
  for (const auto& [key, kind] : draft.want.frontends)
    if (kind != WEIR_FRONTEND_NODE_PORT) count(key.addr);
  std::ranges::sort(fresh);
  const auto rest = std::ranges::unique(fresh);
  fresh.erase(rest.begin(), rest.end());
}

std::optional<std::string> Reconciler::lacking(const Draft& draft) const {
  // One byte stays zero, so that whoever reads the table finds the end.
  if (draft.identity.text.size() >= WEIR_NAME_MAX)
    return fmt::format("name: longer than {} bytes", WEIR_NAME_MAX - 1);
  if (draft.old == nullptr && ids_.left() == 0)
    return full("services", limits_.services, "--max-services");
  if (draft.new_backends.size() > backends_.left())
    return full("backends", limits_.backends, "--max-backends");
  if (draft.new_frontends > 0 &&
      frontends_.size() + work_.new_frontends + draft.new_frontends > limits_.frontends)
    return full("frontends", limits_.frontends, "fixed size");
  const auto addresses = tables_.addresses.size() + new_addresses_ + draft.new_addresses.size();
  if (!draft.new_addresses.empty() && addresses > limits_.addresses)
    return full("addresses", limits_.addresses, "fixed size");
  if (versions_.left() == 0) return full("versions", 2 * limits_.services, "--max-services");
  return std::nullopt;
}

bool Reconciler::take_slots(Draft& draft) {
  const auto place = [&](const std::vector<BackendIdentity>& list, weir_list& at, bool& put) {
    if (const auto range_kept = kept(draft.old, list)) {
      at = *range_kept;
      return true;
    }
    const auto first = slots_.take(static_cast<std::uint32_t>(list.size()));
    if (!first) return false;
    at = range(*first, list.size());
    put = true;
    return true;
  };
  if (!place(draft.want.cluster, draft.cluster, draft.put_cluster)) return false;
  if (draft.want.local == draft.want.cluster) {
    draft.local = draft.cluster;
    return true;
  }
  if (place(draft.want.local, draft.local, draft.put_local)) return true;
  give_back_slots(draft);
  return false;
}

void Reconciler::give_back_slots(const Draft& draft) {
  if (draft.put_cluster) slots_.give_back(draft.cluster.first, draft.cluster.count);
  if (draft.put_local) slots_.give_back(draft.local.first, draft.local.count);
}

// Services with the same ranges share a set; a set that some version names is never changed.
bool Reconciler::take_ranges(Draft& draft) {
  const RangeSet& want = draft.want.ranges;
  if (want.empty()) return true;
  if (const auto found = range_sets_.find(want); found != range_sets_.end()) {
    draft.ranges = found->second;
    return true;
  }
  if (ranges_used_ + want.size() > limits_.ranges) return false;
  ranges_used_ += want.size();
  draft.ranges = range_ids_.take();
  range_sets_.emplace(want, draft.ranges);
  tables_.ranges.emplace(draft.ranges, want);
  unnamed_.insert(draft.ranges);
  for (const auto& range : want) emit(kPrepare, PutRange{range_key(draft.ranges, range)});
  return true;
}

void Reconciler::commit(const Draft& draft) {
  work_.new_frontends += draft.new_frontends;
  for (const auto& address : draft.new_addresses) uses(address);
  ProgrammedService& service = draft.old == nullptr ? admit(draft) : *draft.old;
  if (const auto name = name_of(draft.identity, draft.want); name != service.name) {
    service.name = name;
    emit(kPrepare, PutName{service.id, name});
  }
  put_backends(draft, service);
  put_version(draft, service);
  if (service.frontends == draft.want.frontends) return;
  for (const auto& [key, kind] : service.frontends) work_.frontends.insert(key);
  for (const auto& [key, kind] : draft.want.frontends) work_.frontends.insert(key);
  service.frontends = draft.want.frontends;
}

ProgrammedService& Reconciler::admit(const Draft& draft) {
  auto& service = tables_.services[draft.identity];
  service.id = ids_.take();
  emit(kPrepare, ClearStat{service.id});
  return service;
}

void Reconciler::put_backends(const Draft& draft, ProgrammedService& service) {
  const SharedIdentity shared{draft.identity};
  for (const auto& identity : draft.new_backends) add_backend(draft, service, identity, shared);
  if (draft.new_backends.size() == draft.want.backends.size()) return;
  // Those that were there, whatever had become of them, go on in place.
  for (const auto& [identity, want] : draft.want.backends) {
    const std::uint32_t index = service.backends.at(identity);
    auto& backend = tables_.backends.at(index);
    if (backend.flags != flags_of(want)) emit(kPrepare, SetBackendFlags{index, flags_of(want)});
    if (backend.state != state_of(want)) emit(kPrepare, SetBackendState{index, state_of(want)});
    const bool local = (backend.flags & WEIR_BACKEND_LOCAL) != 0;
    if (local && !want.local) --uses(identity.address.raw()).local;
    if (!local && want.local) ++uses(identity.address.raw()).local;
    backend.flags = flags_of(want);
    backend.state = state_of(want);
  }
}

void Reconciler::add_backend(const Draft& draft, ProgrammedService& service,
                             const BackendIdentity& identity, const SharedIdentity& shared) {
  const auto& want = draft.want.backends.at(identity);
  const std::uint32_t index = backends_.take();
  const std::uint32_t generation = ++tables_.generations[index];
  service.backends.emplace_hint(service.backends.end(), identity, index);
  // At a first start, each index is the largest so far.
  tables_.backends.emplace_hint(
      tables_.backends.end(), index,
      ProgrammedBackend{shared, identity, state_of(want), flags_of(want), generation});
  auto& at = uses(identity.address.raw());
  ++at.backends;
  if (want.local) ++at.local;
  emit(kPrepare, PutBackend{index,
                            {.addr = identity.address.raw(),
                             .port = htons(identity.port),
                             .proto = static_cast<std::uint8_t>(draft.identity.protocol),
                             .state = static_cast<std::uint8_t>(state_of(want)),
                             .generation = generation,
                             .service = service.id,
                             .flags = flags_of(want)}});
}

void Reconciler::put_version(const Draft& draft, ProgrammedService& service) {
  const weir_version& old = service.version;
  weir_version version{};
  version.cluster = draft.cluster;
  version.local = draft.local;
  version.service = service.id;
  version.generation = old.generation;
  version.flags = draft.want.flags;
  version.affinity = draft.want.affinity;
  version.ranges = draft.ranges;
  if (service.version_index != 0 && version == old) return;
  service.cluster = indexes_of(service, draft.want.cluster);
  service.local = indexes_of(service, draft.want.local);
  if (draft.put_cluster) put_slots(draft.cluster, service.cluster);
  if (draft.put_local) put_slots(draft.local, service.local);
  version.generation = old.generation + 1;
  leave_version(service, version);
  service.version = version;
  service.version_index = versions_.take();
  emit(kPrepare, PutVersion{service.version_index, version});
  emit(kPublish, Publish{service.id, service.version_index});
}

// What the version in force has, and the next one has not.
void Reconciler::leave_version(const ProgrammedService& service, const weir_version& next) {
  const weir_version& old = service.version;
  if (service.version_index != 0) released_.versions.push_back(service.version_index);
  const auto same = [](const weir_list& a, const weir_list& b) {
    return a.first == b.first && a.count == b.count;
  };
  const auto leave = [&](const weir_list& list) {
    if (list.count > 0 && !same(list, next.cluster) && !same(list, next.local))
      released_.slots.push_back(list);
  };
  leave(old.cluster);
  if (!same(old.cluster, old.local)) leave(old.local);
  if (old.ranges != 0 && --named_[old.ranges] == 0) unnamed_.insert(old.ranges);
  if (next.ranges != 0 && ++named_[next.ranges] == 1) unnamed_.erase(next.ranges);
}

void Reconciler::put_slots(const weir_list& list, const std::vector<std::uint32_t>& indexes) {
  if (list.count > 0) emit(kPrepare, PutSlots{list.first, indexes});
}

}  // namespace weir
