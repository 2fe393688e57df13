// SPDX-License-Identifier: Apache-2.0
// Source NAT at the uplink: ports, ways out, and what XDP leaves to tc.
#include <algorithm>
#include <cstring>
#include <set>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

bool same(const weir_way& a, const weir_way& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

constexpr std::array<Hook, 2> kSenders{Hook::kUpIn, Hook::kXdp};

// A VIP with one backend somewhere off this node.
void serve(Datapath& dp, const World& world, std::uint8_t proto, const std::string& backend) {
  dp.serve({.proto = proto,
            .frontends = {{{world.vip, 80}, WEIR_FRONTEND_LOAD_BALANCER}},
            .backends = {{{backend, 8080}, false}},
            .policies = 0});
  dp.allow_xdp_to(Device::kUp0);
}

Packet request(const World& world, std::uint16_t port) {
  return from_uplink(IPPROTO_UDP, {world.client, port}, {world.vip, 80});
}

bool has(const Ran& ran, const char* name) {
  return std::find(ran.counted.begin(), ran.counted.end(), name) != ran.counted.end();
}

}  // namespace

TEST_CASE("no way out, and no name on it, drop by name") {
  for (const auto sender : kSenders) {
    in_both_worlds([&](Datapath& dp, const World& world) {
      INFO(sender);
      serve(dp, world, IPPROTO_UDP, world.unreachable);
      const auto ran = dp.run(sender, Device::kUp0, request(world, 1).frame());
      CHECK(ran.verdict == Verdict::kDrop);
      CHECK(ran.counted == Names{"drop_no_route"});
    });
    in_both_worlds([&](Datapath& dp, const World& world) {
      serve(dp, world, IPPROTO_UDP, world.remote);
      dp.set_device(Device::kUp0, {});
      const auto ran = dp.run(sender, Device::kUp0, request(world, 1).frame());
      CHECK(ran.verdict == Verdict::kDrop);
      CHECK(ran.counted == Names{"drop_no_source"});
    });
  }
}

TEST_CASE("XDP leaves untouched what it can't send, and tc sends it under the same choice") {
  in_both_worlds([](Datapath&, const World& world) {
    struct Case {
      std::string backend;
      const char* counter;
    };
    // `far` is reached through a device that XDP was not allowed to send to.
    for (const auto& row :
         {Case{world.unresolved, "pass_to_tc_neighbour"}, Case{world.far, "pass_to_tc_route"}}) {
      Datapath fresh;
      INFO(row.counter);
      serve(fresh, world, IPPROTO_TCP, row.backend);
      const auto syn = from_uplink(IPPROTO_TCP, {world.client, 40000}, {world.vip, 80});
      const auto left = fresh.run(Hook::kXdp, Device::kUp0, syn.frame());
      check(left, Verdict::kNext, syn.frame(), {row.counter, "flow_new"});
      // The same packet, now at tc: no retransmission, so the very flow is used.
      const auto sent = fresh.run(Hook::kUpIn, Device::kUp0, syn.frame());
      check_bytes(sent, Verdict::kRedirect,
                  syn.from({row.backend == world.far ? world.node1 : world.node,
                            parse(sent.out).value().sport})
                      .to({row.backend, 8080})
                      .ttl(63)
                      .frame());
      CHECK(sent.counted == Names{"forward_tc_sent"});
      CHECK(fresh.count_flows(FlowTable::kHalfTcp) == 2);
    }
  });
}

TEST_CASE("XDP leaves flows to pods of this node to tc") {
  in_both_worlds([](Datapath& dp, const World& world) {
    for (const int proto : {IPPROTO_TCP, IPPROTO_UDP}) {
      dp.serve({.proto = static_cast<std::uint8_t>(proto),
                .frontends = {{{world.vip, 80}, WEIR_FRONTEND_LOAD_BALANCER}},
                .backends = {{{world.pod0, 8080}, true}},
                .policies = 0});
      const auto opening =
          from_uplink(static_cast<std::uint8_t>(proto), {world.client, 40000}, {world.vip, 80});
      check(dp.run(Hook::kXdp, Device::kUp0, opening.frame()), Verdict::kNext, opening.frame(),
            {"pass_to_tc_local", "flow_new"});
      check(dp.run(Hook::kUpIn, Device::kUp0, opening.frame()), Verdict::kNext,
            opening.to({world.pod0, 8080}).frame(), {"forward_tc"});
      check(dp.run(Hook::kXdp, Device::kUp0, opening.flags(kAck).frame()), Verdict::kNext,
            opening.flags(kAck).frame(), {"pass_to_tc_local"});
    }
  });
}

TEST_CASE("XDP lets the stack have one packet of a flow now and then, for its neighbour entry") {
  on_every(kSentPaths, [](Datapath& dp, Conversation& talk) {
    if (!talk.path().xdp()) return;
    talk.establish();
    auto record = dp.flow(FlowTable::kEstablished, talk.forward_key()).value();
    record.touched -= 1;
    const auto data = talk.data();
    // Due in the tick that is the backend's index modulo 16; move the flow to that backend.
    record.backend = now_ticks();
    dp.set_flow_sealed(FlowTable::kEstablished, talk.forward_key(), record);
    const auto probe = talk.forward(data);
    check(probe, Verdict::kNext, data.frame(), {"pass_to_tc_probe"});
    check_bytes(talk.forward(data), talk.went(), talk.forwarded(data).frame());
  });
}

TEST_CASE("a raw device has an Ethernet header put in front of what is sent on") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world, IPPROTO_UDP, world.remote);
    const auto sent = request(world, 40000).payload("a longer query").raw();
    const auto ran = dp.run(Hook::kRawIn, Device::kUp0, sent.frame());
    Frame ip{.bytes = {}, .link = Link::kNone};
    REQUIRE(ran.out.bytes.size() == sent.frame().bytes.size() + 14);
    ip.bytes.assign(ran.out.bytes.begin() + 14, ran.out.bytes.end());
    const Endpoint source{world.node, parse(ip).value().sport};
    INFO(difference(ip, sent.from(source).to({world.remote, 8080}).ttl(63).frame()));
    CHECK(ip == sent.from(source).to({world.remote, 8080}).ttl(63).frame());
    CHECK(ran.verdict == Verdict::kRedirect);
    CHECK(has(ran, "forward_tc_sent"));
  });
}

TEST_CASE("a flow follows its route") {
  on_every(kSentPaths, [](Datapath& dp, Conversation& talk) {
    talk.establish();
    auto record = dp.flow(FlowTable::kEstablished, talk.forward_key()).value();
    const auto right = record;
    record.way.ifindex = 4711;
    record.way.dmac[5] = 0x99;
    record.way.mtu = 9000;
    record.touched -= 1;  // due for its tick
    dp.set_flow_sealed(FlowTable::kEstablished, talk.forward_key(), record);
    check_bytes(talk.forward(talk.data()), talk.went(), talk.forwarded(talk.data()).frame());
    record = dp.flow(FlowTable::kEstablished, talk.forward_key()).value();
    CHECK(same(record.way, right.way));
  });
}

TEST_CASE("a way that was found for another flow is not followed") {
  on_every(kSentPaths, [](Datapath& dp, Conversation& talk) {
    talk.establish();
    auto record = dp.flow(FlowTable::kEstablished, talk.forward_key()).value();
    const auto right = record;
    record.way.dmac[5] = 0x99;
    dp.set_flow(FlowTable::kEstablished, talk.forward_key(), record);
    check_bytes(talk.forward(talk.data()), talk.went(), talk.forwarded(talk.data()).frame());
    record = dp.flow(FlowTable::kEstablished, talk.forward_key()).value();
    CHECK(same(record.way, right.way));
  });
}

TEST_CASE("once a tick a flow's packets and bytes are counted on backend and service") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto data = talk.data().payload(30);
    for (int i = 0; i < 3; ++i) talk.forward(data);
    auto record = dp.flow(FlowTable::kEstablished, talk.forward_key()).value();
    record.touched -= 1;
    dp.set_flow(FlowTable::kEstablished, talk.forward_key(), record);
    talk.forward(data);  // settles what came before it
    const auto size = parse(data.frame()).value().ip_length;
    const auto backend = dp.backend(talk.served().backends.front());
    CHECK(backend.packets >= 3);
    CHECK(backend.packets <= 6);  // with those of the handshake
    CHECK(backend.bytes >= 3ULL * size);
    const auto stat = dp.stat(talk.served().id);
    CHECK(stat.packets == backend.packets);
    CHECK(stat.bytes == backend.bytes);
  });
}

TEST_CASE("a way sealed for another record is not followed") {
  on_every(kSentPaths, [](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto key = talk.forward_key();
    const auto right = dp.flow(FlowTable::kEstablished, key).value();
    auto other = right;
    other.way.dmac[5] = 0x99;
    other.way.ifindex = 4711;
    ++other.service;
    dp.set_flow_sealed(FlowTable::kEstablished, key, other);
    auto record = right;
    record.way = dp.flow(FlowTable::kEstablished, key).value().way;
    dp.set_flow(FlowTable::kEstablished, key, record);
    check_bytes(talk.forward(talk.data()), talk.went(), talk.forwarded(talk.data()).frame());
    record = dp.flow(FlowTable::kEstablished, key).value();
    CHECK(same(record.way, right.way));
  });
}

TEST_CASE("what backend and service have is what both directions have handed on") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto of = [&](const weir_flow_key& key) {
      return dp.flow(FlowTable::kEstablished, key).value();
    };
    const auto due = [&](const weir_flow_key& key) {
      auto record = of(key);
      record.touched -= 1;
      dp.set_flow(FlowTable::kEstablished, key, record);
    };
    for (int tick = 0; tick < 3; ++tick) {
      for (int i = 0; i < 3; ++i) {
        talk.forward(talk.data());
        talk.reply(talk.more());
      }
      due(talk.forward_key());
      due(talk.reply_key());
      talk.forward(talk.data());
      talk.reply(talk.more());
    }
    const auto forward = of(talk.forward_key());
    const auto reply = of(talk.reply_key());
    CHECK(forward.counted_packets >= 11);
    CHECK(reply.counted_packets >= 11);
    const auto backend = dp.backend(talk.served().backends.front());
    CHECK(backend.packets == forward.counted_packets + reply.counted_packets);
    CHECK(backend.bytes == forward.counted_bytes + reply.counted_bytes);
    const auto stat = dp.stat(talk.served().id);
    CHECK(stat.packets == backend.packets);
    CHECK(stat.bytes == backend.bytes);
  });
}

TEST_CASE("tc asks the kernel for the next hop at a flow's first packet, and of a tick its first") {
  for (const auto& path : kSentPaths) {
    if (path.xdp() || path.raw()) continue;
    for (const auto* world : {&kV4, &kV6}) {
      INFO(path.name << ", IPv" << world->family);
      Datapath dp;
      Conversation talk{dp, *world, path, IPPROTO_UDP};
      CHECK_FALSE(talk.forward(talk.opening()).straight);
      CHECK_FALSE(talk.reply(talk.answer()).straight);  // its way is looked up by that packet
      auto record = dp.flow(FlowTable::kEstablished, talk.forward_key()).value();
      const auto packets_straight = [&](std::uint32_t touched) {
        record.touched = touched;
        dp.set_flow(FlowTable::kEstablished, talk.forward_key(), record);
        const auto ran = talk.forward(talk.data());
        CHECK(ran.verdict == Verdict::kRedirect);
        return ran.straight;
      };
      CHECK_FALSE(packets_straight(now_ticks() - 1));
      // The tick may change between the two.
      CHECK((packets_straight(now_ticks()) || packets_straight(now_ticks())));
      // Without an address there is nothing to write.
      record.way = {};
      CHECK_FALSE(packets_straight(now_ticks()));
    }
  }
}

}  // namespace weir::test
