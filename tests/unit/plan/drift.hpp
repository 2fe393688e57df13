// SPDX-License-Identifier: Apache-2.0
// Random histories of what is wanted.
#pragma once

#include <random>

#include "unit/plan/tables_builder.hpp"

namespace weir::test {

// A world that drifts: a few small changes at a time, as clusters do.
class Drift {
 public:
  // The node's own addresses are written even where they do not fit: no service can be refused for
  // them.
  enum class Node { changes, stays };
  explicit Drift(std::uint32_t seed, Node node = Node::changes) : random_{seed}, node_{node} {}

  WantedTables next() {
    for (auto changes = 1 + below(4); changes > 0; --changes) change();
    return tables_of();
  }

  std::uint32_t below(std::uint32_t end) {
    return std::uniform_int_distribution<std::uint32_t>{0, end - 1}(random_);
  }

  // Flows come and go; those of a backend that is gone only go.
  void drift_flows(const ProgrammedTables& tables, std::map<std::uint32_t, std::uint64_t>& live) {
    for (const auto& [index, backend] : tables.backends) {
      auto& flows = live[index];
      if (below(2) == 0)
        flows = 0;
      else if (backend.state != WEIR_BACKEND_GONE)
        flows = below(3);
    }
    std::erase_if(live, [&](const auto& entry) { return !tables.backends.contains(entry.first); });
  }

  [[nodiscard]] const std::map<weir_addr, std::uint32_t>& node_addresses() const {
    return node_addresses_;
  }

 private:
  static constexpr std::uint32_t kServices = 7;
  static constexpr std::uint32_t kBackends = 9;
  static constexpr std::uint32_t kFrontends = 10;

  static ServiceIdentity name(std::uint32_t number) { return named("d/" + std::to_string(number)); }

  void change() {
    const auto identity = name(below(kServices));
    const auto kind = below(10);
    if (kind == 0) {
      services_.erase(identity);
      return;
    }
    if (kind == 1) {
      if (node_ == Node::changes) toggle_node_address();
      return;
    }
    auto& service = services_[identity];
    if (kind == 2) service.flags = below(8);
    if (kind == 3) service.affinity = below(3) * 100;
    if (kind == 4) change_ranges(service);
    if (kind == 3) service.type = below(2) == 0 ? WEIR_TYPE_CLUSTER_IP : WEIR_TYPE_LOAD_BALANCER;
    if (kind == 4) claim(identity, service);
    if (kind > 4) change_backend(service);
  }

  // Few different ones, so that services come to share them.
  void change_ranges(WantedService& service) {
    service.ranges.clear();
    for (std::uint32_t i = 0, bits = below(8); i < 3; ++i)
      if ((bits >> i & 1) != 0)
        service.ranges.push_back({Address{address4(i << 24)}, static_cast<std::uint8_t>(8 + i)});
  }

  void change_backend(WantedService& service) {
    const auto id = backend(1 + below(kBackends));
    service.backends[id] = {
        .terminating = below(4) == 0, .local = below(3) == 0, .reset = below(3) == 0};
    drop(service.cluster, id);
    drop(service.local, id);
    const auto places = below(5);
    if (places == 4) service.backends.erase(id);
    if (places == 1 || places == 3) add(service.cluster, id);
    if (places == 2 || places == 3) add(service.local, id);
    if (below(3) == 0) service.local = service.cluster;
  }

  // Takes the frontend away from whoever has it.
  void claim(const ServiceIdentity& identity, WantedService& service) {
    const auto number = below(kFrontends);
    const auto key = number < 3 ? node_port(static_cast<std::uint16_t>(30'000 + number))
                                : frontend(number / 2, number % 2 == 0 ? 80 : 443);
    bool mine = false;
    for (auto& [owner, other] : services_)
      if (other.frontends.erase(key) > 0 && owner == identity) mine = true;
    if (!mine)
      service.frontends[key] = number < 3      ? WEIR_FRONTEND_NODE_PORT
                               : below(2) == 0 ? WEIR_FRONTEND_CLUSTER_IP
                                               : WEIR_FRONTEND_EXTERNAL_IP;
  }

  void toggle_node_address() {
    // Some of them are service or backend addresses too.
    const weir_addr choices[] = {address4(0xc0000202), frontend(2).addr, backend(3).address.raw()};
    const auto& address = choices[below(3)];
    if (node_addresses_.erase(address) == 0)
      node_addresses_[address] = WEIR_ADDRESS_NODE | (below(2) == 0 ? WEIR_ADDRESS_NODE_PORT : 0);
  }

  WantedTables tables_of() {
    auto made = tables(services_);
    for (const auto& [address, bits] : node_addresses_) made.addresses[address] |= bits;
    return made;
  }

  static void drop(std::vector<BackendIdentity>& list, const BackendIdentity& id) {
    std::erase(list, id);
  }
  static void add(std::vector<BackendIdentity>& list, const BackendIdentity& id) {
    list.insert(std::ranges::lower_bound(list, id), id);
  }

  std::mt19937 random_;
  Node node_;
  std::map<ServiceIdentity, WantedService> services_;
  std::map<weir_addr, std::uint32_t> node_addresses_;
};

}  // namespace weir::test
