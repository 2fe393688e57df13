// SPDX-License-Identifier: Apache-2.0
// What changes, what stays, and when an element may be used again. The agent of
// tables_builder.hpp checks the tables themselves after each step.
#include <limits>

#include "plan/gone.hpp"
#include "support/catch.hpp"
#include "unit/plan/tables_builder.hpp"

namespace weir::test {

TEST_CASE("nothing wanted, nothing done") {
  Agent agent;
  CHECK(agent.to({}).operations.empty());
}

TEST_CASE("a new service") {
  Agent agent;
  const auto done = agent.to(tables({{named("d/a"), wanted(1, {1, 2})}}));
  CHECK(agent.service("d/a").id == 1);
  CHECK(agent.service("d/a").version_index == 1);
  CHECK(agent.service("d/a").version.generation == 1);
  CHECK(agent.service("d/a").cluster == std::vector<std::uint32_t>{1, 2});
  CHECK(count_of<ClearStat>(done) == 1);
  CHECK(count_of<SetEpoch>(done) == 0);
  REQUIRE(std::holds_alternative<Grace>(done.operations.back()));
  CHECK(all_of<PutName>(done)[0].value->text == std::string{"d/a"});

  SECTION("the same again: nothing to do") {
    CHECK(agent.to(tables({{named("d/a"), wanted(1, {1, 2})}})).operations.empty());
  }
  SECTION("another service leaves it alone") {
    const auto before = agent.service("d/a");
    const auto more =
        agent.to(tables({{named("c/first"), wanted(2, {1})}, {named("d/a"), wanted(1, {1, 2})}}));
    CHECK(agent.service("d/a") == before);
    CHECK(agent.service("c/first").id == 2);
    CHECK(count_of<Publish>(more) == 1);
    CHECK(count_of<PutBackend>(more) == 1);  // of its own, though the pod is the same
  }
}

TEST_CASE("nothing is published before it is complete") {
  Agent agent;
  const auto done = agent.to(tables({{named("d/a"), wanted(1, {1})}}));
  std::vector<std::size_t> order;
  for (const auto& op : done.operations) order.push_back(op.index());
  const auto at = [&]<class T>(T) {
    return std::ranges::find(order, Operation{T{}}.index()) - order.begin();
  };
  CHECK(at(PutName{}) < at(PutBackend{}));
  CHECK(at(PutBackend{}) < at(Publish{}));
  CHECK(at(PutSlots{}) < at(Publish{}));
  CHECK(at(PutVersion{}) < at(Publish{}));
  CHECK(at(Publish{}) < at(PutFrontend{}));
}

TEST_CASE("lists") {
  Agent agent;
  auto service = wanted(1, {1, 2, 3});
  service.local = {backend(2)};
  agent.to(tables({{named("d/a"), service}}));
  const auto before = agent.service("d/a");
  const auto change = [&] { return agent.to(tables({{named("d/a"), service}})); };

  SECTION("flags alone take a version and no slots") {
    service.flags |= WEIR_VERSION_EXTERNAL_LOCAL;
    const auto done = change();
    CHECK(slots_put(done) == 0);
    CHECK(count_of<PutVersion>(done) == 1);
    const auto& after = agent.service("d/a");
    CHECK(after.version.cluster.first == before.version.cluster.first);
    CHECK(after.version.local.first == before.version.local.first);
    CHECK(after.version.generation == before.version.generation + 1);
    CHECK(after.version_index != before.version_index);
  }
  SECTION("one list changes, the other keeps its slots") {
    service.local = {backend(2), backend(3)};
    CHECK(slots_put(change()) == 2);
    CHECK(agent.service("d/a").version.cluster.first == before.version.cluster.first);
  }
  SECTION("equal lists share slots") {
    service.local = service.cluster;
    CHECK(slots_put(change()) == 0);
    CHECK(agent.service("d/a").version.local.first == before.version.cluster.first);
    SECTION("and part again") {
      service.local = {backend(1)};
      CHECK(slots_put(change()) == 1);
      CHECK(agent.service("d/a").version.cluster.first == before.version.cluster.first);
    }
  }
  SECTION("lists change places") {
    std::swap(service.local, service.cluster);
    CHECK(slots_put(change()) == 0);
    CHECK(agent.service("d/a").version.local.first == before.version.cluster.first);
  }
  SECTION("empty lists need none") {
    service.local.clear();
    service.cluster.clear();
    CHECK(slots_put(change()) == 0);
    CHECK(agent.service("d/a").version.cluster.count == 0);
    CHECK(agent.service("d/a").version.cluster.first == 0);
  }
  SECTION("slots that end are used again after the grace, not before") {
    service.cluster = {backend(1), backend(2)};
    change();
    const auto moved = agent.service("d/a").version.cluster;
    CHECK(moved.first >= 4);
    service.cluster = {backend(1), backend(3)};
    change();
    CHECK(agent.service("d/a").version.cluster.first < 3);
  }
}

TEST_CASE("a backend goes in two steps") {
  Agent agent;
  agent.to(tables({{named("d/a"), wanted(1, {1, 2})}}));
  const auto two = agent.service("d/a").backends.at(backend(2));
  agent.live()[two] = 1;
  const auto less = tables({{named("d/a"), wanted(1, {1})}});

  const auto gone = agent.to(less);
  REQUIRE(all_of<SetBackendState>(gone).size() == 1);
  CHECK(all_of<SetBackendState>(gone)[0].state == WEIR_BACKEND_GONE);
  REQUIRE(all_of<SetEpoch>(gone).size() == 1);
  CHECK(all_of<SetEpoch>(gone)[0].epoch == 1);
  CHECK(agent.current().addresses.contains(backend(2).address.raw()));
  CHECK(agent.current().backends.at(two).state == WEIR_BACKEND_GONE);

  SECTION("kept while it has flows") {
    CHECK(agent.to(less).operations.empty());
  }
  SECTION("free when the last has ended, and its address with it") {
    agent.live()[two] = 0;
    const auto freed = agent.to(less);
    REQUIRE(all_of<SetBackendState>(freed).size() == 1);
    CHECK(all_of<SetBackendState>(freed)[0].state == WEIR_BACKEND_FREE);
    CHECK(count_of<SetEpoch>(freed) == 0);
    CHECK(count_of<DeleteAddress>(freed) == 1);
    CHECK(std::holds_alternative<Grace>(freed.operations.back()));
    CHECK_FALSE(agent.current().addresses.contains(backend(2).address.raw()));
    CHECK(agent.to(less).operations.empty());
    SECTION("the index is given out again, with another generation") {
      const auto done = agent.to(tables({{named("d/a"), wanted(1, {1, 3})}}));
      REQUIRE(all_of<PutBackend>(done).size() == 1);
      CHECK(all_of<PutBackend>(done)[0].index == two);
      CHECK(all_of<PutBackend>(done)[0].value.generation == 2);
    }
  }
  SECTION("freed in the step that gives out another: not that one") {
    agent.live()[two] = 0;
    const auto done = agent.to(tables({{named("d/a"), wanted(1, {1, 3})}}));
    REQUIRE(all_of<PutBackend>(done).size() == 1);
    CHECK(all_of<PutBackend>(done)[0].index != two);
  }
  SECTION("back before that: it goes on in place") {
    const auto back = agent.to(tables({{named("d/a"), wanted(1, {1, 2})}}));
    CHECK(count_of<PutBackend>(back) == 0);
    CHECK(count_of<SetEpoch>(back) == 0);
    CHECK(agent.service("d/a").backends.at(backend(2)) == two);
    CHECK(agent.current().backends.at(two).state == WEIR_BACKEND_ACTIVE);
  }
}

TEST_CASE("the backends that a publication takes away, by protocol") {
  Agent agent;
  const ServiceIdentity udp{"d/a", Protocol::udp, Family::ipv4};
  agent.to(tables({{named("d/a"), wanted(1, {1, 2})}, {udp, wanted(2, {1, 2})}}));
  const auto before = agent.current();
  const auto done = agent.to(tables({{named("d/a"), wanted(1, {2})}, {udp, wanted(2, {1})}}));
  const auto gone = gone_backends(done.operations, done.tables, Protocol::udp);
  const auto index = before.services.at(udp).backends.at(backend(2));
  CHECK(gone == std::vector<GoneBackend>{{index, before.backends.at(index).generation}});
  CHECK(gone_backends(done.operations, done.tables, Protocol::tcp).size() == 1);
  // The next publication frees the entries, which takes nothing away.
  const auto next = agent.to(tables({{named("d/a"), wanted(1, {2})}, {udp, wanted(2, {1})}}));
  CHECK(count_of<SetBackendState>(next) == 2);
  CHECK(gone_backends(next.operations, next.tables, Protocol::udp).empty());
}

TEST_CASE("a backend without flows is not freed in the step in which it goes") {
  Agent agent;
  agent.to(tables({{named("d/a"), wanted(1, {1})}}));
  const auto gone = agent.to(tables({{named("d/a"), wanted(1, {})}}));
  CHECK(all_of<SetBackendState>(gone).size() == 1);
}

TEST_CASE("states and places of a live backend") {
  Agent agent;
  auto service = wanted(1, {1, 2});
  agent.to(tables({{named("d/a"), service}}));
  SECTION("terminating: no epoch, since its flows stay") {
    service.backends[backend(2)].terminating = true;
    service.cluster = {backend(1)};
    const auto done = agent.to(tables({{named("d/a"), service}}));
    CHECK(count_of<SetEpoch>(done) == 0);
    REQUIRE(all_of<SetBackendState>(done).size() == 1);
    CHECK(all_of<SetBackendState>(done)[0].state == WEIR_BACKEND_TERMINATING);
  }
  SECTION("the state alone needs neither version nor grace") {
    service.backends[backend(2)].terminating = true;
    CHECK(agent.to(tables({{named("d/a"), service}})).operations.size() == 1);
  }
  SECTION("on this node") {
    service.backends[backend(2)].local = true;
    const auto done = agent.to(tables({{named("d/a"), service}}));
    REQUIRE(all_of<SetBackendFlags>(done).size() == 1);
    CHECK(all_of<SetBackendFlags>(done)[0].flags == WEIR_BACKEND_LOCAL);
    CHECK(agent.current().addresses.at(backend(2).address.raw()) ==
          (WEIR_ADDRESS_BACKEND | WEIR_ADDRESS_LOCAL));
    CHECK(count_of<Publish>(done) == 0);
    service.backends[backend(2)].local = false;
    agent.to(tables({{named("d/a"), service}}));
    CHECK(agent.current().addresses.at(backend(2).address.raw()) == WEIR_ADDRESS_BACKEND);
  }
}

TEST_CASE("two services share a pod and its address") {
  Agent agent;
  const auto both = tables({{named("d/a"), wanted(1, {1})}, {named("d/b"), wanted(2, {1})}});
  agent.to(both);
  agent.to(tables({{named("d/a"), wanted(1, {1})}}));
  agent.to(tables({{named("d/a"), wanted(1, {1})}}));
  CHECK(agent.current().backends.size() == 1);
  CHECK(agent.current().addresses.contains(backend(1).address.raw()));
}

TEST_CASE("a service goes") {
  Agent agent;
  agent.to(tables({{named("d/a"), wanted(1, {1, 2})}}));
  agent.live()[2] = 1;
  const auto done = agent.to(tables({}));
  CHECK(count_of<DeleteFrontend>(done) == 1);
  CHECK(count_of<DeleteName>(done) == 0);
  CHECK(count_of<SetEpoch>(done) == 1);
  CHECK(agent.service("d/a").version_index == 0);

  agent.to(tables({}));
  CHECK(agent.current().backends.size() == 1);  // the one with a flow
  CHECK(agent.current().services.size() == 1);

  SECTION("its name and id go with the last flow") {
    agent.live()[2] = 0;
    const auto last = agent.to(tables({}));
    CHECK(count_of<DeleteName>(last) == 1);
    CHECK(agent.current().services.empty());
    CHECK(agent.to(tables({})).operations.empty());
    const auto next = agent.to(tables({{named("d/z"), wanted(1, {1})}}));
    CHECK(agent.service("d/z").id == 1);
    CHECK(count_of<ClearStat>(next) == 1);
  }
  SECTION("the id is not another's meanwhile") {
    agent.to(tables({{named("d/z"), wanted(1, {1})}}));
    CHECK(agent.service("d/z").id == 2);
  }
  SECTION("it comes back as what it was") {
    const auto back = agent.to(tables({{named("d/a"), wanted(1, {1, 2})}}));
    CHECK(agent.service("d/a").id == 1);
    CHECK(agent.service("d/a").backends.at(backend(2)) == 2);
    CHECK(count_of<ClearStat>(back) == 0);
    CHECK(count_of<PutBackend>(back) == 1);
  }
}

TEST_CASE("an address that a service gave up is known while there are flows") {
  const auto known = [](Agent& agent, std::uint32_t number) {
    const auto& addresses = agent.current().addresses;
    const auto found = addresses.find(frontend(number).addr);
    return found == addresses.end() ? 0U : found->second;
  };
  Agent agent;
  agent.to(tables({{named("d/a"), wanted(1, {1})}, {named("d/b"), wanted(2, {2})}}));
  agent.live()[2] = 1;  // of another service: which address a flow goes to is not told
  agent.to(tables({{named("d/b"), wanted(2, {2})}}));
  CHECK(known(agent, 1) == WEIR_ADDRESS_PAST);
  CHECK(known(agent, 2) == WEIR_ADDRESS_SERVICE);

  SECTION("and forgotten after the last") {
    agent.live()[2] = 0;
    agent.to(tables({{named("d/b"), wanted(2, {2})}}));
    CHECK(known(agent, 1) == 0U);
  }
  SECTION("and a service's again once one claims it") {
    agent.to(tables({{named("d/b"), wanted(2, {2})}, {named("d/c"), wanted(1, {1})}}));
    CHECK(known(agent, 1) == WEIR_ADDRESS_SERVICE);
  }
}

TEST_CASE("a service without backends goes at once") {
  Agent agent;
  agent.to(tables({{named("d/a"), wanted(1, {})}}));
  agent.to(tables({}));
  CHECK(agent.current().services.empty());
}

TEST_CASE("frontends") {
  Agent agent;
  auto service = wanted(1, {1});
  agent.to(tables({{named("d/a"), service}}));
  SECTION("one more takes no version") {
    service.frontends[node_port(30'080)] = WEIR_FRONTEND_NODE_PORT;
    service.frontends[frontend(9)] = WEIR_FRONTEND_EXTERNAL_IP;
    const auto done = agent.to(tables({{named("d/a"), service}}));
    CHECK(count_of<PutFrontend>(done) == 2);
    CHECK(count_of<Publish>(done) == 0);
    CHECK(count_of<Grace>(done) == 0);
    SECTION("and one less moves the epoch") {
      service.frontends.erase(node_port(30'080));
      const auto less = agent.to(tables({{named("d/a"), service}}));
      CHECK(count_of<DeleteFrontend>(less) == 1);
      CHECK(count_of<SetEpoch>(less) == 1);
    }
    SECTION("another kind is written over it") {
      service.frontends[frontend(9)] = WEIR_FRONTEND_LOAD_BALANCER;
      const auto other = agent.to(tables({{named("d/a"), service}}));
      CHECK(count_of<PutFrontend>(other) == 1);
      CHECK(other.operations.size() == 1);
    }
  }
  SECTION("handed over to another service without a gap") {
    const auto done = agent.to(tables({{named("d/b"), wanted(1, {2})}}));
    CHECK(count_of<DeleteFrontend>(done) == 0);
    CHECK(count_of<DeleteAddress>(done) == 0);
    CHECK(count_of<SetEpoch>(done) == 1);
  }
}

TEST_CASE("names follow the type and the port") {
  Agent agent;
  auto service = wanted(1, {1});
  agent.to(tables({{named("d/a"), service}}));
  service.type = WEIR_TYPE_NODE_PORT;
  const auto done = agent.to(tables({{named("d/a"), service}}));
  CHECK(count_of<PutName>(done) == 1);
  CHECK(done.operations.size() == 1);
}

TEST_CASE("addresses of the node") {
  Agent agent;
  auto want = tables({{named("d/a"), wanted(1, {1})}});
  agent.to(want);
  SECTION("a new one") {
    want.addresses[address4(0xc0000202)] = WEIR_ADDRESS_NODE;
    CHECK(count_of<PutAddress>(agent.to(want)) == 1);
  }
  SECTION("one less") {
    want.addresses.erase(address4(0xc0000201));
    CHECK(count_of<DeleteAddress>(agent.to(want)) == 1);
  }
  SECTION("a backend on the host network has the node's address") {
    auto service = wanted(1, {});
    const BackendIdentity host{Address{address4(0xc0000201)}, 443};
    service.backends[host] = {.terminating = false, .local = true, .reset = false};
    service.cluster = {host};
    want.services[named("d/a")] = service;
    agent.to(want);
    CHECK(agent.current().addresses.at(address4(0xc0000201)) ==
          (WEIR_ADDRESS_NODE | WEIR_ADDRESS_NODE_PORT | WEIR_ADDRESS_BACKEND | WEIR_ADDRESS_LOCAL));
    want.services[named("d/a")] = wanted(1, {});
    agent.to(want);
    agent.to(want);
    CHECK(agent.current().addresses.at(address4(0xc0000201)) ==
          (WEIR_ADDRESS_NODE | WEIR_ADDRESS_NODE_PORT));
  }
}

TEST_CASE("the epoch is bumped once and wraps") {
  ProgrammedTables current =
      reconcile({}, tables({{named("d/a"), wanted(1, {1, 2, 3})}}), {}, [](auto) {
        return 0;
      }).tables;
  current.epoch = std::numeric_limits<std::uint32_t>::max();
  const auto done = reconcile(current, {}, {}, [](auto) { return 0; });
  REQUIRE(all_of<SetEpoch>(done).size() == 1);
  CHECK(all_of<SetEpoch>(done)[0].epoch == 0);
  CHECK(done.tables.epoch == 0);
}

TEST_CASE("an agent that starts anew finds nothing to do") {
  Agent agent;
  auto service = wanted(1, {1, 2, 3});
  service.local = {backend(2)};
  service.backends[backend(2)].local = true;
  service.backends[backend(3)].terminating = true;
  const auto want = tables({{named("d/a"), service}, {named("d/b"), wanted(2, {1})}});
  agent.to(want);
  agent.killed_on_the_way_to(want, 0);
  CHECK(agent.plan(want).operations.empty());
}

}  // namespace weir::test
