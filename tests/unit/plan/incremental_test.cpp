// SPDX-License-Identifier: Apache-2.0
// A reconciler that lives on and is told what was touched does what reconcile() does from nothing.
#include <random>

#include "plan/reconciler.hpp"
#include "support/catch.hpp"
#include "unit/plan/drift.hpp"

namespace weir::test {
namespace {

constexpr std::uint32_t kSeeds = 12;

// Services that are different, or are there in one of the two only.
std::vector<ServiceIdentity> differences(const WantedTables& before, const WantedTables& after) {
  std::vector<ServiceIdentity> touched;
  for (const auto& [identity, service] : before.services) {
    const auto found = after.services.find(identity);
    if (found == after.services.end() || found->second != service) touched.push_back(identity);
  }
  for (const auto& [identity, service] : after.services)
    if (!before.services.contains(identity)) touched.push_back(identity);
  std::ranges::sort(touched);
  return touched;
}

WantedTables part_of(const WantedTables& wanted, const std::vector<ServiceIdentity>& touched) {
  WantedTables part;
  for (const auto& identity : touched)
    if (const auto found = wanted.services.find(identity); found != wanted.services.end())
      part.services.insert(*found);
  return part;
}

// A kernel, and the same history twice: by one reconciler, and by reconcile() anew each time.
class Both {
 public:
  explicit Both(const Limits& limits) : limits_{limits}, kernel_{limits} {}

  void to(const WantedTables& wanted, bool node_changed) {
    const LiveFlows live = [this](std::uint32_t index) { return live_flows(index); };
    const auto expected = reconcile(reconciler_.tables(), wanted, limits_, live);
    const auto touched = differences(wanted_, wanted);
    const bool whole = node_changed || refused_ || first_;
    const auto change = whole ? reconciler_.to(wanted, live)
                              : reconciler_.to(part_of(wanted, touched), touched, live);
    parts_ += whole ? 0 : 1;
    REQUIRE(change.operations.size() == expected.operations.size());
    REQUIRE(reconciler_.tables() == expected.tables);
    kernel_.execute(change.operations);
    REQUIRE(kernel_.faults() == std::vector<std::string>{});
    REQUIRE(kernel_.adopt() == reconciler_.tables());
    refused_ = !change.refused.empty();
    first_ = false;
    wanted_ = wanted;
    CHECK(reconciler_.waits() == waits(expected.tables));
  }

  // As an agent that found that a write failed.
  void start_again() {
    reconciler_ = Reconciler{kernel_.adopt(), limits_};
    first_ = true;
  }

  std::map<std::uint32_t, std::uint64_t>& live() { return live_; }
  [[nodiscard]] const ProgrammedTables& current() const { return reconciler_.tables(); }
  [[nodiscard]] int parts() const { return parts_; }

 private:
  [[nodiscard]] std::uint64_t live_flows(std::uint32_t index) const {
    const auto found = live_.find(index);
    return found == live_.end() ? 0 : found->second;
  }
  static bool waits(const ProgrammedTables& tables) {
    return std::ranges::any_of(
               tables.backends,
               [](const auto& entry) { return entry.second.state == WEIR_BACKEND_GONE; }) ||
           std::ranges::any_of(tables.addresses, [](const auto& entry) {
             return (entry.second & WEIR_ADDRESS_PAST) != 0;
           });
  }

  Limits limits_;
  SimulatedKernel kernel_;
  Reconciler reconciler_{{}, limits_};
  WantedTables wanted_;
  std::map<std::uint32_t, std::uint64_t> live_;
  bool refused_ = false;
  bool first_ = true;
  int parts_ = 0;
};

int run(const Limits& limits, std::uint32_t seed) {
  Drift drift{seed};
  Both both{limits};
  std::map<weir_addr, std::uint32_t> node;
  for (int step = 0; step < 300; ++step) {
    INFO("seed " << seed << ", step " << step);
    const auto wanted = drift.next();
    both.to(wanted, drift.node_addresses() != node);
    node = drift.node_addresses();
    drift.drift_flows(both.current(), both.live());
    if (drift.below(40) == 0) both.start_again();
  }
  return both.parts();
}

}  // namespace

TEST_CASE("a change in part gives the tables that the whole gives") {
  int parts = 0;
  for (std::uint32_t seed = 1; seed <= kSeeds; ++seed) parts += run({}, seed);
  CHECK(parts > 200 * static_cast<int>(kSeeds));
}

TEST_CASE("likewise in tables that are almost full") {
  int parts = 0;
  for (std::uint32_t seed = 1; seed <= kSeeds; ++seed)
    parts += run({.services = 12,
                  .backends = 60,
                  .slots = 60,
                  .flows = 1,
                  .half_open = 1,
                  .frontends = 9,
                  .addresses = 40,
                  .ranges = 6},
                 seed);
  CHECK(parts > 100 * static_cast<int>(kSeeds));
}

}  // namespace weir::test
