// SPDX-License-Identifier: Apache-2.0
// Source ports: each flow has its own, and half-open flows keep none from a new one.
#include <arpa/inet.h>

#include <map>
#include <set>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

constexpr std::array<Hook, 2> kSenders{Hook::kUpIn, Hook::kXdp};

// A VIP with one backend on another node, and these ports to reach it from.
struct Node {
  Datapath& dp;
  const World& world;

  Node(Datapath& datapath, const World& in, weir_port_range first, weir_port_range second)
      : dp{datapath}, world{in} {
    dp.serve({.proto = IPPROTO_UDP,
              .frontends = {{{world.vip, 80}, WEIR_FRONTEND_LOAD_BALANCER}},
              .backends = {{{world.remote, 8080}, false}},
              .policies = 0});
    dp.allow_xdp_to(Device::kUp0);
    dp.configure([&](weir_config& config) {
      config.source_ports[0] = first;
      config.source_ports[1] = second;
    });
  }

  [[nodiscard]] Ran ask(std::uint16_t port, Hook sender = Hook::kUpIn) const {
    return dp.run(sender, Device::kUp0,
                  from_uplink(IPPROTO_UDP, {world.client, port}, {world.vip, 80}).frame());
  }
  Ran answer(std::uint16_t to) const {
    return dp.run(Hook::kUpIn, Device::kUp0,
                  Packet::udp({world.remote, 8080}, {world.node, to}).frame());
  }
  [[nodiscard]] weir_flow_key forward(std::uint16_t port) const {
    return to_key(IPPROTO_UDP, {world.client, port}, {world.vip, 80});
  }
  [[nodiscard]] weir_flow_key reply(std::uint16_t port) const {
    return to_key(IPPROTO_UDP, {world.remote, 8080}, {world.node, port});
  }
};

std::uint16_t source_of(const Ran& ran) {
  REQUIRE(ran.verdict == Verdict::kRedirect);
  return parse(ran.out).value().sport;
}

}  // namespace

TEST_CASE("source ports come from both ranges, each flow has its own, and all can be used") {
  for (const auto sender : kSenders) {
    in_both_worlds([&](Datapath& dp, const World& world) {
      INFO(sender);
      const Node node{dp, world, {100, 5}, {2000, 60}};
      std::map<std::uint16_t, int> drawn;
      for (std::uint16_t port = 5000; port < 5020; ++port)
        ++drawn[source_of(node.ask(port, sender))];
      CHECK(drawn.size() == 20);  // no two: one draw of 16 finds one of 45 free ports
      for (std::uint16_t port = 5020; port < 5400; ++port)
        ++drawn[source_of(node.ask(port, sender))];
      CHECK(drawn.size() == 65);
      for (const auto& [port, flows] : drawn)
        CHECK(((port >= 100 && port < 105) || (port >= 2000 && port < 2060)));
    });
  }
}

TEST_CASE("an established flow keeps its port against all others") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Node node{dp, world, {100, 1}, {0, 0}};
    CHECK(source_of(node.ask(1)) == 100);
    node.answer(100);
    REQUIRE(dp.count_flows(FlowTable::kEstablished) == 2);
    dp.configure([](weir_config& config) { config.life_half = 0; });
    CHECK(node.ask(2).counted == Names{"drop_no_port"});
    CHECK(dp.count_flows(FlowTable::kHalfUdp) == 0);
  });
}

TEST_CASE("a half-open flow gives its port to a new one when there is no other, whole") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Node node{dp, world, {100, 1}, {0, 0}};
    CHECK(source_of(node.ask(1)) == 100);
    CHECK(source_of(node.ask(2)) == 100);
    CHECK_FALSE(dp.flow(FlowTable::kHalfUdp, node.forward(1)));
    CHECK(dp.flow(FlowTable::kHalfUdp, node.reply(100)).value().dport == htons(2));
    // The answer is the second's, and the first, if it asks again, gets none of it.
    CHECK(parse(node.answer(100).out).value().dport == 2);
    CHECK(node.ask(1).counted == Names{"drop_no_port"});
  });
}

TEST_CASE("half-open flows give way among established ones too") {
  in_both_worlds([](Datapath& dp, const World& world) {
    // Half of the ports are established flows', the other half a flood's.
    const Node node{dp, world, {100, 40}, {0, 0}};
    std::set<std::uint16_t> established;
    for (std::uint16_t port = 1; port <= 20; ++port) {
      const auto source = source_of(node.ask(port));
      node.answer(source);
      established.insert(source);
    }
    REQUIRE(dp.count_flows(FlowTable::kEstablished) == 40);
    // 16 draws all fail once in 2^16; the flood's first twenty find what is free.
    int dropped = 0;
    for (std::uint16_t port = 1000; port < 1500; ++port) {
      const auto ran = node.ask(port);
      if (ran.verdict == Verdict::kDrop)
        ++dropped;
      else
        CHECK_FALSE(established.contains(source_of(ran)));
    }
    CHECK(dropped <= 2);
  });
}

TEST_CASE("while there are other ports, a half-open flow keeps its own") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Node node{dp, world, {100, 64}, {0, 0}};
    std::set<std::uint16_t> drawn;
    for (std::uint16_t port = 1; port <= 4; ++port) drawn.insert(source_of(node.ask(port)));
    CHECK(drawn.size() == 4);  // of 64: 16 draws all fail once in 2^70
    for (std::uint16_t port = 1; port <= 4; ++port)
      CHECK(dp.flow(FlowTable::kHalfUdp, node.forward(port)).has_value());
  });
}

TEST_CASE("the port of a flow that lost its forward half is free, those of the living are not") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Node node{dp, world, {100, 2}, {0, 0}};
    for (std::uint16_t turn = 0; turn < 64; ++turn) {
      const std::uint16_t living = 1, dead = 1000 + turn, next = 2000 + turn;
      const auto kept = source_of(node.ask(living));
      const auto orphaned = source_of(node.ask(dead));
      REQUIRE(kept != orphaned);
      dp.erase_flow(FlowTable::kHalfUdp, node.forward(dead));
      // Taken from the living, it would be so in every second turn.
      CHECK(source_of(node.ask(next)) == orphaned);
      CHECK(dp.flow(FlowTable::kHalfUdp, node.forward(living)).has_value());
      for (const auto& key : {node.forward(next), node.reply(orphaned)})
        dp.erase_flow(FlowTable::kHalfUdp, key);
    }
  });
}

TEST_CASE("a port whose flow came to nothing is free again after life_half") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Node node{dp, world, {100, 1}, {0, 0}};
    CHECK(source_of(node.ask(1)) == 100);
    auto reply = dp.flow(FlowTable::kHalfUdp, node.reply(100)).value();
    reply.touched -= 61;
    dp.set_flow(FlowTable::kHalfUdp, node.reply(100), reply);
    CHECK(source_of(node.ask(2)) == 100);
    CHECK(dp.flow(FlowTable::kHalfUdp, node.reply(100)).value().dport == htons(2));
    // It was stale, and so was not taken: its forward half is left to age by itself.
    CHECK(dp.flow(FlowTable::kHalfUdp, node.forward(1)).has_value());
  });
}

}  // namespace weir::test
