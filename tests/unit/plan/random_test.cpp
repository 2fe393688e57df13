// SPDX-License-Identifier: Apache-2.0
// Long random histories: every step is carried out on the simulated kernel, which looks at the
// tables after each write, and compared with what was wanted.
#include "support/catch.hpp"
#include "unit/plan/drift.hpp"

namespace weir::test {
namespace {

constexpr std::uint32_t kSeeds = 5;

constexpr Limits kTight{.services = 6,
                        .backends = 24,
                        .slots = 30,
                        .flows = 1,
                        .half_open = 1,
                        .frontends = 7,
                        .addresses = 14};

}  // namespace

TEST_CASE("random histories") {
  for (std::uint32_t seed = 1; seed <= kSeeds; ++seed) {
    Drift drift{seed};
    Agent agent;
    for (int step = 0; step < 300; ++step) {
      INFO("seed " << seed << ", step " << step);
      const auto want = drift.next();
      const auto done = agent.to(want);
      REQUIRE(done.refused.empty());
      // Once more: nothing but backends whose flows have ended.
      for (const auto& op : agent.plan(want).operations)
        REQUIRE((std::holds_alternative<SetBackendState>(op) ||
                 std::holds_alternative<DeleteAddress>(op) ||
                 std::holds_alternative<PutAddress>(op) || std::holds_alternative<DeleteName>(op) ||
                 std::holds_alternative<Grace>(op)));
      drift.drift_flows(agent.current(), agent.live());
    }
  }
}

TEST_CASE("random histories in tables that are too small") {
  std::size_t refused = 0;
  for (std::uint32_t seed = 1; seed <= kSeeds; ++seed) {
    Drift drift{seed, Drift::Node::stays};
    Agent agent{kTight};
    for (int step = 0; step < 300; ++step) {
      INFO("seed " << seed << ", step " << step);
      const auto want = drift.next();
      const auto before = agent.current();
      const auto done = agent.to(want);
      refused += done.refused.size();
      for (const auto& one : done.refused) {
        const auto old = before.services.find(one.service);
        const auto now = agent.current().services.find(one.service);
        REQUIRE((old == before.services.end()) == (now == agent.current().services.end()));
        if (old == before.services.end()) continue;
        REQUIRE(old->second.version == now->second.version);
        REQUIRE(old->second.cluster == now->second.cluster);
      }
      drift.drift_flows(agent.current(), agent.live());
    }
  }
  CHECK(refused > 100);
}

TEST_CASE("random histories of agents that are killed at work") {
  for (std::uint32_t seed = 1; seed <= kSeeds; ++seed) {
    Drift drift{seed};
    Agent agent;
    for (int step = 0; step < 300; ++step) {
      INFO("seed " << seed << ", step " << step);
      const auto want = drift.next();
      agent.killed_on_the_way_to(want, drift.below(12));
      if (step % 3 == 0) agent.to(want);
      drift.drift_flows(agent.current(), agent.live());
    }
  }
}

TEST_CASE("everything ends in empty tables") {
  Drift drift{1};
  Agent agent;
  for (int step = 0; step < 50; ++step) agent.to(drift.next());
  agent.live().clear();
  agent.to({});
  agent.to({});
  CHECK(agent.current().services.empty());
  CHECK(agent.current().backends.empty());
  CHECK(agent.current().addresses.empty());
  CHECK(agent.to({}).operations.empty());
}

}  // namespace weir::test
