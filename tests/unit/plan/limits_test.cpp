// SPDX-License-Identifier: Apache-2.0
// Full tables: the service that does not fit is refused, and the others are served.
#include "support/catch.hpp"
#include "unit/plan/tables_builder.hpp"

namespace weir::test {
namespace {

constexpr Limits kSmall{.services = 4,
                        .backends = 8,
                        .slots = 8,
                        .flows = 1,
                        .half_open = 1,
                        .frontends = 6,
                        .addresses = 12};

// Goes there, and expects that exactly this service is refused, for this reason.
void refuses(Agent& agent, const WantedTables& want, const std::string& service,
             const std::string& reason) {
  const auto done = agent.to(want);
  REQUIRE(done.refused.size() == 1);
  CHECK(done.refused[0].service == named(service));
  CHECK(done.refused[0].reason == reason);
}

}  // namespace

TEST_CASE("too many services") {
  Agent agent{kSmall};
  const auto three = tables({{named("d/a"), wanted(1, {1})},
                             {named("d/c"), wanted(3, {3})},
                             {named("d/d"), wanted(4, {4})}});
  CHECK(agent.to(three).refused.empty());
  auto four = tables({{named("d/a"), wanted(1, {1})},
                      {named("d/b"), wanted(2, {2})},
                      {named("d/c"), wanted(3, {3, 5})},
                      {named("d/d"), wanted(4, {4})}});
  refuses(agent, four, "d/b", "services: table of 4 is full (--max-services)");
  CHECK(agent.service("d/c").cluster.size() == 2);
  CHECK_FALSE(agent.current().services.contains(named("d/b")));
  CHECK_FALSE(agent.current().addresses.contains(frontend(2).addr));

  SECTION("there is room once another has ended") {
    four.services.erase(named("d/a"));
    four = tables(four.services);
    agent.to(four);  // still refused: the id is free after the grace
    agent.to(four);
    CHECK(agent.to(four).refused.empty());
    CHECK(agent.current().addresses.contains(frontend(2).addr));
  }
}

TEST_CASE("too many backends") {
  Agent agent{kSmall};
  auto want =
      tables({{named("d/a"), wanted(1, {1, 2, 3, 4})}, {named("d/b"), wanted(2, {1, 2, 3})}});
  CHECK(agent.to(want).refused.empty());
  const auto before = agent.service("d/a");

  want.services[named("d/a")] = wanted(1, {1, 2, 3, 5});
  want.services[named("d/b")].flags = 0;
  refuses(agent, want, "d/a", "backends: table of 8 is full (--max-backends)");
  CHECK(agent.service("d/a") == before);  // also the backend that it no longer wants
  CHECK(agent.service("d/b").version.flags == 0);

  SECTION("a new service leaves nothing behind") {
    const auto tables_before = agent.current();
    want = tables({{named("d/a"), wanted(1, {1, 2, 3, 4})},
                   {named("d/b"), want.services[named("d/b")]},
                   {named("d/c"), wanted(3, {7})}});
    const auto done = agent.to(want);
    CHECK(done.refused.size() == 1);
    CHECK(done.operations.empty());
    CHECK(agent.current() == tables_before);
  }
}

TEST_CASE("too many slots") {
  Agent agent{kSmall};
  agent.to(tables({{named("d/a"), wanted(1, {1, 2, 3})}}));
  auto service = wanted(1, {1, 2, 3});
  service.cluster = {backend(1), backend(2)};
  service.local = {backend(3), backend(2), backend(1)};
  std::ranges::sort(service.local);
  CHECK(agent.to(tables({{named("d/a"), service}})).refused.empty());  // 2 more of the 5

  service.cluster = {backend(1)};
  service.local = {backend(1), backend(3)};
  auto other = wanted(2, {1, 2, 3});
  // The first takes all three, the second has to wait for what the first gives up.
  auto want = tables({{named("d/a"), service}, {named("d/b"), other}});
  refuses(agent, want, "d/b", "slots: no 3 in a row are free in the table of 8 (--max-slots)");
  CHECK(agent.to(want).refused.empty());
}

TEST_CASE("a service whose second list does not fit gives its first one back") {
  Agent agent{kSmall};
  auto greedy = wanted(1, {1, 2, 3, 4, 5});
  greedy.local = {backend(1), backend(2), backend(3), backend(4)};
  const auto want = tables({{named("d/a"), greedy}, {named("d/b"), wanted(2, {6, 7})}});
  refuses(agent, want, "d/a", "slots: no 5 in a row are free in the table of 8 (--max-slots)");
  CHECK(agent.service("d/b").version.cluster.first == 0);
}

TEST_CASE("too many frontends") {
  Agent agent{kSmall};
  auto service = wanted(1, {1});
  for (std::uint16_t port = 1; port <= 5; ++port)
    service.frontends[node_port(port)] = WEIR_FRONTEND_NODE_PORT;
  agent.to(tables({{named("d/a"), service}}));
  refuses(agent, tables({{named("d/a"), service}, {named("d/b"), wanted(2, {2})}}), "d/b",
          "frontends: table of 6 is full (fixed size)");
  SECTION("an old one that ends makes room only afterwards") {
    service.frontends.erase(node_port(5));
    const auto want = tables({{named("d/a"), service}, {named("d/b"), wanted(2, {2})}});
    CHECK(agent.to(want).refused.size() == 1);
    CHECK(agent.to(want).refused.empty());
  }
  SECTION("a full table takes changes that need no entry") {
    service.flags = 0;
    CHECK(agent.to(tables({{named("d/a"), service}})).refused.empty());
    CHECK(agent.to(tables({{named("d/b"), service}})).refused.empty());  // all handed over
  }
}

TEST_CASE("too many addresses") {
  Limits limits = kSmall;
  limits.addresses = 5;
  Agent agent{limits};
  agent.to(tables({{named("d/a"), wanted(1, {1, 2})}}));  // the node's, one, two: four
  refuses(agent, tables({{named("d/a"), wanted(1, {1, 2})}, {named("d/b"), wanted(2, {3})}}), "d/b",
          "addresses: table of 5 is full (fixed size)");
  // One that is there already, for another reason, costs nothing.
  CHECK(agent.to(tables({{named("d/a"), wanted(1, {1, 2})}, {named("d/b"), wanted(2, {1})}}))
            .refused.empty());
}

TEST_CASE("a name that is too long") {
  Agent agent;
  const std::string longest(WEIR_NAME_MAX - 1, 'x');
  CHECK(agent.to(tables({{named(longest), wanted(1, {1})}})).refused.empty());
  refuses(agent, tables({{named(longest + "x"), wanted(1, {1})}}), longest + "x",
          "name: longer than 199 bytes");
}

TEST_CASE("a refused service loses a frontend that another is given") {
  Agent agent{kSmall};
  auto first = wanted(1, {1, 2, 3, 4});
  first.frontends[frontend(9)] = WEIR_FRONTEND_EXTERNAL_IP;
  agent.to(tables({{named("d/a"), first}, {named("d/b"), wanted(2, {1})}}));
  // Four new backends do not fit, so that it keeps what it had, but for the external IP.
  auto second = wanted(2, {1});
  second.frontends[frontend(9)] = WEIR_FRONTEND_EXTERNAL_IP;
  const auto want = tables({{named("d/a"), wanted(1, {5, 6, 7, 8})}, {named("d/b"), second}});
  CHECK(agent.to(want).refused.size() == 1);
  CHECK(agent.service("d/a").cluster.size() == 4);
  CHECK(agent.service("d/a").frontends.size() == 1);
  CHECK(agent.service("d/b").frontends.size() == 2);
  CHECK(agent.plan(want).operations.empty());
}

TEST_CASE("backends of a refused service that are gone are freed all the same") {
  Agent agent{kSmall};
  agent.to(tables({{named("d/a"), wanted(1, {1, 2, 3, 4})}}));
  agent.live()[4] = 1;
  agent.to(tables({{named("d/a"), wanted(1, {1, 2, 3})}}));
  agent.live()[4] = 0;
  const auto done = agent.to(tables({{named("d/a"), wanted(1, {1, 2, 5, 6, 7, 8})}}));
  CHECK(done.refused.size() == 1);
  CHECK(all_of<SetBackendState>(done).size() == 1);
  CHECK(agent.service("d/a").backends.size() == 3);
}

}  // namespace weir::test
