// SPDX-License-Identifier: Apache-2.0
// sessionAffinity: ClientIP. A client keeps its backend over all frontends of a service port, as
// long as that one is in the list in use.
#include <set>
#include <stdexcept>
#include <tuple>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

constexpr std::uint32_t kTimeout = 107;  // seconds, or
constexpr std::uint32_t kTicks = 100;    // of 1.0737 s, rounded up

struct Before {
  bool operator()(const Endpoint& a, const Endpoint& b) const {
    return std::tie(a.ip, a.port) < std::tie(b.ip, b.port);
  }
};
using Ends = std::set<Endpoint, Before>;

// Two frontends; backends 0 and 2 on this node, 1 and 3 on another.
Service service_in(const World& world) {
  return {.proto = IPPROTO_UDP,
          .frontends = {{{world.cluster_ip, 80}, WEIR_FRONTEND_CLUSTER_IP},
                        {{world.vip, 443}, WEIR_FRONTEND_LOAD_BALANCER}},
          .backends = {{{world.pod1, 8080}, true},
                       {{world.remote, 8080}, false},
                       {{world.pod1, 8081}, true},
                       {{world.remote, 8081}, false}},
          .policies = 0,
          .affinity = kTimeout,
          .ranges = 0};
}

// The backends that new connections of `client` get, from 32 ports.
Ends backends_of(Datapath& dp, const std::string& client, const Endpoint& to,
                 std::uint16_t first_port = 2000) {
  Ends reached;
  for (std::uint16_t port = first_port; port < first_port + 32; ++port) {
    const auto ran = dp.run_uncounted(Hook::kUpIn, Device::kUp0,
                                      from_uplink(IPPROTO_UDP, {client, port}, to).frame());
    const auto parsed = parse(ran.out).value();
    reached.insert({parsed.daddr, parsed.dport});
  }
  return reached;
}

std::size_t number_of(const Service& service, const Endpoint& backend) {
  for (std::size_t i = 0; i < service.backends.size(); ++i)
    if (service.backends[i].at == backend) return i;
  throw std::runtime_error{"a backend of nobody"};
}

struct Noted {
  std::uint32_t used;
  std::uint32_t generation;
};

// The client is noted to have each backend in turn. How many of them it keeps: one that is chosen
// for another reason is another each time, or the same.
std::size_t kept_of_each(Datapath& dp, const World& world, const Served& served, const Noted& noted,
                         std::uint16_t& port) {
  const auto service = service_in(world);
  std::size_t hits = 0;
  for (const auto backend : served.backends) {
    dp.set_affinity(
        world.client, served.id,
        {.backend = backend, .generation = noted.generation, .used = noted.used, .zero = 0});
    const auto request =
        from_uplink(IPPROTO_UDP, {world.client, port++}, {world.cluster_ip, 80}).frame();
    const auto parsed = parse(dp.run_uncounted(Hook::kUpIn, Device::kUp0, request).out).value();
    if (served.backends.at(number_of(service, {parsed.daddr, parsed.dport})) == backend) ++hits;
  }
  return hits;
}

}  // namespace

TEST_CASE("a client keeps its backend, over every frontend, and others do not mind",
          "[1.2/affinity][1.2/affinity-shared]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const auto service = service_in(world);
    const auto served = dp.serve(service);
    const auto one = backends_of(dp, world.client, {world.cluster_ip, 80});
    REQUIRE(one.size() == 1);
    CHECK(backends_of(dp, world.client, {world.vip, 443}, 3000) == one);
    const auto entry = dp.affinity(world.client, served.id).value();
    const auto backend = served.backends.at(number_of(service, *one.begin()));
    CHECK(entry.backend == backend);
    CHECK(entry.generation == dp.backend(backend).generation);
    Ends all;
    for (int i = 1; i < 40; ++i) {
      const auto client =
          (world.family == 4 ? "198.51.100." : "2001:db8:100::") + std::to_string(100 + i);
      const auto its = backends_of(dp, client, {world.cluster_ip, 80});
      CHECK(its.size() == 1);
      all.insert(its.begin(), its.end());
    }
    CHECK(all.size() == 4);
  });
}

TEST_CASE("without affinity, or of another service, nothing is remembered",
          "[1.2/affinity-ports]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    auto service = service_in(world);
    service.affinity = 0;
    const auto served = dp.serve(service);
    CHECK(backends_of(dp, world.client, {world.cluster_ip, 80}).size() > 1);
    CHECK_FALSE(dp.affinity(world.client, served.id));
  });
  in_both_worlds([](Datapath& dp, const World& world) {
    auto service = service_in(world);
    const auto served = dp.serve(service);
    for (auto& frontend : service.frontends) ++frontend.at.port;
    const auto other = dp.serve(service);
    for (std::uint16_t i = 0; i < 4; ++i)
      dp.set_affinity(
          world.client, other.id,
          {.backend = served.backends.at(i), .generation = 7, .used = now_ticks(), .zero = 0});
    backends_of(dp, world.client, {world.cluster_ip, 80});
    CHECK(dp.affinity(world.client, served.id));
    CHECK(dp.affinity(world.client, other.id).value().backend == served.backends.at(3));
  });
}

TEST_CASE("every connection of the client puts the end off, and packets of one do not",
          "[1.2/affinity-refresh]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const auto service = service_in(world);
    const auto served = dp.serve(service);
    const auto packet = from_uplink(IPPROTO_UDP, {world.client, 2000}, {world.cluster_ip, 80});
    dp.run_uncounted(Hook::kUpIn, Device::kUp0, packet.frame());
    auto entry = dp.affinity(world.client, served.id).value();
    entry.used -= 50;
    dp.set_affinity(world.client, served.id, entry);
    dp.run_uncounted(Hook::kUpIn, Device::kUp0, packet.frame());
    CHECK(dp.affinity(world.client, served.id).value().used == entry.used);
    dp.run_uncounted(Hook::kUpIn, Device::kUp0, packet.from_port(2001).frame());
    const auto after = dp.affinity(world.client, served.id).value();
    CHECK(now_ticks() - after.used <= 1);
    CHECK(after.backend == entry.backend);
  });
}

TEST_CASE("an affinity is over when the timeout is, to the tick", "[1.2/affinity-timeout]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const auto service = service_in(world);
    const auto served = dp.serve(service);
    std::uint16_t port = 2000;
    const auto kept_now = [&](std::uint32_t used) {
      return kept_of_each(dp, world, served, {.used = used, .generation = 7}, port);
    };
    const auto kept = [&](std::uint32_t age) {
      while (true) {  // once more, if a tick has passed meanwhile
        const auto tick = now_ticks();
        const auto hits = kept_now(tick - age);
        if (now_ticks() == tick) return hits;
      }
    };
    CHECK(kept(kTicks) == 4);
    CHECK(kept(kTicks + 1) < 4);
  });
}

TEST_CASE("a timeout that changes counts for clients that are known already",
          "[1.2/affinity-timeout-change]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    auto service = service_in(world);
    const auto served = dp.serve(service);
    std::uint16_t port = 2000;
    const auto kept = [&] {
      return kept_of_each(dp, world, served, {.used = now_ticks() - kTicks / 2, .generation = 7},
                          port);
    };
    CHECK(kept() == 4);
    service.affinity = kTimeout / 4;
    dp.publish(served, service, 100);
    CHECK(kept() < 4);
    service.affinity = kTimeout;
    dp.publish(served, service, 101);
    CHECK(kept() == 4);
  });
}

TEST_CASE("a backend that is not in the list in use is not kept",
          "[1.2/affinity-list-in-use][1.2/affinity-source]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    auto service = service_in(world);
    service.policies = WEIR_VERSION_EXTERNAL_LOCAL;
    const auto served = dp.serve(service);
    const auto affinity_to = [&](std::size_t i) {
      dp.set_affinity(
          world.client, served.id,
          {.backend = served.backends.at(i), .generation = 7, .used = now_ticks(), .zero = 0});
    };
    affinity_to(1);  // on another node
    CHECK(backends_of(dp, world.client, {world.cluster_ip, 80}) == Ends{service.backends[1].at});
    affinity_to(1);
    const auto local = backends_of(dp, world.client, {world.vip, 443}, 3000);
    REQUIRE(local.size() == 1);  // chosen, and kept from then on
    CHECK(service.backends[number_of(service, *local.begin())].local);
    affinity_to(2);
    CHECK(backends_of(dp, world.client, {world.vip, 443}, 4000) == Ends{service.backends[2].at});
  });
}

TEST_CASE("a backend that has gone loses its clients, also if its index is used again",
          "[1.2/affinity-ends-with-endpoint]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    auto service = service_in(world);
    const auto served = dp.serve(service);
    const auto first =
        number_of(service, *backends_of(dp, world.client, {world.cluster_ip, 80}).begin());
    SECTION("it is in no list any more") {
      auto less = service;
      auto remaining = served;
      less.backends.erase(less.backends.begin() + static_cast<std::ptrdiff_t>(first));
      remaining.backends.erase(remaining.backends.begin() + static_cast<std::ptrdiff_t>(first));
      dp.publish(remaining, less, 100);
      const auto now = backends_of(dp, world.client, {world.cluster_ip, 80}, 3000);
      REQUIRE(now.size() == 1);
      CHECK(*now.begin() != service.backends[first].at);
    }
    SECTION("its place was given to another") {
      for (const auto backend : served.backends) dp.recycle(backend);
      std::uint16_t port = 3000;
      CHECK(kept_of_each(dp, world, served, {.used = now_ticks(), .generation = 7}, port) < 4);
      CHECK(kept_of_each(dp, world, served, {.used = now_ticks(), .generation = 8}, port) == 4);
    }
  });
}

TEST_CASE("lists of every length find each of their backends, and none of others") {
  in_both_worlds([](Datapath& dp, const World& world) {
    for (std::uint16_t length = 1; length <= 9; ++length) {
      Service service = service_in(world);
      service.backends.clear();
      for (std::uint16_t i = 0; i < length; ++i)
        service.backends.push_back({{world.pod1, static_cast<std::uint16_t>(8000 + i)}, true});
      for (auto& frontend : service.frontends)
        frontend.at.port = static_cast<std::uint16_t>(frontend.at.port + 10 * length);
      const auto served = dp.serve(service);
      for (std::uint16_t i = 0; i < length; ++i) {
        dp.set_affinity(
            world.client, served.id,
            {.backend = served.backends.at(i), .generation = 7, .used = now_ticks(), .zero = 0});
        const auto first_port = static_cast<std::uint16_t>(2000 + 1000 * length + 32 * i);
        CHECK(backends_of(dp, world.client, service.frontends[0].at, first_port) ==
              Ends{service.backends[i].at});
      }
      // One in front of the list and one behind it.
      for (const auto index : {served.backends.front() - 1, served.backends.back() + 1}) {
        dp.set_affinity(world.client, served.id,
                        {.backend = index,
                         .generation = dp.backend(index).generation,
                         .used = now_ticks(),
                         .zero = 0});
        const auto port = static_cast<std::uint16_t>(20000 + 100 * length);
        const auto reached = backends_of(dp, world.client, service.frontends[0].at, port);
        CHECK(reached.size() == 1);
        CHECK_NOTHROW(number_of(service, *reached.begin()));
      }
    }
  });
}

TEST_CASE("a SYN that nobody answered moves the client to another backend") {
  in_both_worlds([](Datapath& dp, const World& world) {
    auto service = service_in(world);
    service.proto = IPPROTO_TCP;
    const auto served = dp.serve(service);
    const auto syn =
        from_uplink(IPPROTO_TCP, {world.client, 2000}, {world.cluster_ip, 80}).flags(kSyn);
    dp.run_uncounted(Hook::kUpIn, Device::kUp0, syn.frame());
    const auto before = dp.affinity(world.client, served.id).value();
    dp.run_uncounted(Hook::kUpIn, Device::kUp0, syn.frame());
    const auto after = dp.affinity(world.client, served.id).value();
    CHECK(before.backend != after.backend);
  });
}

}  // namespace weir::test
