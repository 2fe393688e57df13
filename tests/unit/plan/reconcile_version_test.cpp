// SPDX-License-Identifier: Apache-2.0
// What a version says besides its lists: their order, affinity, source ranges; and what is said of
// a backend alone.
#include <algorithm>

#include "support/catch.hpp"
#include "unit/plan/tables_builder.hpp"

namespace weir::test {

TEST_CASE("the slots of a list are in order of backend index, whatever the addresses are") {
  Agent agent;
  agent.to(tables({{named("d/a"), wanted(1, {2, 4})}}));
  agent.to(tables({{named("d/a"), wanted(1, {1, 2, 3, 4})}}));
  const auto& slots = agent.service("d/a").cluster;
  REQUIRE(slots.size() == 4);
  CHECK(std::ranges::is_sorted(slots));
  CHECK(agent.current().backends.at(slots[0]).identity == backend(2));
}

TEST_CASE("affinity and source ranges are parts of a version") {
  Agent agent;
  auto service = wanted(1, {1});
  agent.to(tables({{named("d/a"), service}}));
  SECTION("affinity") {
    service.affinity = 10;
    CHECK(count_of<Publish>(agent.to(tables({{named("d/a"), service}}))) == 1);
    CHECK(agent.service("d/a").version.affinity == 10);
    CHECK(agent.to(tables({{named("d/a"), service}})).operations.empty());
  }
  SECTION("ranges: a new set each time, the old one kept until after the grace") {
    service.ranges = {Cidr::host(Address{address4(1)})};
    auto done = agent.to(tables({{named("d/a"), service}}));
    CHECK(count_of<PutRange>(done) == 1);
    const auto first = agent.service("d/a").version.ranges;
    service.ranges.push_back(Cidr::host(Address{address4(2)}));
    done = agent.to(tables({{named("d/a"), service}}));
    CHECK(count_of<PutRange>(done) == 2);
    CHECK(agent.service("d/a").version.ranges != first);
    CHECK(std::holds_alternative<DeleteRange>(done.operations.back()));
    service.ranges.clear();
    CHECK(count_of<DeleteRange>(agent.to(tables({{named("d/a"), service}}))) == 2);
    CHECK(agent.service("d/a").version.ranges == 0);
  }
  SECTION("services with equal ranges share a set, which stays until the last one goes") {
    auto other = wanted(2, {2});
    service.ranges = other.ranges = {Cidr::host(Address{address4(1)})};
    const auto done = agent.to(tables({{named("d/a"), service}, {named("d/b"), other}}));
    CHECK(count_of<PutRange>(done) == 1);
    CHECK(agent.service("d/a").version.ranges == agent.service("d/b").version.ranges);
    CHECK(count_of<DeleteRange>(agent.to(tables({{named("d/a"), service}}))) == 0);
    CHECK(count_of<DeleteRange>(agent.to(tables({}))) == 1);
  }
}

TEST_CASE("a table of source ranges that is full is the problem of who comes last") {
  Agent agent{{.ranges = 2}};
  auto service = wanted(1, {1});
  auto other = wanted(2, {2});
  service.ranges = {Cidr::host(Address{address4(1)}), Cidr::host(Address{address4(2)})};
  other.ranges = {Cidr::host(Address{address4(3)})};
  const auto done = agent.to(tables({{named("d/a"), service}, {named("d/b"), other}}));
  REQUIRE(done.refused.size() == 1);
  CHECK(done.refused[0].service == named("d/b"));
  CHECK(done.refused[0].reason == "source ranges: table of 2 is full (fixed size)");
  CHECK_FALSE(agent.current().services.contains(named("d/b")));
}

TEST_CASE("an endpoint on another port is another backend", "[1.3/udp-port-change]") {
  Agent agent;
  auto service = wanted(1, {1});
  agent.to(tables({{named("d/a"), service}}));
  const auto before = agent.service("d/a").backends.at(backend(1));
  agent.live()[before] = 1;
  auto moved = backend(1);
  ++moved.port;
  service.backends = {{moved, {}}};
  service.cluster = {moved};
  const auto done = agent.to(tables({{named("d/a"), service}}));
  REQUIRE(all_of<SetBackendState>(done).size() == 1);
  CHECK(all_of<SetBackendState>(done)[0].index == before);
  CHECK(all_of<SetBackendState>(done)[0].state == WEIR_BACKEND_GONE);
  CHECK(count_of<SetEpoch>(done) == 1);  // so that its flows look, and go to the other
  CHECK(agent.service("d/a").backends.at(moved) != before);
}

TEST_CASE("what becomes of the connections of a backend is its own affair") {
  Agent agent;
  auto service = wanted(1, {1});
  agent.to(tables({{named("d/a"), service}}));
  service.backends[backend(1)].reset = true;
  const auto done = agent.to(tables({{named("d/a"), service}}));
  REQUIRE(done.operations.size() == 1);
  CHECK(all_of<SetBackendFlags>(done)[0].flags == WEIR_BACKEND_RESET);
}

}  // namespace weir::test
