// SPDX-License-Identifier: Apache-2.0
// ICMP and SCTP: answers that quote an SCTP packet, and errors about translated ones.
#include <algorithm>
#include <array>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

constexpr std::size_t kHeader = 12;
constexpr std::size_t kWithInit = 20;  // an INIT's tag is behind the header and a chunk's

// A header alone if there is no more, else up to the tag of an INIT.
Packet::Quoted quoted(const Packet& packet, std::size_t bytes = kWithInit) {
  return packet.l4_offset() - packet.l3_offset() + bytes;
}

struct Question {
  Packet packet;
  Packet::Quoted quoted;
};

std::vector<Question> questions(const Packet& init, bool v4) {
  const auto behind_headers =
      v4 ? init.options({148, 4, 0, 0, 1, 1, 1})
         : init.extension(Extension::hop_by_hop(1)).extension(Extension::destination());
  std::vector<Question> all;
  for (const auto& packet : {init, init.chunk(kSctpData).payload(1000), init.trailer(9),
                             init.payload(301).tos(0x20).id(77).df(), behind_headers,
                             init.payload(4), init.wrong_check(7)})
    all.push_back({packet, quoted(packet)});
  for (const auto& packet : {init, behind_headers}) {
    const auto bare = packet.no_chunk().payload("");
    all.push_back({bare, quoted(bare, kHeader)});
    all.push_back({bare.trailer(28), quoted(bare, kHeader)});  // padding is no chunk
  }
  return all;
}

void serve(Datapath& dp, const Endpoint& at, std::vector<Backend> backends) {
  dp.serve({.proto = IPPROTO_SCTP,
            .frontends = {{at, WEIR_FRONTEND_LOAD_BALANCER}},
            .backends = std::move(backends),
            .policies = 0});
}

}  // namespace

TEST_CASE("SCTP without endpoint, or to a port that is none: port unreachable",
          "[1.1/protocol-sctp]") {
  for (const auto& [hook, device] :
       {std::pair{Hook::kUpIn, Device::kUp0}, std::pair{Hook::kPodIn, Device::kPod0}}) {
    in_both_worlds([&](Datapath& dp, const World& world) {
      INFO(hook);
      serve(dp, {world.vip, 80}, {});
      for (const std::uint16_t port : {std::uint16_t{80}, std::uint16_t{81}}) {
        const auto init = from_uplink(IPPROTO_SCTP, {world.client, 40000}, {world.vip, port});
        for (const auto& [packet, quote] : questions(init, world.family == 4)) {
          const auto frame = packet.frame();
          INFO(describe(frame));
          check(dp.run(hook, device, frame), Verdict::kRedirect,
                Packet::port_unreachable(world.vip, frame, quote).df().frame(),
                {"answer_unreachable"});
        }
      }
    });
  }
}

TEST_CASE("SCTP with a TTL that is spent: time exceeded", "[1.1/protocol-sctp]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, {world.vip, 80}, {{{world.remote, 8080}, false}});
    const auto init = from_uplink(IPPROTO_SCTP, {world.client, 40000}, {world.vip, 80}).ttl(1);
    for (const auto& [packet, quote] : questions(init, world.family == 4)) {
      const auto frame = packet.frame();
      INFO(describe(frame));
      const auto ran = dp.run(Hook::kUpIn, Device::kUp0, frame);
      check_bytes(ran, Verdict::kRedirect,
                  Packet::time_exceeded(world.vip, frame, quote).df().frame());
      CHECK(ran.counted.front() == "answer_ttl");
    }
  });
}

TEST_CASE("SCTP that is larger than the way out: fragmentation needed, packet too big",
          "[1.1/protocol-sctp]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, {world.vip, 80}, {{{world.narrow, 8080}, false}});
    const auto data = from_uplink(IPPROTO_SCTP, {world.client, 40000}, {world.vip, 80}).no_chunk();
    const auto headers = data.l4_offset() - data.l3_offset() + kHeader;
    const auto fits = data.payload(kNarrowMtu - headers);
    const auto too_big = data.payload(kNarrowMtu - headers + 1);
    const auto answer =
        Packet::too_big(world.vip, too_big.frame(), kNarrowMtu, quoted(too_big)).df().frame();
    for (int i = 0; i < 2; ++i) {  // before there is a flow, and once there is one
      const auto ran = dp.run(Hook::kUpIn, Device::kUp0, too_big.frame());
      check_bytes(ran, Verdict::kRedirect, answer);
      CHECK(ran.counted.front() == "answer_too_big");
      const auto sent = dp.run(Hook::kUpIn, Device::kUp0, fits.frame());
      CHECK(sent.verdict == Verdict::kRedirect);
      CHECK(parse(sent.out).value().daddr == world.narrow);
    }
  });
}

// GSO_BY_FRAGS: the pieces lie one by one in the packet, and no field says how large they are.
TEST_CASE("an SCTP super-packet, whose pieces have no size of their own, is not refused for it") {
  constexpr std::uint32_t kByFragments = 0xffff;
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, {world.cluster_ip, 80}, {{{world.pod0, 8080}, true}});
    const auto data =
        from_pod(IPPROTO_SCTP, {world.pod0, 40000}, {world.cluster_ip, 80}).chunk(kSctpData);
    const auto ran = dp.run(Hook::kPodIn, Device::kPod0, data.payload(3000).frame(), kByFragments);
    CHECK(ran.counted == Names{"forward_tc_sent", "flow_new"});
  });
}

TEST_CASE("answers to SCTP are as many as others, and those over are dropped") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, {world.vip, 80}, {});
    check_limited(dp, from_uplink(IPPROTO_SCTP, {world.client, 40000}, {world.vip, 80}).frame());
  });
}

// ---- errors about translated packets

namespace {

std::string router(bool v4) {
  return v4 ? "8.0.99.1" : "2001:db8:86dd:9::1";
}

std::vector<IcmpHeader> kinds(bool v4) {
  if (v4) return {{3, 4, 1400}, {3, 2, 0}, {3, 3, 0}, {11, 0, 0}};
  return {{2, 0, 1400}, {1, 4, 0}, {3, 0, 0}, {4, 1, 6}};
}

// The packet as its sender knows it, with the checksum of the one that the error is about: the
// sender tells its packets by ports and tag, and of a cut one nobody could put the sum right.
Frame as_sent(const Packet& sent, const Packet& about) {
  auto frame = sent.frame();
  const auto on_wire = about.frame();
  for (std::size_t i = 8; i < 12; ++i)
    frame.bytes.at(sent.l4_offset() + i) = on_wire.bytes.at(about.l4_offset() + i);
  return frame;
}

struct Error {
  IcmpHeader kind;
  bool own;  // of the end itself, not of a router
  Packet::Quoted quoted;
};

// About a packet that went to the backend, back to the client.
void check_to_client(Datapath& dp, const Conversation& talk, const Packet& sent,
                     const Error& error) {
  const auto& path = talk.path();
  const auto from = error.own ? talk.backend().ip : router(talk.v4());
  const auto named = error.own || path.sent ? talk.frontend().ip : from;
  const auto hops = path.sent ? std::uint8_t{63} : std::uint8_t{64};
  const auto there = talk.forwarded(sent).macs(kRouterMac, kUp0Mac);
  const auto seen = as_sent(sent.ttl(hops).macs(kRouterMac, kUp0Mac), there);
  check(dp.run(path.reply, path.reply_device,
               Packet::error(from, there.frame(), error.kind, error.quoted).frame()),
        talk.went(), Packet::error(named, seen, error.kind, error.quoted).ttl(hops).frame(),
        {"forward_icmp"});
}

// About a packet that went to the client, on to the backend.
void check_to_backend(Datapath& dp, const Conversation& talk, const Packet& sent,
                      const Error& error) {
  const auto& path = talk.path();
  const auto from = error.own ? talk.client().ip : router(talk.v4());
  const auto hops = path.sent ? std::uint8_t{63} : std::uint8_t{64};
  const auto back = talk.translated_back(sent).macs(kRouterMac, kUp0Mac);
  const auto seen = as_sent(sent.ttl(hops).macs(kRouterMac, kUp0Mac), back);
  check(dp.run(path.forward, path.device,
               Packet::error(from, back.frame(), error.kind, error.quoted).frame()),
        talk.went(),
        Packet::error(path.sent ? talk.source().ip : from, seen, error.kind, error.quoted)
            .ttl(hops)
            .frame(),
        {"forward_icmp"});
}

void check_errors(Datapath& dp, const Conversation& talk, const Packet& request,
                  const Packet& reply) {
  const auto headers = request.l4_offset() - request.l3_offset();
  for (const auto& kind : kinds(talk.v4())) {
    for (const bool own : {false, true}) {
      for (const auto& quote : std::vector<Packet::Quoted>{
               std::nullopt, headers + 8, headers + 9, headers + 12, headers + 20, headers + 23}) {
        CAPTURE(int{kind.type}, int{kind.code}, own, quote.value_or(0));
        check_to_client(dp, talk, request, {kind, own, quote});
        check_to_backend(dp, talk, reply, {kind, own, quote});
      }
    }
  }
}

}  // namespace

TEST_CASE("an error about an SCTP packet comes to who sent it, about what that sent",
          "[1.1/protocol-sctp]") {
  on_sctp([](Datapath& dp, Conversation& talk) {
    talk.establish();
    check_errors(dp, talk, talk.data().payload(900).id(7), talk.more().payload(901).id(9));
    if (talk.v4()) {
      check_errors(dp, talk, talk.data().options({148, 4, 0, 0}), talk.more().options({1}));
    } else {
      const auto behind = Extension::destination();
      check_errors(dp, talk, talk.data().extension(behind), talk.more().extension(behind));
    }
  });
}

TEST_CASE("an error about an association that is not established yet") {
  on_sctp([](Datapath& dp, Conversation& talk) {
    talk.forward(talk.opening());
    for (const bool own : {false, true})
      check_to_client(dp, talk, talk.opening(), {kinds(talk.v4()).at(1), own, std::nullopt});
  });
}

TEST_CASE("an error about an SCTP packet of nobody's passes untouched") {
  on_sctp([](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto& path = talk.path();
    const auto there = talk.forwarded(talk.data()).macs(kRouterMac, kUp0Mac);
    const auto kind = kinds(talk.v4()).at(1);
    const auto passes = [&](const Packet& about, Packet::Quoted quote, const char* counter) {
      const auto frame = Packet::error(talk.backend().ip, about.frame(), kind, quote).frame();
      check(dp.run(path.reply, path.reply_device, frame), Verdict::kNext, frame, {counter});
    };
    const auto headers = there.l4_offset() - there.l3_offset();
    passes(there.from_port(static_cast<std::uint16_t>(talk.source().port ^ 1U)), {}, "pass_icmp");
    if (!path.raw()) passes(there, headers + 7, "pass_icmp_quote");  // else too short for a run
  });
}

}  // namespace weir::test
