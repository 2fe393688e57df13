// SPDX-License-Identifier: Apache-2.0
#include "kernel/tables.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <span>

#include "base/log.hpp"
#include "kernel/grace.hpp"

namespace weir::kernel {

// One overload an operation.
struct Executor {
  Tables& tables;

  // Index and key were checked against the sizes by reconcile(), which knows them from the same
  // options as the maps.
  Result<> operator()(const PutBackend& op) const {
    weir_backend& at = tables.backend_[op.index];
    at = op.value;
    return {};
  }
  Result<> operator()(const SetBackendState& op) const {
    std::atomic_ref<__u8>{tables.backend_[op.index].state}.store(static_cast<__u8>(op.state),
                                                                 std::memory_order_release);
    return {};
  }
  Result<> operator()(const SetBackendFlags& op) const {
    std::atomic_ref<__u32>{tables.backend_[op.index].flags}.store(op.flags,
                                                                  std::memory_order_release);
    return {};
  }
  Result<> operator()(const PutSlots& op) const {
    auto index = op.first;
    for (const auto backend : *op.backends)
      tables.slot_[index++] = weir_slot{.backend = backend, .zero = 0};
    return {};
  }
  Result<> operator()(const PutVersion& op) const {
    tables.version_[op.index] = *op.value;
    return {};
  }
  Result<> operator()(const Publish& op) const {
    // Everything that the version names was stored before, and is seen before.
    std::atomic_ref<__u32>{tables.current_[op.service]}.store(op.version,
                                                              std::memory_order_release);
    return {};
  }
  Result<> operator()(const PutName& op) const { return tables.name_.put(op.service, *op.value); }
  Result<> operator()(const DeleteName& op) const { return tables.name_.erase(op.service); }
  Result<> operator()(const PutAddress& op) const {
    tables.filter_.add(op.key, op.value.bits);
    return tables.address_.put(op.key, op.value);
  }
  Result<> operator()(const DeleteAddress& op) const {
    tables.filter_.removed();
    return tables.address_.erase(op.key);
  }
  Result<> operator()(const PutFrontend& op) const {
    tables.know_port_of(op.key);
    return tables.service_.put(op.key, op.value);
  }
  Result<> operator()(const DeleteFrontend& op) const { return tables.service_.erase(op.key); }
  Result<> operator()(const PutRange& op) const { return tables.source_range_.put(op.key, 1); }
  Result<> operator()(const DeleteRange& op) const { return tables.source_range_.erase(op.key); }
  Result<> operator()(const SetEpoch& op) const {
    std::atomic_ref<__u32>{tables.config_[0].epoch}.store(op.epoch, std::memory_order_release);
    return {};
  }
  Result<> operator()(const ClearStat& op) const {
    tables.stat_[op.service] = weir_stat{};
    return {};
  }
  Result<> operator()(const Grace&) const {
    wait_for_running_programs();
    return {};
  }
};

Result<std::map<std::uint32_t, RangeSet>> read_range_sets(
    const Map<weir_range_key, __u32>& source_range) {
  std::map<std::uint32_t, RangeSet> sets;
  auto walked = source_range.for_each([&](const weir_range_key& key, const __u32&) {
    if (const auto range = range_of(key)) sets[key.set].push_back(*range);
  });
  if (!walked) return std::unexpected{std::move(walked.error())};
  for (auto& [id, set] : sets) std::ranges::sort(set);
  return sets;
}

Result<Tables> Tables::open(const Pins& pins) {
  auto current = MappedArray<__u32>::open(pins, "weir_current", true);
  if (!current) return std::unexpected{std::move(current.error())};
  auto version = MappedArray<weir_version>::open(pins, "weir_version", true);
  if (!version) return std::unexpected{std::move(version.error())};
  auto slot = MappedArray<weir_slot>::open(pins, "weir_slot", true);
  if (!slot) return std::unexpected{std::move(slot.error())};
  auto backend = MappedArray<weir_backend>::open(pins, "weir_backend", true);
  if (!backend) return std::unexpected{std::move(backend.error())};
  auto stat = MappedArray<weir_stat>::open(pins, "weir_stat", true);
  if (!stat) return std::unexpected{std::move(stat.error())};
  auto config = MappedArray<weir_config>::open(pins, "weir_config", true);
  if (!config) return std::unexpected{std::move(config.error())};
  auto address = Map<weir_addr, weir_address>::open(pins, "weir_address");
  if (!address) return std::unexpected{std::move(address.error())};
  auto service = Map<weir_service_key, weir_service>::open(pins, "weir_service");
  if (!service) return std::unexpected{std::move(service.error())};
  auto name = Map<__u32, weir_name>::open(pins, "weir_name");
  if (!name) return std::unexpected{std::move(name.error())};
  auto source_range = Map<weir_range_key, __u32>::open(pins, "weir_source_range");
  if (!source_range) return std::unexpected{std::move(source_range.error())};
  auto filter = AddressFilter::open(pins);
  if (!filter) return std::unexpected{std::move(filter.error())};
  auto ports = KnownPorts::open(pins);
  if (!ports) return std::unexpected{std::move(ports.error())};
  return Tables{std::move(*current),      std::move(*version), std::move(*slot),
                std::move(*backend),      std::move(*stat),    std::move(*config),
                std::move(*address),      std::move(*service), std::move(*name),
                std::move(*source_range), std::move(*filter),  std::move(*ports)};
}

// Node ports are kept under the unspecified address of their family.
void Tables::know_port_of(const weir_service_key& frontend) {
  if (Address{frontend.addr}.is_unspecified()) ports_.add(ntohs(frontend.port));
}

std::vector<std::uint32_t> Tables::backends_in(const weir_list& list) const {
  std::vector<std::uint32_t> backends;
  for (std::uint32_t i = 0; i < list.count && list.first + i < slot_.size(); ++i)
    backends.push_back(slot_[list.first + i].backend);
  return backends;
}

Result<> Tables::adopt_names(ProgrammedTables& tables,
                             std::map<std::uint32_t, ServiceIdentity>& ids) {
  return name_.for_each([&](const __u32& id, const weir_name& name) {
    if (id == 0 || id >= current_.size()) return;
    const ServiceIdentity identity{
        .text = std::string{name.text, strnlen(name.text, sizeof name.text)},
        .protocol = static_cast<Protocol>(name.proto),
        .family = static_cast<Family>(name.family)};
    ProgrammedService service;
    service.id = id;
    service.name = name;
    service.version_index = current_[id];
    if (service.version_index != 0 && service.version_index < version_.size()) {
      service.version = version_[service.version_index];
      service.cluster = backends_in(service.version.cluster);
      service.local = backends_in(service.version.local);
    }
    ids.emplace(id, identity);
    tables.services.emplace(identity, std::move(service));
  });
}

Result<> Tables::adopt_frontends(ProgrammedTables& tables,
                                 const std::map<std::uint32_t, ServiceIdentity>& ids) {
  std::vector<weir_service_key> orphans;
  auto walked = service_.for_each([&](const weir_service_key& key, const weir_service& value) {
    const auto found = ids.find(value.id);
    if (found == ids.end()) {
      orphans.push_back(key);
      return;
    }
    know_port_of(key);
    tables.services[found->second].frontends.emplace(key,
                                                     static_cast<weir_frontend>(value.frontend));
  });
  if (!walked) return walked;
  for (const auto& key : orphans) {
    log::info("adopt: frontend {} of no service removed",
              endpoint_text(Address{key.addr}, ntohs(key.port)));
    if (auto ok = service_.erase(key); !ok) return ok;
  }
  return {};
}

void Tables::adopt_backends(ProgrammedTables& tables,
                            const std::map<std::uint32_t, ServiceIdentity>& ids) {
  for (std::uint32_t index = 1; index < backend_.size(); ++index) {
    weir_backend& entry = backend_[index];
    if (entry.generation != 0) tables.generations[index] = entry.generation;
    if (entry.state == WEIR_BACKEND_FREE) continue;
    const auto found = ids.find(entry.service);
    if (found == ids.end()) {  // put, and then the agent died before its service was named
      log::info("adopt: backend {} of no service freed", index);
      entry.state = WEIR_BACKEND_FREE;
      continue;
    }
    ProgrammedBackend backend{
        .service = found->second,
        .identity = {.address = Address{entry.addr}, .port = ntohs(entry.port)},
        .state = static_cast<weir_backend_state>(entry.state),
        .flags = entry.flags,
        .generation = entry.generation};
    tables.services[found->second].backends.emplace(backend.identity, index);
    tables.backends.emplace(index, std::move(backend));
  }
}

Result<ProgrammedTables> Tables::adopt() {
  if (auto all =
          reach({.backends = backend_.size(), .slots = slot_.size(), .versions = version_.size()});
      !all)
    return std::unexpected{std::move(all.error())};
  ProgrammedTables tables;
  std::map<std::uint32_t, ServiceIdentity> ids;
  tables.epoch = config_[0].epoch;
  if (auto ok = adopt_names(tables, ids); !ok) return std::unexpected{std::move(ok.error())};
  if (auto ok = adopt_frontends(tables, ids); !ok) return std::unexpected{std::move(ok.error())};
  auto ranges = read_range_sets(source_range_);
  if (!ranges) return std::unexpected{std::move(ranges.error())};
  tables.ranges = std::move(*ranges);
  adopt_backends(tables, ids);
  auto walked = address_.for_each([&](const weir_addr& key, const weir_address& value) {
    tables.addresses.emplace(key, value.bits);
  });
  if (!walked) return std::unexpected{std::move(walked.error())};
  if (auto ok = filter_.rebuild(address_); !ok) return std::unexpected{std::move(ok.error())};
  for (const auto& range : config_[0].source_ports) ports_.add(range);
  if (auto some = keep_in_reach(tables); !some) return std::unexpected{std::move(some.error())};
  return tables;
}

// No more of the large arrays than what is in use: a node of a few services has some kilobytes.
Result<> Tables::keep_in_reach(const ProgrammedTables& tables) {
  Reach used;
  if (!tables.backends.empty()) used.backends = tables.backends.rbegin()->first + 1;
  for (const auto& [identity, service] : tables.services) {
    used.versions = std::max(used.versions, service.version_index + 1);
    for (const auto& list : {service.version.cluster, service.version.local})
      used.slots = std::max(used.slots, list.first + list.count);
  }
  if (auto ok = backend_.window(used.backends); !ok) return ok;
  if (auto ok = slot_.window(used.slots); !ok) return ok;
  return version_.window(used.versions);
}

// Windows grow by half, so that a table that fills up is not mapped again and again.
Result<> Tables::reach(const Reach& wanted) {
  const auto grow = [](auto& array, std::uint32_t count) -> Result<> {
    if (count <= array.mapped()) return {};
    return array.window(std::max(count, array.mapped() + array.mapped() / 2));
  };
  if (auto ok = grow(backend_, wanted.backends); !ok) return ok;
  if (auto ok = grow(slot_, wanted.slots); !ok) return ok;
  return grow(version_, wanted.versions);
}

Tables::Reach Tables::reach_of(const std::vector<Operation>& operations) {
  Reach reach;
  for (const auto& operation : operations) {
    if (const auto* backend = std::get_if<PutBackend>(&operation))
      reach.backends = std::max(reach.backends, backend->index + 1);
    else if (const auto* slots = std::get_if<PutSlots>(&operation))
      reach.slots =
          std::max(reach.slots, slots->first + static_cast<std::uint32_t>(slots->backends->size()));
    else if (const auto* version = std::get_if<PutVersion>(&operation))
      reach.versions = std::max(reach.versions, version->index + 1);
  }
  return reach;
}

namespace {

// Addresses that are put one after another, by one call for many.
Result<> put_addresses(AddressFilter& filter, Map<weir_addr, weir_address>& map,
                       std::span<const Operation> operations) {
  std::vector<weir_addr> keys;
  std::vector<weir_address> values;
  keys.reserve(operations.size());
  values.reserve(operations.size());
  for (const auto& operation : operations) {
    const auto& put = std::get<PutAddress>(operation);
    filter.add(put.key, put.value.bits);
    keys.push_back(put.key);
    values.push_back(put.value);
  }
  return map.put_all(keys, values);
}

}  // namespace

Result<> Tables::execute(const std::vector<Operation>& operations, WriteTiming* timing) {
  using Clock = std::chrono::steady_clock;
  constexpr std::ptrdiff_t kBatch = 4096;
  const auto puts_address = [](const Operation& operation) {
    return std::holds_alternative<PutAddress>(operation);
  };
  WriteTiming spent;
  const auto begin = Clock::now();
  if (auto ok = reach(reach_of(operations)); !ok) return ok;
  for (auto at = operations.begin(); at != operations.end();) {
    const auto most = std::min(kBatch, operations.end() - at);
    const auto end = std::find_if_not(at, at + most, puts_address);
    if (end - at > 1) {
      if (auto done = put_addresses(filter_, address_, {at, end}); !done) return done;
      at = end;
      continue;
    }
    const bool grace = std::holds_alternative<Grace>(*at);
    const auto before = grace ? Clock::now() : begin;
    if (auto done = std::visit(Executor{*this}, *at); !done) return done;
    if (grace) spent.grace += Clock::now() - before;
    ++at;
  }
  if (filter_.stale())
    if (auto done = filter_.rebuild(address_); !done) return done;
  spent.write = Clock::now() - begin - spent.grace;
  if (timing != nullptr) *timing = spent;
  return {};
}

std::uint64_t Tables::live_flows(std::uint32_t backend) const {
  auto& live = const_cast<__u64&>(backend_[backend].live);  // atomic_ref wants it, and only loads
  return std::atomic_ref<__u64>{live}.load(std::memory_order_relaxed);
}

}  // namespace weir::kernel
