// SPDX-License-Identifier: Apache-2.0
// Short ways to write wanted tables down, and an agent over the simulated kernel.
#pragma once

#include <netinet/in.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "unit/plan/simulated_kernel.hpp"

namespace weir::test {

inline ServiceIdentity named(std::string text) {
  return {std::move(text), Protocol::tcp, Family::ipv4};
}

inline weir_addr address4(std::uint32_t host) {
  weir_addr made{};
  made.word[2] = htonl(0xffff);
  made.word[3] = htonl(host);
  return made;
}

inline BackendIdentity backend(std::uint32_t number) {
  return {Address{address4(0x0a010000 + number)}, 8080};
}

inline weir_service_key frontend(std::uint32_t number, std::uint16_t port = 80) {
  return {.addr = address4(0x0a600000 + number), .port = htons(port), .proto = 6, .zero = 0};
}

inline weir_service_key node_port(std::uint16_t port) {
  return {.addr = address4(0), .port = htons(port), .proto = 6, .zero = 0};
}

// All of them in the cluster list, none on this node.
inline WantedService wanted(std::uint32_t frontend_number, std::vector<std::uint32_t> backends) {
  WantedService made;
  made.port = 80;
  made.flags = WEIR_VERSION_HAS_ENDPOINT;
  made.frontends = {{frontend(frontend_number), WEIR_FRONTEND_CLUSTER_IP}};
  std::ranges::sort(backends);
  for (const auto number : backends) {
    made.backends[backend(number)] = {};
    made.cluster.push_back(backend(number));
  }
  return made;
}

// Sets the addresses that the frontends have.
inline WantedTables tables(std::map<ServiceIdentity, WantedService> services) {
  WantedTables made;
  made.services = std::move(services);
  made.addresses[address4(0xc0000201)] = WEIR_ADDRESS_NODE | WEIR_ADDRESS_NODE_PORT;
  for (const auto& [identity, service] : made.services)
    for (const auto& [key, kind] : service.frontends)
      if (kind != WEIR_FRONTEND_NODE_PORT) made.addresses[key.addr] |= WEIR_ADDRESS_SERVICE;
  return made;
}

// Reconciles and carries out, checking at each step what can be checked.
class Agent {
 public:
  explicit Agent(const Limits& limits = {}) : limits_{limits}, kernel_{limits} {}

  Reconciled to(const WantedTables& wanted) {
    auto done = plan(wanted);
    kernel_.execute(done.operations);
    current_ = done.tables;
    std::set<ServiceIdentity> refused;
    for (const auto& one : done.refused) refused.insert(one.service);
    kernel_.compare(wanted, refused);
    REQUIRE(kernel_.faults() == std::vector<std::string>{});
    REQUIRE(kernel_.adopt() == current_);
    return done;
  }

  // The agent is killed after `count` operations, and its successor starts from the tables.
  void killed_on_the_way_to(const WantedTables& wanted, std::size_t count) {
    const auto done = plan(wanted);
    kernel_.execute(done.operations, std::min(count, done.operations.size()));
    kernel_.restart();
    current_ = kernel_.adopt();
    REQUIRE(kernel_.faults() == std::vector<std::string>{});
  }

  [[nodiscard]] Reconciled plan(const WantedTables& wanted) const {
    return reconcile(current_, wanted, limits_, [this](std::uint32_t index) {
      const auto found = live_.find(index);
      return found == live_.end() ? 0 : found->second;
    });
  }

  std::map<std::uint32_t, std::uint64_t>& live() { return live_; }
  [[nodiscard]] const ProgrammedTables& current() const { return current_; }
  [[nodiscard]] const ProgrammedService& service(const std::string& text) const {
    return current_.services.at(named(text));
  }

 private:
  Limits limits_;
  SimulatedKernel kernel_;
  ProgrammedTables current_;
  std::map<std::uint32_t, std::uint64_t> live_;
};

template <class T>
std::size_t count_of(const Reconciled& of) {
  return static_cast<std::size_t>(std::ranges::count_if(
      of.operations, [](const Operation& op) { return std::holds_alternative<T>(op); }));
}

inline std::size_t slots_put(const Reconciled& of) {
  std::size_t count = 0;
  for (const auto& op : of.operations)
    if (const auto* slots = std::get_if<PutSlots>(&op)) count += slots->backends->size();
  return count;
}

// Of all operations of one kind, in order.
template <class T>
std::vector<T> all_of(const Reconciled& of) {
  std::vector<T> made;
  for (const auto& op : of.operations)
    if (const auto* one = std::get_if<T>(&op)) made.push_back(*one);
  return made;
}

}  // namespace weir::test
