// SPDX-License-Identifier: Apache-2.0
// ICMP errors about translated flows, pings of service addresses, and how many answers are given.
#include <array>
#include <chrono>
#include <initializer_list>
#include <utility>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

// A router on the way, whose packets a test run on a raw device takes for IP: see World::raw_pod.
std::string router(bool v4) {
  return v4 ? "8.0.99.1" : "2001:db8:86dd:9::1";
}

std::vector<IcmpHeader> kinds(bool v4) {
  if (v4) return {{3, 4, 1400}, {3, 3, 0}, {11, 0, 0}, {12, 0, 20U << 24}};
  return {{2, 0, 1400}, {1, 4, 0}, {3, 0, 0}, {4, 1, 6}};
}

// XDP has no part in this; what follows it at the same place does it.
Hook at_tc(Hook hook) {
  return hook == Hook::kXdp ? Hook::kUpIn : hook;
}

// How much is quoted: all that fits, the 64 bits that must be, and cuts around TCP's checksum.
std::vector<Packet::Quoted> quotes(const Packet& about) {
  std::vector<Packet::Quoted> all{std::nullopt};
  const auto header = about.l4_offset() - about.l3_offset();
  for (const std::size_t bytes : {8, 16, 18, 19, 20, 27}) all.emplace_back(header + bytes);
  return all;
}

struct Message {
  Hook hook;
  Device device;
  Packet sent;
  Packet wanted;
};

// About a packet that went to the backend, back towards the client. `own`: from the backend.
Message to_client(const Conversation& talk, const Packet& request, bool own, IcmpHeader kind,
                  Packet::Quoted quoted) {
  const auto& path = talk.path();
  const auto from = own ? talk.backend().ip : router(talk.v4());
  const auto there = talk.forwarded(request).macs(kRouterMac, kUp0Mac);
  const auto hops = path.sent ? std::uint8_t{63} : std::uint8_t{64};
  const auto seen = request.ttl(hops).macs(kRouterMac, kUp0Mac);
  return {.hook = at_tc(path.reply),
          .device = path.reply_device,
          .sent = Packet::error(from, there.frame(), kind, quoted),
          .wanted = Packet::error(own || path.sent ? talk.frontend().ip : from, seen.frame(), kind,
                                  quoted)
                        .ttl(hops)};
}

// About a reply that went to the client, on to the backend. `own`: from the client.
Message to_backend(const Conversation& talk, const Packet& reply, bool own, IcmpHeader kind,
                   Packet::Quoted quoted) {
  const auto& path = talk.path();
  const auto from = own ? talk.client().ip : router(talk.v4());
  const auto back = talk.translated_back(reply).macs(kRouterMac, kUp0Mac);
  const auto hops = path.sent ? std::uint8_t{63} : std::uint8_t{64};
  const auto seen = reply.ttl(hops).macs(kRouterMac, kUp0Mac);
  return {
      .hook = at_tc(path.forward),
      .device = path.device,
      .sent = Packet::error(from, back.frame(), kind, quoted),
      .wanted =
          Packet::error(path.sent ? talk.source().ip : from, seen.frame(), kind, quoted).ttl(hops)};
}

void check_message(Datapath& dp, const Conversation& talk, const Message& message) {
  const auto frame = message.sent.frame();
  if (talk.path().xdp())
    check(dp.run(Hook::kXdp, message.device, frame), Verdict::kNext, frame, {"pass_protocol"});
  check(dp.run(message.hook, message.device, frame), talk.went(), message.wanted.frame(),
        {"forward_icmp"});
}

// Every kind of error in both directions, about these packets of the flow.
void check_errors(Datapath& dp, const Conversation& talk, const Packet& request,
                  const Packet& reply) {
  for (const auto& kind : kinds(talk.v4())) {
    for (const bool own : {false, true}) {
      for (const auto& quoted : quotes(request)) {
        CAPTURE(int{kind.type}, own, quoted.value_or(0));
        check_message(dp, talk, to_client(talk, request, own, kind, quoted));
        check_message(dp, talk, to_backend(talk, reply, own, kind, quoted));
      }
    }
  }
}

IcmpHeader unreachable(bool v4) {
  return v4 ? IcmpHeader{3, 3, 0} : IcmpHeader{1, 4, 0};
}

void check_passed(Datapath& dp, const Message& message, const Frame& frame, const char* counter) {
  INFO(message.hook);
  check(dp.run(message.hook, message.device, frame), Verdict::kNext, frame, {counter});
}

}  // namespace

TEST_CASE("an error about a flow's packet goes where its sender is, about what that sent") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    talk.establish();
    check_errors(dp, talk, talk.data().payload(900).id(7), talk.more().payload(901).id(9));
  });
}

TEST_CASE("half a quoted checksum stays as it is, and the message's is right all the same") {
  on_every(tc_paths(), [](Datapath& dp, Conversation& talk) {
    if (!talk.tcp()) return;
    talk.establish();
    const auto request = talk.data().payload(900);
    const auto half = request.l4_offset() - request.l3_offset() + 17;
    const auto message = to_client(talk, request, false, unreachable(talk.v4()), half);
    const auto sent = message.sent.frame();
    const auto wanted = message.wanted.frame();
    const auto ran = dp.run(message.hook, message.device, sent);
    REQUIRE(parse(ran.out));
    CHECK(parse(ran.out)->l4_check_ok.value());
    CHECK(ran.out.bytes.back() == sent.bytes.back());
    const auto check = message.wanted.l4_offset() + 2;
    CHECK(ran.out.with_byte(check, wanted.bytes.at(check))
              .with_byte(check + 1, wanted.bytes.at(check + 1))
              .with_byte(wanted.bytes.size() - 1, wanted.bytes.back()) == wanted);
  });
}

TEST_CASE("errors about flows that are half open") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    const auto opening = talk.opening();
    talk.forward(opening);
    for (const bool own : {false, true})
      check_message(dp, talk, to_client(talk, opening, own, unreachable(talk.v4()), {}));
  });
}

TEST_CASE("a quoted UDP checksum that is not there stays away, and one of ones is kept as ones") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    if (talk.tcp()) return;
    talk.establish();
    if (talk.v4()) check_errors(dp, talk, talk.data().no_check(), talk.more().no_check());
    // 0xffff after the way back as before it.
    check_errors(dp, talk, talk.data().check_of_zero(), talk.more().check_of_zero());
  });
}

TEST_CASE("what stands in front of the quoted ports is stepped over") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto change = [&](const Packet& packet) {
      if (talk.v4()) return packet.options({148, 4, 0, 0, 1, 1, 1});
      return packet.extension(Extension::hop_by_hop(1)).extension(Extension::destination());
    };
    check_errors(dp, talk, change(talk.data()), change(talk.more()));
    // The first fragment of a datagram is as good as all of it.
    const auto first = [](const Packet& packet) {
      return packet.payload(600).id(77).fragment(0, 400);
    };
    check_errors(dp, talk, first(talk.data()), first(talk.more()));
  });
}

TEST_CASE("the message's own header may have options too, and padding behind it is no quote") {
  on_every(tc_paths(), [](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto change = [&](const Packet& packet) {
      if (talk.v4()) return packet.options({148, 4, 0, 0}).trailer(16);
      return packet.extension(Extension::destination()).trailer(16);
    };
    const auto request = talk.data();
    const auto least = request.l4_offset() - request.l3_offset() + 8;
    auto message = to_client(talk, request, false, unreachable(talk.v4()), least);
    check_message(dp, talk,
                  {message.hook, message.device, change(message.sent), change(message.wanted)});
    message = to_backend(talk, talk.more(), false, unreachable(talk.v4()), least);
    check_message(dp, talk,
                  {message.hook, message.device, change(message.sent), change(message.wanted)});
  });
}

TEST_CASE("errors with CHECKSUM_COMPLETE keep it right") {
  on_every(kTranslatedPaths, [](Datapath& dp, Conversation& talk) {
    if (talk.path().raw()) return;
    talk.establish();
    for (const auto& message : {to_client(talk, talk.data(), true, unreachable(talk.v4()), {}),
                                to_backend(talk, talk.more(), true, unreachable(talk.v4()), {})}) {
      const auto ran = dp.run_complete(message.hook, message.device, message.sent.frame());
      if (ran) check_bytes(*ran, talk.went(), message.wanted.frame());
    }
  });
}

TEST_CASE("an error about no flow, or about another's record, passes untouched") {
  on_every(tc_paths(), [](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto kind = unreachable(talk.v4());
    const auto there = to_client(talk, talk.data(), true, kind, {});
    const auto other =
        talk.forwarded(talk.data()).from_port(static_cast<std::uint16_t>(talk.source().port ^ 1U));
    check_passed(dp, there, Packet::error(talk.backend().ip, other.frame(), kind).frame(),
                 "pass_icmp");
    const auto back = to_backend(talk, talk.more(), true, kind, {});
    const auto unknown = talk.translated_back(talk.more()).from_port(81);
    check_passed(dp, back, Packet::error(talk.client().ip, unknown.frame(), kind).frame(),
                 "pass_icmp");
    auto record = dp.flow(FlowTable::kEstablished, talk.reply_key()).value();
    ++record.service;
    dp.set_flow(FlowTable::kEstablished, talk.reply_key(), record);
    check_passed(dp, there, there.sent.frame(), "pass_icmp");
  });
}

TEST_CASE("an error that quotes nothing of a flow's passes untouched") {
  on_every(tc_paths(), [](Datapath& dp, Conversation& talk) {
    if (talk.path().raw()) return;  // too short for a test run
    talk.establish();
    const auto kind = unreachable(talk.v4());
    const auto request = talk.data().payload(600);
    const auto header = request.l4_offset() - request.l3_offset();
    const auto message = to_client(talk, request, true, kind, {});
    const auto there = talk.forwarded(request).macs(kRouterMac, kUp0Mac);
    const auto about = [&](const Packet& quoted, Packet::Quoted bytes = {}) {
      return Packet::error(talk.backend().ip, quoted.frame(), kind, bytes).frame();
    };
    for (const auto& frame :
         {about(there, header + 7), about(there, header - 1), about(there, 0),
          about(there.id(5).fragment(64, 64)),
          about(Packet::other(talk.source().ip, talk.backend().ip, 33).payload(40)),
          // Of whom it is sent to, nothing is quoted.
          Packet::error(talk.backend().ip, there.frame(), kind)
              .to_ip(talk.frontend().ip)
              .frame()}) {
      check_passed(dp, message, frame, "pass_icmp_quote");
    }
  });
}

TEST_CASE("other ICMP messages are none of weir's") {
  on_every(tc_paths(), [](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto message = to_client(talk, talk.data(), true, unreachable(talk.v4()), {});
    const auto there = talk.forwarded(talk.data()).macs(kRouterMac, kUp0Mac).frame();
    const std::vector<IcmpHeader> others =
        talk.v4()
            ? std::vector<IcmpHeader>{{0, 0, 1}, {4, 0, 0}, {5, 1, 0}, {9, 0, 0}, {13, 0, 0}}
            : std::vector<IcmpHeader>{{0, 0, 0}, {5, 0, 0}, {129, 0, 1}, {135, 0, 0}, {137, 0, 0}};
    for (const auto& other : others)
      check_passed(dp, message, Packet::error(talk.backend().ip, there, other).frame(),
                   "pass_protocol");
  });
}

TEST_CASE("an error towards a pod is translated where it enters the pod, and not on its way") {
  on_every(kTranslatedPaths, [](Datapath& dp, Conversation& talk) {
    if (talk.path().device != Device::kPod0) return;
    talk.establish();
    const auto frame = to_client(talk, talk.data(), false, unreachable(talk.v4()), {}).sent.frame();
    for (const auto hook : {Hook::kUpIn, Hook::kPodIn}) {
      INFO(hook);
      dp.set_address(talk.client().ip, WEIR_ADDRESS_BACKEND | WEIR_ADDRESS_LOCAL);
      check(dp.run(hook, Device::kUp0, frame), Verdict::kNext, frame, {"pass_icmp"});
      dp.set_address(talk.client().ip, 0);
      check(dp.run(hook, Device::kUp0, frame), Verdict::kNext, frame, {"pass_protocol"});
    }
    // On the way out of the node it would be about a pod elsewhere.
    if (!talk.path().local)
      check(dp.run(Hook::kUpOut, Device::kUp0, frame), Verdict::kNext, frame, {"pass_icmp"});
  });
}

TEST_CASE("an error that cannot be sent on is dropped by name") {
  on_every(kSentPaths, [](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto kind = unreachable(talk.v4());
    for (const std::uint8_t ttl : {std::uint8_t{0}, std::uint8_t{1}}) {
      for (const auto& message : {to_client(talk, talk.data(), true, kind, {}),
                                  to_backend(talk, talk.more(), true, kind, {})}) {
        const auto ran = dp.run(message.hook, message.device, message.sent.ttl(ttl).frame());
        CHECK(ran.verdict == Verdict::kDrop);
        CHECK(ran.counted == Names{"drop_icmp"});
      }
    }
    // Larger than the way out, and an error is no cause of another.
    const auto large = to_client(talk, talk.data(), true, kind, {}).sent.payload(1500).frame();
    CHECK(dp.run(at_tc(talk.path().reply), talk.path().reply_device, large).verdict ==
          Verdict::kNext);
  });
}

TEST_CASE("a pod that is its own backend hears of its own packets as it sent them") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Endpoint client{world.pod0, 40000};
    const Endpoint frontend{world.cluster_ip, 80};
    const Endpoint backend{world.pod0, 8080};
    dp.serve({.proto = IPPROTO_UDP,
              .frontends = {{frontend, WEIR_FRONTEND_CLUSTER_IP}},
              .backends = {{backend, true}},
              .policies = 0});
    const auto request = from_pod(IPPROTO_UDP, client, frontend);
    const auto there = dp.run(Hook::kPodIn, Device::kPod0, request.frame());
    const auto kind = unreachable(world.family == 4);
    check(dp.run(Hook::kPodIn, Device::kPod0,
                 Packet::error(backend.ip, there.out, kind).macs(kPodMac, kPodHostMac).frame()),
          Verdict::kRedirect,
          Packet::error(frontend.ip, request.ttl(63).frame(), kind)
              .ttl(63)
              .macs(kPodHostMac, kPodMac)
              .frame(),
          {"forward_icmp"});
  });
}

TEST_CASE("an error towards a backend on the client's own bridge stays bridged") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Endpoint client{world.bridged0, 40000};
    const Endpoint frontend{world.cluster_ip, 80};
    const Endpoint backend{world.bridged1, 8080};
    dp.serve({.proto = IPPROTO_UDP,
              .frontends = {{frontend, WEIR_FRONTEND_CLUSTER_IP}},
              .backends = {{backend, true}},
              .policies = 0});
    const auto request = from_pod(IPPROTO_UDP, client, frontend).macs(kBridged0Mac, kBridgeMac);
    dp.run(Hook::kPodIn, Device::kPort0, request.frame());
    const auto reply = Packet::udp(backend, client);
    const auto kind = unreachable(world.family == 4);
    check(dp.run(Hook::kPodIn, Device::kPort0,
                 Packet::error(client.ip, reply.from(frontend).frame(), kind)
                     .macs(kBridged0Mac, kBridgeMac)
                     .frame()),
          Verdict::kNext,
          Packet::error(client.ip, reply.frame(), kind).macs(kBridged0Mac, kBridged1Mac).frame(),
          {"forward_icmp"});
  });
}

// ---- pings

}  // namespace weir::test
