// SPDX-License-Identifier: Apache-2.0
#include "unit/plan/simulated_kernel.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

namespace weir::test {
namespace {

bool alive(const weir_backend& backend) {
  return backend.state == WEIR_BACKEND_ACTIVE || backend.state == WEIR_BACKEND_TERMINATING;
}

BackendIdentity identity_of(const weir_backend& backend) {
  return {Address{backend.addr}, ntohs(backend.port)};
}

// The prefix counts the 32 bits of the set, and of an IPv4 address the 96 in front of it.
Cidr range_in(const weir_range_key& key) {
  const Address base{key.addr};
  const auto before = base.family() == Family::ipv4 ? 128U : 32U;
  return {base, static_cast<std::uint8_t>(key.prefix - before)};
}

}  // namespace

ServiceIdentity identity_of(const weir_name& name) {
  return {std::string{name.text}, Protocol{name.proto}, Family{name.family}};
}

void SimulatedKernel::need(bool good, std::string_view what, std::uint32_t index) {
  if (!good && faults_.size() < 10) faults_.push_back(fmt::format("{} ({})", what, index));
}

void SimulatedKernel::execute(const std::vector<Operation>& operations, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    std::visit([this](const auto& op) { apply(op); }, operations[i]);
    check();
  }
  if (count < operations.size()) return;
  need(!unseen_, "backends went, but the epoch is what it was before");
  need(!ungraced_, "no grace at the end");
  for (std::size_t i = 0; i + 1 < count; ++i)
    need(!std::holds_alternative<Grace>(operations[i]) ||
             std::holds_alternative<DeleteRange>(operations[i + 1]),
         "grace before the end");
}

void SimulatedKernel::restart() {
  apply(Grace{});
  cleared_.clear();
  unseen_ = false;
}

void SimulatedKernel::apply(const PutBackend& op) {
  const weir_backend value = op.value;
  need(op.index > 0 && op.index < limits_.backends, "backend outside the table", op.index);
  const auto old = backends_.find(op.index);
  need(old == backends_.end() || old->second.state == WEIR_BACKEND_FREE, "backend in use",
       op.index);
  need(!cooling_backends_.contains(op.index), "backend given out before the grace", op.index);
  const std::uint32_t generation = old == backends_.end() ? 0 : old->second.generation;
  need(value.generation == generation + 1, "generation of a backend", op.index);
  need(names_.contains(value.service), "backend of a nameless service", op.index);
  need(alive(op.value), "backend that is not alive from the start", op.index);
  need(value.live == 0 && value.packets == 0, "backend with a past", op.index);
  if (names_.contains(value.service))
    need(value.proto == names_.at(value.service).proto, "protocol of a backend", op.index);
  backends_[op.index] = value;
}

void SimulatedKernel::apply(const SetBackendState& op) {
  auto& backend = backends_[op.index];
  need(backend.state != WEIR_BACKEND_FREE, "state of a free backend", op.index);
  need(backend.state != op.state, "state that it has already", op.index);
  if (op.state == WEIR_BACKEND_FREE) {
    need(backend.state == WEIR_BACKEND_GONE, "freed without being gone", op.index);
    need(!cooling_backends_.contains(op.index), "freed within the grace of going", op.index);
    cooling_backends_.insert(op.index);
    ungraced_ = true;
  }
  if (op.state == WEIR_BACKEND_GONE) {
    cooling_backends_.insert(op.index);
    unseen_ = ungraced_ = true;
  }
  backend.state = static_cast<std::uint8_t>(op.state);
}

void SimulatedKernel::apply(const SetBackendFlags& op) {
  auto& backend = backends_[op.index];
  need(backend.state != WEIR_BACKEND_FREE, "flags of a free backend", op.index);
  need(backend.flags != op.flags, "flags that it has already", op.index);
  backend.flags = op.flags;
}

void SimulatedKernel::apply(const PutSlots& op) {
  auto index = op.first;
  for (const auto backend : *op.backends) put_slot(index++, backend);
}

void SimulatedKernel::put_slot(std::uint32_t index, std::uint32_t backend) {
  need(index < limits_.slots, "slot outside the table", index);
  need(backend != 0, "slot without a backend", index);
  need(!cooling_slots_.contains(index), "slot given out before the grace", index);
  for (const auto& [id, version] : published_)
    for (const auto& list : {versions_[version].cluster, versions_[version].local})
      need(index < list.first || index >= list.first + list.count, "slot in use", index);
  slots_[index] = backend;
}

void SimulatedKernel::apply(const PutVersion& op) {
  need(op.index > 0 && op.index < 2 * limits_.services, "version outside the table", op.index);
  need(!cooling_versions_.contains(op.index), "version given out before the grace", op.index);
  for (const auto& [id, version] : published_)
    need(version != op.index, "version in use", op.index);
  versions_[op.index] = *op.value;
}

void SimulatedKernel::apply(const Publish& op) {
  const std::uint32_t old = published_.contains(op.service) ? published_[op.service] : 0;
  need(old != op.version, "published twice", op.service);
  if (old != 0) {
    cooling_versions_.insert(old);
    cooling_ranges_.insert(versions_[old].ranges);
    for (const auto& list : {versions_[old].cluster, versions_[old].local})
      for (std::uint32_t i = 0; i < list.count; ++i) cooling_slots_.insert(list.first + i);
    if (op.version != 0)
      need(versions_[op.version].generation == versions_[old].generation + 1,
           "generation of a service", op.service);
  }
  ungraced_ = true;
  if (op.version == 0) {
    published_.erase(op.service);
    unseen_ = true;
  } else {
    published_[op.service] = op.version;
  }
}

void SimulatedKernel::apply(const PutName& op) {
  need(op.service > 0 && op.service < limits_.services, "id outside the table", op.service);
  if (!names_.contains(op.service)) {
    need(!cooling_ids_.contains(op.service), "id given out before the grace", op.service);
    need(cleared_.erase(op.service) == 1, "id with old statistics", op.service);
  } else {
    need(identity_of(names_.at(op.service)) == identity_of(*op.value), "id of another", op.service);
  }
  names_[op.service] = *op.value;
}

void SimulatedKernel::apply(const DeleteName& op) {
  need(names_.erase(op.service) == 1, "no such name", op.service);
  need(!published_.contains(op.service), "name of a published service deleted", op.service);
  for (const auto& [index, backend] : backends_)
    need(backend.service != op.service || backend.state == WEIR_BACKEND_FREE,
         "name deleted before its backends", op.service);
  cooling_ids_.insert(op.service);
  ungraced_ = true;
}

void SimulatedKernel::apply(const PutAddress& op) {
  need(op.value.bits != 0, "address without bits");
  need(!addresses_.contains(op.key) || addresses_[op.key] != op.value.bits, "address unchanged");
  addresses_[op.key] = op.value.bits;
}

void SimulatedKernel::apply(const DeleteAddress& op) {
  need(addresses_.erase(op.key) == 1, "no such address");
}

void SimulatedKernel::apply(const PutFrontend& op) {
  need(!frontends_.contains(op.key) || frontends_[op.key] != op.value, "frontend unchanged");
  if (frontends_.contains(op.key) && frontends_[op.key].id != op.value.id) unseen_ = true;
  frontends_[op.key] = op.value;
}

void SimulatedKernel::apply(const DeleteFrontend& op) {
  need(frontends_.erase(op.key) == 1, "no such frontend");
  unseen_ = true;
}

void SimulatedKernel::apply(const PutRange& op) {
  need(op.key.set != 0 && op.key.prefix > 32 && op.key.prefix <= 160, "range", op.key.set);
  need(!cooling_ranges_.contains(op.key.set), "set changed before the grace", op.key.set);
  for (const auto& [id, version] : published_)
    need(versions_[version].ranges != op.key.set, "set in use changed", op.key.set);
  need(ranges_[op.key.set].insert(range_in(op.key)).second, "range twice", op.key.set);
}

void SimulatedKernel::apply(const DeleteRange& op) {
  need(!cooling_ranges_.contains(op.key.set), "set deleted before the grace", op.key.set);
  for (const auto& [id, version] : published_)
    need(versions_[version].ranges != op.key.set, "set in use deleted", op.key.set);
  auto& set = ranges_[op.key.set];
  need(set.erase(range_in(op.key)) == 1, "no such range", op.key.set);
  if (set.empty()) ranges_.erase(op.key.set);
}

void SimulatedKernel::apply(const SetEpoch& op) {
  need(op.epoch == epoch_ + 1, "epoch", op.epoch);
  need(unseen_, "new epoch, but nothing went", op.epoch);
  epoch_ = op.epoch;
  unseen_ = false;
}

void SimulatedKernel::apply(const ClearStat& op) {
  need(!names_.contains(op.service), "statistics of a live service cleared", op.service);
  cleared_.insert(op.service);
}

void SimulatedKernel::apply(const Grace&) {
  cooling_backends_.clear();
  cooling_slots_.clear();
  cooling_versions_.clear();
  cooling_ids_.clear();
  cooling_ranges_.clear();
  ungraced_ = false;
}

// What has to hold at every moment.
void SimulatedKernel::check() {
  for (const auto& [id, version] : published_) {
    need(versions_.contains(version) && versions_[version].service == id, "foreign version", id);
    need(names_.contains(id), "nameless service", id);
    check_list(id, versions_[version].cluster);
    check_list(id, versions_[version].local);
    need(versions_[version].ranges == 0 || ranges_.contains(versions_[version].ranges),
         "set of ranges that is not there", id);
  }
  std::set<weir_addr> service_addresses;
  for (const auto& [key, value] : frontends_) {
    need(published_.contains(value.id), "frontend of no service", value.id);
    if (value.frontend != WEIR_FRONTEND_NODE_PORT) service_addresses.insert(key.addr);
  }
  for (const auto& [address, bits] : addresses_)
    need((bits & WEIR_ADDRESS_SERVICE) == 0 || service_addresses.contains(address),
         "service address without a frontend");
  for (const auto& [index, backend] : backends_)
    if (backend.state == WEIR_BACKEND_GONE)
      need(addresses_.contains(backend.addr) &&
               (addresses_.at(backend.addr) & WEIR_ADDRESS_BACKEND) != 0,
           "replies of a gone backend are not looked at", index);
  check_limits();
}

void SimulatedKernel::check_list(std::uint32_t id, const weir_list& list) {
  for (std::uint32_t i = list.first; i < list.first + list.count; ++i) {
    need(slots_.contains(i), "slot never written", i);
    need(i == list.first || slots_[i - 1] < slots_[i], "slots not in order", i);
    const auto backend = backends_.find(slots_[i]);
    need(backend != backends_.end(), "slot of no backend", i);
    if (backend == backends_.end()) continue;
    need(alive(backend->second), "dead backend in a list", slots_[i]);
    need(backend->second.service == id, "another service's backend in a list", slots_[i]);
    need(addresses_.contains(backend->second.addr) &&
             (addresses_.at(backend->second.addr) & WEIR_ADDRESS_BACKEND) != 0,
         "replies of a backend are not looked at", slots_[i]);
  }
}

void SimulatedKernel::check_limits() {
  need(frontends_.size() <= limits_.frontends, "too many frontends");
  need(addresses_.size() <= limits_.addresses, "too many addresses");
  std::size_t ranges = 0;
  for (const auto& [id, set] : ranges_) ranges += set.size();
  need(ranges <= limits_.ranges, "too many ranges");
}

ProgrammedTables SimulatedKernel::adopt() const {
  ProgrammedTables tables;
  tables.epoch = epoch_;
  tables.addresses = addresses_;
  for (const auto& [id, set] : ranges_) tables.ranges[id] = {set.begin(), set.end()};
  std::map<std::uint32_t, ProgrammedService*> by_id;
  for (const auto& [id, name] : names_) {
    auto& service = tables.services[identity_of(name)];
    by_id[id] = &service;
    service.id = id;
    service.name = name;
    if (!published_.contains(id)) continue;
    service.version_index = published_.at(id);
    service.version = versions_.at(service.version_index);
    const auto read = [&](const weir_list& list, std::vector<std::uint32_t>& into) {
      for (std::uint32_t i = 0; i < list.count; ++i) into.push_back(slots_.at(list.first + i));
    };
    read(service.version.cluster, service.cluster);
    read(service.version.local, service.local);
  }
  for (const auto& [index, backend] : backends_) {
    tables.generations[index] = backend.generation;
    if (backend.state == WEIR_BACKEND_FREE) continue;
    by_id.at(backend.service)->backends[identity_of(backend)] = index;
    tables.backends.insert_or_assign(
        index, ProgrammedBackend{identity_of(names_.at(backend.service)), identity_of(backend),
                                 static_cast<weir_backend_state>(backend.state), backend.flags,
                                 backend.generation});
  }
  for (const auto& [key, value] : frontends_)
    by_id.at(value.id)->frontends[key] = static_cast<weir_frontend>(value.frontend);
  return tables;
}

std::uint32_t SimulatedKernel::id_of(const ServiceIdentity& identity) const {
  for (const auto& [id, name] : names_)
    if (identity_of(name) == identity) return id;
  return 0;
}

std::vector<BackendIdentity> SimulatedKernel::list_of(const weir_list& list) const {
  std::vector<BackendIdentity> made;
  for (std::uint32_t i = 0; i < list.count; ++i)
    made.push_back(identity_of(backends_.at(slots_.at(list.first + i))));
  std::ranges::sort(made);
  return made;
}

void SimulatedKernel::compare(const WantedTables& wanted,
                              const std::set<ServiceIdentity>& refused) {
  for (const auto& [identity, want] : wanted.services)
    if (!refused.contains(identity)) compare_service(identity, want);
  for (const auto& [id, version] : published_)
    need(wanted.services.contains(identity_of(names_.at(id))), "service not withdrawn", id);
  if (refused.empty()) compare_addresses(wanted);
  std::set<std::uint32_t> named;
  for (const auto& [id, version] : published_) named.insert(versions_.at(version).ranges);
  for (const auto& [id, set] : ranges_) need(named.contains(id), "set that nobody names", id);
}

void SimulatedKernel::compare_service(const ServiceIdentity& identity, const WantedService& want) {
  const std::uint32_t id = id_of(identity);
  need(id != 0 && published_.contains(id), "service is missing");
  if (id == 0 || !published_.contains(id)) return;
  const weir_version& version = versions_.at(published_.at(id));
  need(version.flags == want.flags, "flags", id);
  need(version.affinity == want.affinity, "affinity", id);
  const auto set = ranges_.find(version.ranges);
  const std::set<Cidr> ranges = set == ranges_.end() ? std::set<Cidr>{} : set->second;
  need((version.ranges == 0) == want.ranges.empty() &&
           ranges == std::set<Cidr>(want.ranges.begin(), want.ranges.end()),
       "source ranges", id);
  need(list_of(version.cluster) == want.cluster, "cluster list", id);
  need(list_of(version.local) == want.local, "local list", id);
  need(want.cluster != want.local || version.cluster.first == version.local.first,
       "equal lists do not share slots", id);
  need(names_.at(id).type == want.type && ntohs(names_.at(id).port) == want.port, "name", id);

  std::map<weir_service_key, weir_frontend> frontends;
  for (const auto& [key, value] : frontends_)
    if (value.id == id) frontends[key] = static_cast<weir_frontend>(value.frontend);
  need(frontends == want.frontends, "frontends", id);

  std::map<BackendIdentity, WantedBackend> backends;
  for (const auto& [index, backend] : backends_)
    if (backend.service == id && alive(backend))
      backends[identity_of(backend)] = {backend.state == WEIR_BACKEND_TERMINATING,
                                        (backend.flags & WEIR_BACKEND_LOCAL) != 0,
                                        (backend.flags & WEIR_BACKEND_RESET) != 0};
  need(backends == want.backends, "backends", id);
}

void SimulatedKernel::compare_addresses(const WantedTables& wanted) {
  auto expected = wanted.addresses;
  for (const auto& [index, backend] : backends_) {
    if (backend.state == WEIR_BACKEND_FREE) continue;
    auto& bits = expected[backend.addr];
    bits |= WEIR_ADDRESS_BACKEND;
    if ((backend.flags & WEIR_BACKEND_LOCAL) != 0) bits |= WEIR_ADDRESS_LOCAL;
  }
  // What a service gave up may stay known while there are flows.
  auto known = addresses_;
  for (auto at = known.begin(); at != known.end();) {
    at->second &= ~std::uint32_t{WEIR_ADDRESS_PAST};
    at = at->second == 0 ? known.erase(at) : std::next(at);
  }
  need(known == expected, "addresses");
}

}  // namespace weir::test
