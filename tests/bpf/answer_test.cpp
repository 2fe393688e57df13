// SPDX-License-Identifier: Apache-2.0
// ICMP errors in the service's name: complete bytes.
#include <algorithm>
#include <array>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

// The answer quotes the IP header with all options, and the transport header without.
Packet::Quoted quoted(const Packet& packet, std::uint8_t proto) {
  const std::size_t transport = proto == IPPROTO_TCP ? 20 : 8;
  return packet.l4_offset() - packet.l3_offset() + transport;
}

// With every header that the answer must quote, or step over.
std::vector<Packet> variants(const Packet& packet, bool v4) {
  std::vector<Packet> all{packet, packet.payload(1000), packet.payload(301).tos(0x20).id(77).df(),
                          packet.trailer(9), packet.tcp_options({2, 4, 5, 0xb4})};
  if (v4)
    all.push_back(packet.options({148, 4, 0, 0, 1, 1, 1}));
  else
    all.push_back(packet.extension(Extension::hop_by_hop(1)).extension(Extension::destination()));
  return all;
}

struct Where {
  Hook hook;
  Device device;
};
constexpr std::array<Where, 2> kIngress{
    {{Hook::kUpIn, Device::kUp0}, {Hook::kPodIn, Device::kPod0}}};

void on_all(const std::function<void(Datapath&, const World&, std::uint8_t, const Where&)>& test) {
  for (const auto& where : kIngress) {
    for (const int proto : {IPPROTO_TCP, IPPROTO_UDP}) {
      in_both_worlds([&](Datapath& dp, const World& world) {
        INFO(where.hook << (proto == IPPROTO_TCP ? ", TCP" : ", UDP"));
        test(dp, world, static_cast<std::uint8_t>(proto), where);
      });
    }
  }
}

}  // namespace

TEST_CASE("no endpoint, and no such port of a service address: port unreachable",
          "[1.1/cluster-ip-unknown-port][1.3/reject-answer]") {
  on_all([](Datapath& dp, const World& world, std::uint8_t proto, const Where& where) {
    dp.serve({.proto = proto,
              .frontends = {{{world.cluster_ip, 80}, WEIR_FRONTEND_CLUSTER_IP}},
              .backends = {},
              .policies = 0});
    for (const std::uint16_t port : {std::uint16_t{80}, std::uint16_t{81}}) {
      const auto base = from_uplink(proto, {world.client, 40000}, {world.cluster_ip, port});
      for (const auto& request : variants(base, world.family == 4)) {
        const auto frame = request.frame();
        const auto answer =
            Packet::port_unreachable(world.cluster_ip, frame, quoted(request, proto)).df();
        check(dp.run(where.hook, where.device, frame), Verdict::kRedirect, answer.frame(),
              {"answer_unreachable"});
      }
    }
  });
}

// Receiving takes one tag out of the frame, so a tag that is still there is the second.
TEST_CASE("a frame with a tag of its own gets no answer, and is counted") {
  on_all([](Datapath& dp, const World& world, std::uint8_t proto, const Where& where) {
    dp.serve({.proto = proto,
              .frontends = {{{world.cluster_ip, 80}, WEIR_FRONTEND_CLUSTER_IP}},
              .backends = {},
              .policies = 0});
    const auto request = from_uplink(proto, {world.client, 40000}, {world.cluster_ip, 80})
                             .vlan({.id = 9, .tpid = 0x8100});
    const auto ran = dp.run(where.hook, where.device, request.frame());
    CHECK(ran.verdict == Verdict::kDrop);
    CHECK(ran.counted == Names{"drop_answer_failed"});
  });
}

TEST_CASE("a TTL that is spent: time exceeded") {
  for (const std::uint8_t ttl : {std::uint8_t{0}, std::uint8_t{1}}) {
    for (const int number : {IPPROTO_TCP, IPPROTO_UDP}) {
      in_both_worlds([&](Datapath& dp, const World& world) {
        const auto proto = static_cast<std::uint8_t>(number);
        dp.serve({.proto = proto,
                  .frontends = {{{world.vip, 80}, WEIR_FRONTEND_LOAD_BALANCER}},
                  .backends = {{{world.remote, 8080}, false}},
                  .policies = 0});
        const auto base = from_uplink(proto, {world.client, 40000}, {world.vip, 80}).ttl(ttl);
        for (const auto& request : variants(base, world.family == 4)) {
          const auto frame = request.frame();
          const auto answer = Packet::time_exceeded(world.vip, frame, quoted(request, proto)).df();
          const auto ran = dp.run(Hook::kUpIn, Device::kUp0, frame);
          check_bytes(ran, Verdict::kRedirect, answer.frame());
          CHECK(ran.counted.front() == "answer_ttl");
        }
      });
    }
  }
}

TEST_CASE("a backend on this node takes a packet with TTL 1: the stack decides") {
  on_every(kTranslatedPaths, [](Datapath&, Conversation& talk) {
    const auto request = talk.opening().ttl(1);
    check_bytes(talk.forward(request), Verdict::kNext, talk.forwarded(request).frame());
  });
}

TEST_CASE("a packet larger than the way out: fragmentation needed, packet too big") {
  for (const int number : {IPPROTO_TCP, IPPROTO_UDP}) {
    in_both_worlds([&](Datapath& dp, const World& world) {
      const auto proto = static_cast<std::uint8_t>(number);
      dp.serve({.proto = proto,
                .frontends = {{{world.vip, 80}, WEIR_FRONTEND_LOAD_BALANCER}},
                .backends = {{{world.narrow, 8080}, false}},
                .policies = 0});
      const auto base = from_uplink(proto, {world.client, 40000}, {world.vip, 80});
      const auto headers = base.l4_offset() - base.l3_offset() + (proto == IPPROTO_TCP ? 20U : 8U);
      const auto fits = base.payload(kNarrowMtu - headers);
      const auto too_big = base.payload(kNarrowMtu - headers + 1);
      const auto answer =
          Packet::too_big(world.vip, too_big.frame(), kNarrowMtu, quoted(too_big, proto))
              .df()
              .frame();
      // Before there is a flow, and once there is one.
      for (int i = 0; i < 2; ++i) {
        const auto ran = dp.run(Hook::kUpIn, Device::kUp0, too_big.frame());
        check_bytes(ran, Verdict::kRedirect, answer);
        CHECK(ran.counted.front() == "answer_too_big");
        const auto sent = dp.run(Hook::kUpIn, Device::kUp0, fits.frame());
        CHECK(sent.verdict == Verdict::kRedirect);
        CHECK(parse(sent.out).value().daddr == world.narrow);
      }
    });
  }
}

TEST_CASE("a super-packet is as large as its segments") {
  in_both_worlds([](Datapath& dp, const World& world) {
    dp.serve({.proto = IPPROTO_TCP,
              .frontends = {{{world.vip, 80}, WEIR_FRONTEND_LOAD_BALANCER}},
              .backends = {{{world.narrow, 8080}, false}},
              .policies = 0});
    const auto base = from_uplink(IPPROTO_TCP, {world.client, 40000}, {world.vip, 80}).flags(kAck);
    const auto headers = static_cast<std::uint32_t>(base.l4_offset() - base.l3_offset() + 20);
    const auto super = base.payload(3000).frame();
    const auto fits = dp.run(Hook::kUpIn, Device::kUp0, super, kNarrowMtu - headers);
    CHECK(parse(fits.out).value().daddr == world.narrow);
    const auto too_big = dp.run(Hook::kUpIn, Device::kUp0, super, kNarrowMtu - headers + 1);
    CHECK(too_big.counted == Names{"answer_too_big"});
  });
}

TEST_CASE("XDP leaves alone whatever needs an answer") {
  in_both_worlds([](Datapath& dp, const World& world) {
    dp.serve({.proto = IPPROTO_UDP,
              .frontends = {{{world.vip, 80}, WEIR_FRONTEND_LOAD_BALANCER}},
              .backends = {{{world.narrow, 8080}, false}},
              .policies = 0});
    dp.allow_xdp_to(Device::kUp0);
    const auto base = from_uplink(IPPROTO_UDP, {world.client, 40000}, {world.vip, 80});
    for (const auto& request : {base.to_ip(world.vip).to({world.vip, 81}), base.ttl(1),
                                base.payload(kNarrowMtu), base.vlan({.id = 3, .tpid = 0x8100})}) {
      const auto frame = request.frame();
      const auto ran = dp.run(Hook::kXdp, Device::kUp0, frame);
      check_bytes(ran, Verdict::kNext, frame);
      CHECK(std::count(ran.counted.begin(), ran.counted.end(), "pass_to_tc_packet") == 1);
    }
  });
}

}  // namespace weir::test
