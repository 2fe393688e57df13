// SPDX-License-Identifier: Apache-2.0
// Clusters that drift: a follower, told what changed, has the tables that plan() and reconcile()
// give for the whole.
#include "plan/follower.hpp"

#include <random>

#include "support/catch.hpp"
#include "unit/plan/cluster_builder.hpp"
#include "unit/plan/simulated_kernel.hpp"

namespace weir::test {
namespace {

// Names that are beginnings of each other, as "a" and "a-b".
const std::vector<std::string> kNames{"a", "a-b", "a.b", "ab", "b", "c"};

class DriftingCluster {
 public:
  explicit DriftingCluster(std::uint32_t seed) : random_{seed} {}

  // A few changes, and what they were.
  StateChanges next() {
    StateChanges changes;
    for (auto count = 1 + below(3); count > 0; --count) change(changes);
    return changes;
  }
  [[nodiscard]] const ClusterState& state() const { return state_; }
  [[nodiscard]] const NodeView& node() const { return node_; }
  std::uint32_t below(std::uint32_t end) {
    return std::uniform_int_distribution<std::uint32_t>{0, end - 1}(random_);
  }

 private:
  void change(StateChanges& changes) {
    const auto kind = below(40);
    if (kind == 0) return change_view();
    if (kind == 1) {
      auto& node = state_.nodes[below(2) == 0 ? kThisNode : "node-b"];
      node.zone = "zone-" + std::to_string(below(2));
      changes.nodes.insert(kThisNode);
      changes.nodes.insert("node-b");
      return;
    }
    kind < 15 ? change_service(changes) : change_slice(changes);
  }

  void change_view() {
    node_ = node_view();
    if (below(2) == 0) node_.addresses.push_back(ip("10.1.0.2"));
  }

  void change_service(StateChanges& changes) {
    const ObjectKey key{"default", kNames[below(6)]};
    changes.services.insert(key);
    if (below(4) == 0) {
      state_.services.erase(key);
      return;
    }
    Service made = service(key.name, {port("http", 80)});
    if (below(3) == 0) made.ports.push_back(port("", 53, Protocol::udp));
    // Now and then two services want the same.
    made.cluster_ips = {Address{weir_addr(ip("10.96.0." + std::to_string(1 + below(30))).raw())}};
    if (below(3) == 0) made.cluster_ips.push_back(ip("fd00:96::" + std::to_string(1 + below(30))));
    if (below(4) == 0) made.external_ips = {ip("203.0.113." + std::to_string(1 + below(6)))};
    if (below(4) == 0) {
      made.type = ServiceType::load_balancer;
      made.ports[0].node_port = static_cast<std::uint16_t>(30'000 + below(20));
      made.load_balancer = {{ip("198.51.100." + std::to_string(1 + below(6))), below(4) == 0}};
      if (below(2) == 0) made.source_ranges = {Cidr::parse("192.0.2.0/24").value()};
    }
    if (below(4) == 0) made.external_policy = TrafficPolicy::local;
    if (below(4) == 0) made.internal_policy = TrafficPolicy::local;
    state_.services.insert_or_assign(key, made);
  }

  void change_slice(StateChanges& changes) {
    const ObjectKey key{"default", "slice-" + std::to_string(below(9))};
    changes.slices.insert(key);
    if (const auto old = state_.slices.find(key); old != state_.slices.end()) {
      changes.services.insert({"default", old->second->service});
      state_.slices.erase(old);
    }
    if (below(5) == 0) return;
    Service of;
    of.key = {"default", kNames[below(6)]};
    changes.services.insert(of.key);
    std::vector<Endpoint> endpoints;
    const bool v6 = below(4) == 0;
    for (auto count = below(4); count > 0; --count) {
      auto made = endpoint((v6 ? "fd00:1::" : "10.1.0.") + std::to_string(1 + below(9)),
                           below(2) == 0 ? kThisNode : "node-b");
      if (below(4) == 0) made = unready(made);
      if (below(4) == 0) made = terminating(made);
      made.zone_hints = {"zone-" + std::to_string(below(2))};
      endpoints.push_back(std::move(made));
    }
    state_.slices.emplace(key, slice(key.name, of, std::move(endpoints),
                                     {{.name = "http", .protocol = Protocol::tcp, .port = 8080},
                                      {.name = "", .protocol = Protocol::udp, .port = 5353}}));
  }

  std::mt19937 random_;
  ClusterState state_;
  NodeView node_ = node_view();
};

// How many steps were in part.
int follow(std::uint32_t seed) {
  DriftingCluster cluster{seed};
  const Limits limits{.backends = seed % 2 == 0 ? 20U : 1'000U};  // at times too few
  SimulatedKernel kernel{limits};
  Follower follower{{}, limits};
  const LiveFlows live = [&](std::uint32_t index) { return index % 5 == 0 ? 1U : 0U; };
  int parts = 0;
  for (int step = 0; step < 400; ++step) {
    INFO("seed " << seed << ", step " << step);
    const auto changes = cluster.next();
    const auto wanted = plan(cluster.state(), cluster.node());
    const auto expected = reconcile(follower.tables(), wanted, limits, live);
    const auto done = follower.to(cluster.state(), cluster.node(), changes, live);
    REQUIRE(follower.tables() == expected.tables);
    REQUIRE(done.conflicts == wanted.conflicts);
    REQUIRE(done.refused.size() == expected.refused.size());
    REQUIRE(done.operations.size() == expected.operations.size());
    kernel.execute(done.operations);
    REQUIRE(kernel.faults() == std::vector<std::string>{});
    REQUIRE(kernel.adopt() == follower.tables());
    parts += done.whole ? 0 : 1;
  }
  return parts;
}

}  // namespace

TEST_CASE("a follower has the tables of the whole") {
  int parts = 0;
  for (std::uint32_t seed = 1; seed <= 12; ++seed) parts += follow(seed);
  CHECK(parts > 12 * 100);
}

TEST_CASE("a follower looks at no more than what changed") {
  const Limits limits;
  Follower follower{{}, limits};
  const LiveFlows live = [](std::uint32_t) { return 0U; };
  ClusterState state;
  for (int i = 0; i < 20; ++i) {
    Service made = service("s" + std::to_string(i));
    made.cluster_ips = {ip("10.96.0." + std::to_string(i + 1))};
    state.services.emplace(made.key, made);
    auto of = slice("e" + std::to_string(i), made, {endpoint("10.1.0." + std::to_string(i + 1))});
    state.slices.emplace(of.key, of);
  }
  CHECK(follower.to(state, node_view(), {}, live).whole);
  CHECK(follower.to(state, node_view(), {}, live).operations.empty());

  auto& shared = state.slices.at({"default", "e7"});
  EndpointSlice changed = *shared;
  changed.endpoints.push_back(endpoint("10.1.1.1"));
  shared = changed;
  StateChanges changes;
  changes.services = {{"default", "s7"}};
  changes.slices = {{"default", "e7"}};
  const auto step = follower.to(state, node_view(), changes, live);
  CHECK_FALSE(step.whole);
  CHECK(step.touched == 1);
  CHECK(step.operations.size() < 10);

  // What it was not told it does not see.
  state.slices.erase({"default", "e3"});
  CHECK(follower.to(state, node_view(), {}, live).operations.empty());
  changes.whole = true;
  CHECK(follower.to(state, node_view(), changes, live).operations.size() > 3);
}

}  // namespace weir::test
