// SPDX-License-Identifier: Apache-2.0
// What the maps say is what reconcile() believes, wherever an agent was killed.
#include <bpf/bpf.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "bpf/publish/prober.hpp"
#include "bpf/publish/traffic.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

struct PlainService {
  std::uint32_t flags{};
  std::vector<BackendIdentity> cluster;
  std::vector<BackendIdentity> local;
  std::map<weir_service_key, weir_frontend> frontends;
  std::map<BackendIdentity, std::pair<weir_backend_state, std::uint32_t>> backends;
  weir_name name{};
  bool operator==(const PlainService&) const = default;
};

// Elements in use, whoever they belong to.
struct Counts {
  std::size_t current, backends, frontends, addresses, names;
  bool operator==(const Counts&) const = default;
};

// The tables without what depends on their past: ids, indexes, generations, epoch.
struct Plain {
  std::map<ServiceIdentity, PlainService> services;
  std::map<weir_addr, std::uint32_t> addresses;
  Counts counts{};
  bool operator==(const Plain&) const = default;
};

template <MapData Key, MapData Value>
std::size_t count_elements(const kernel::Pins& pins, std::string_view name) {
  const auto map = need(kernel::Map<Key, Value>::open(pins, name));
  std::size_t count = 0;
  need(map.for_each([&](const Key&, const Value&) { ++count; }));
  return count;
}

Counts count_all(const kernel::Pins& pins) {
  Counts counts{};
  const auto current = need(kernel::MappedArray<__u32>::open(pins, "weir_current", false));
  for (std::uint32_t i = 0; i < current.size(); ++i) counts.current += current[i] != 0 ? 1 : 0;
  const auto backend = need(kernel::MappedArray<weir_backend>::open(pins, "weir_backend", false));
  for (std::uint32_t i = 0; i < backend.size(); ++i)
    counts.backends += backend[i].state != WEIR_BACKEND_FREE ? 1 : 0;
  counts.frontends = count_elements<weir_service_key, weir_service>(pins, "weir_service");
  counts.addresses = count_elements<weir_addr, weir_address>(pins, "weir_address");
  counts.names = count_elements<__u32, weir_name>(pins, "weir_name");
  return counts;
}

Plain plain(const kernel::Pins& pins, const ProgrammedTables& tables) {
  const auto identities = [&](const std::vector<std::uint32_t>& indexes) {
    std::vector<BackendIdentity> to;
    for (const auto index : indexes) to.push_back(tables.backends.at(index).identity);
    return to;
  };
  Plain plain;
  for (const auto& [identity, service] : tables.services) {
    auto& to = plain.services[identity];
    to = {.flags = service.version.flags,
          .cluster = identities(service.cluster),
          .local = identities(service.local),
          .frontends = service.frontends,
          .backends = {},
          .name = service.name};
    for (const auto& [backend, index] : service.backends)
      to.backends[backend] = {tables.backends.at(index).state, tables.backends.at(index).flags};
  }
  plain.addresses = tables.addresses;
  plain.counts = count_all(pins);
  return plain;
}

// A few services of one protocol and one family: enough to have every kind of operation.
ClusterState small_cluster(std::uint32_t round, const std::set<unsigned>& services) {
  auto cluster = cluster_at(round);
  for (unsigned number = 0; number < kServices; ++number) {
    const auto at = cluster.services.find({.ns = "test", .name = "s" + std::to_string(number)});
    if (!services.contains(number)) {
      cluster.services.erase(at);
      continue;
    }
    auto& service = at->second;
    service.ports.resize(1);
    service.cluster_ips.resize(1);
  }
  return cluster;
}

// The same endpoints in another condition: terminating, or on another node.
ClusterState in_other_condition(ClusterState cluster) {
  bool odd = false;
  for (auto& [key, shared] : cluster.slices) {
    EndpointSlice slice = *shared;
    for (auto& endpoint : slice.endpoints) {
      odd = !odd;
      endpoint.ready = odd;
      endpoint.terminating = !odd;
      if (odd) endpoint.node = endpoint.node == "node-b" ? node_view().name : "node-b";
    }
    shared = std::move(slice);
  }
  return cluster;
}

// The first `count` operations, as an agent that is killed then. Nobody is on the way through the
// tables, so there is nothing to wait for.
Installation::Execute stop_after(std::size_t count) {
  return [count](kernel::Tables& tables, const ProgrammedTables&, const Reconciled& next) {
    const auto end = std::min(count, next.operations.size());
    std::vector<Operation> operations{next.operations.begin(),
                                      next.operations.begin() + static_cast<std::ptrdiff_t>(end)};
    std::erase_if(operations, [](const auto& op) { return std::holds_alternative<Grace>(op); });
    need(tables.execute(operations));
  };
}

constexpr std::size_t kAll = SIZE_MAX;

// Every frontend of services that were there and will be is answered as before or as after.
void probe(Prober& prober, const std::set<unsigned>& services, Window window) {
  for (std::size_t i = 0; i < prober.targets().size(); ++i) {
    const auto& target = prober.targets().at(i);
    if (!services.contains(target.service) || target.protocol != Protocol::tcp ||
        target.family != Family::ipv4)
      continue;
    const auto outcome = prober.send(prober.fresh(i));
    const auto fault = judge(target, outcome, window);
    if (!fault) continue;
    INFO(target << ": " << to_string(*fault));
    CHECK_FALSE(fault);
  }
}

struct Change {
  const char* name;
  ClusterState from;
  ClusterState to;
  std::set<unsigned> lasting;  // services that are in both, in rounds 4 and 5
};

std::vector<Change> changes() {
  return {
      {"first start", {}, small_cluster(5, {0, 1}), {}},
      {"all at once", small_cluster(4, {0, 1, 2}), small_cluster(5, {1, 2, 3}), {1, 2}},
      {"conditions", small_cluster(4, {0, 3}), in_other_condition(small_cluster(4, {0, 3})), {}},
      {"last end", small_cluster(4, {0, 1}), {}, {}}};
}

Plain fresh_publication(Installation& installation, const ClusterState& cluster) {
  installation.settle({}, stop_after(kAll));
  installation.settle(cluster, stop_after(kAll));
  return plain(installation.pins(), need(installation.tables().adopt()));
}

TEST_CASE("adoption finds what was published") {
  Installation installation;
  CHECK(installation.programmed() == ProgrammedTables{});
  const std::vector<ClusterState> sequence{cluster_at(0),
                                           cluster_at(1),
                                           small_cluster(2, {0, 1, 2, 3}),
                                           small_cluster(3, {1, 3}),
                                           in_other_condition(small_cluster(3, {1, 3})),
                                           cluster_at(4),
                                           {},
                                           cluster_at(5)};
  for (const auto& cluster : sequence) {
    installation.publish(cluster);
    CHECK(need(installation.tables().adopt()) == installation.programmed());
  }
  installation.settle(cluster_at(5));
  CHECK(need(installation.tables().adopt()) == installation.programmed());
}

TEST_CASE("an agent that was killed anywhere in a publication leaves no trace in the next") {
  Installation installation;
  Prober prober{installation, 1};
  std::size_t kills = 0;
  for (const auto& change : changes()) {
    const auto wanted = fresh_publication(installation, change.to);
    CHECK(wanted.counts.names == wanted.services.size());
    for (std::size_t count = 0;; ++count) {
      INFO(change.name << ", killed after " << count << " operations");
      installation.settle(change.from, stop_after(kAll));
      const auto all = installation.next(change.to).operations.size();
      installation.publish(change.to, stop_after(count));
      probe(prober, change.lasting, {.from = 4, .to = 5});

      installation.take(need(installation.tables().adopt()));
      installation.settle(change.to, stop_after(kAll));
      const auto adopted = need(installation.tables().adopt());
      CHECK(adopted == installation.programmed());
      CHECK(plain(installation.pins(), adopted) == wanted);
      ++kills;
      if (count == all) break;
    }
  }
  WARN(kills << " kills");
  CHECK(kills > 100);
}

std::uint32_t program_id(int fd) {
  bpf_prog_info info{};
  __u32 length = sizeof info;
  REQUIRE(bpf_obj_get_info_by_fd(fd, &info, &length) == 0);
  return info.id;
}

std::uint32_t map_id(const kernel::Pins& pins, const std::string& name) {
  const auto fd = need(kernel::open_map(pins, name));
  bpf_map_info info{};
  __u32 length = sizeof info;
  REQUIRE(bpf_obj_get_info_by_fd(fd.get(), &info, &length) == 0);
  return info.id;
}

TEST_CASE("a second agent takes programs, maps and tables over as they are") {
  Installation first;
  first.publish(cluster_at(0));
  const auto config =
      need(kernel::MappedArray<weir_config>::open(first.pins(), "weir_config", false));
  const weir_config before = config[0];
  std::map<std::string, std::uint32_t> maps;
  for (const auto& [name, size] : kernel::map_sizes(kSmall))
    maps[name] = map_id(first.pins(), name);

  const auto second = need(kernel::Objects::load(first.pins(), kSmall, settings()));
  CHECK(second.adopted());
  for (const auto* name : {"weir_xdp", "weir_up_in", "weir_up_out", "weir_l3_in", "weir_l3_out",
                           "weir_pod_in", "weir_pod_out", "weir_expiry_arm"})
    CHECK(program_id(second.program(name)) == program_id(first.program(std::string_view{name})));
  for (const auto& [name, id] : maps) CHECK(map_id(first.pins(), name) == id);
  CHECK(std::memcmp(&before, &config[0], sizeof before) == 0);

  auto tables = need(kernel::Tables::open(first.pins()));
  first.take(need(tables.adopt()));
  CHECK(first.next(cluster_at(0)).operations.empty());
}

TEST_CASE("maps of other sizes are refused with the option that asks for them") {
  const Installation installation;
  const auto error = [&](std::uint32_t Limits::* limit) {
    Limits limits = kSmall;
    limits.*limit *= 2;
    const auto loaded = kernel::Objects::load(installation.pins(), limits, settings());
    return loaded ? std::string{"loaded"} : loaded.error().message();
  };
  const std::string rest = ": it keeps its size until `weir cleanup`";
  CHECK(error(&Limits::backends) ==
        "map weir_backend has room for 768 entries, --max-backends asks for 1536" + rest);
  CHECK(error(&Limits::slots) ==
        "map weir_slot has room for 512 entries, --max-slots asks for 1024" + rest);
  CHECK(error(&Limits::services) ==
        "map weir_current has room for 64 entries, --max-services asks for 128" + rest);
  CHECK(error(&Limits::flows).find("--max-flows asks for") != std::string::npos);
  CHECK(error(&Limits::half_open).find("--max-half-open asks for") != std::string::npos);
}

}  // namespace
}  // namespace weir::test
