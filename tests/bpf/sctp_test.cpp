// SPDX-License-Identifier: Apache-2.0
// SCTP there and back at tc: flows as UDP has them, and a CRC32c that covers the ports.
#include <array>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

// Everything that may stand in front of the ports.
Packet with_headers(const Conversation& talk, const Packet& packet) {
  if (talk.v4()) return packet.options({148, 4, 0, 0, 1, 1, 1});
  return packet.extension(Extension::hop_by_hop(1))
      .extension(Extension::routing(0, 0))
      .extension(Extension::authentication())
      .extension(Extension::destination(2));
}

// The largest that a test run takes, in a page.
constexpr std::size_t kLargest = 3500;

}  // namespace

TEST_CASE("an association goes to the backend and its answers come from the service",
          "[1.1/protocol-sctp]") {
  on_sctp([](Datapath& dp, Conversation& talk) {
    const auto opening = talk.opening();
    const auto first = talk.forward(opening);
    check(first, talk.went(), talk.forwarded(opening).frame(), talk.counts_forward({"flow_new"}));
    CHECK(dp.count_flows(FlowTable::kHalfUdp) == 2);
    CHECK(dp.count_flows(FlowTable::kHalfTcp) == 0);
    check(talk.forward(opening), talk.went(), talk.forwarded(opening).frame(),
          talk.counts_forward());
    CHECK(established(dp) == 0);

    const auto answer = talk.answer();
    check(talk.reply(answer), talk.came(), talk.translated_back(answer).frame(),
          talk.counts_reply({"flow_established"}));
    CHECK(dp.count_flows(FlowTable::kHalfUdp) == 0);
    CHECK(established(dp) == 2);
    for (const auto chunk : {kSctpCookieEcho, kSctpData, kSctpHeartbeat, kSctpAbort, kSctpInit}) {
      const auto data = talk.data().chunk(chunk);
      check(talk.forward(data), talk.went(), talk.forwarded(data).frame(), talk.counts_forward());
      const auto more = talk.more().chunk(chunk);
      check(talk.reply(more), talk.came(), talk.translated_back(more).frame(), talk.counts_reply());
    }
    CHECK(established(dp) == 2);
    const auto backend = dp.backend(talk.served().backends.front());
    CHECK(backend.live == 1);
    CHECK(backend.connections == 1);
  });
}

TEST_CASE("any packet of SCTP opens a flow, and any answer establishes it", "[1.1/protocol-sctp]") {
  for (const auto chunk : {kSctpData, kSctpInitAck, kSctpHeartbeat, kSctpAbort}) {
    on_sctp([&](Datapath& dp, Conversation& talk) {
      const auto data = talk.data().chunk(chunk);
      const auto first = talk.forward(data);
      check(first, talk.went(), talk.forwarded(data).frame(), talk.counts_forward({"flow_new"}));
      const auto more = talk.more().chunk(chunk);
      check(talk.reply(more), talk.came(), talk.translated_back(more).frame(),
            talk.counts_reply({"flow_established"}));
      CHECK(established(dp) == 2);
    });
  }
}

TEST_CASE("a packet of a header alone is a packet") {
  on_sctp([](Datapath&, Conversation& talk) {
    if (talk.path().raw()) return;  // too short for a test run
    talk_changed(talk, [](const Packet& packet) { return packet.no_chunk().payload(""); });
    talk_changed(talk, [&](const Packet& packet) {
      return with_headers(talk, packet).no_chunk().payload("");
    });
    // A frame has 60 bytes at least, and this is no chunk.
    talk_changed(talk,
                 [](const Packet& packet) { return packet.no_chunk().payload("").trailer(28); });
  });
}

TEST_CASE("SCTP behind options, extension headers and tags, with a tail, and all else stays") {
  const std::vector<ChangePacket> changes{
      [](const Packet& packet) { return packet.trailer(11); },
      [](const Packet& packet) { return packet.tos(0xb9).id(0xbeef).df().flow_label(0x54321); },
      [](const Packet& packet) { return packet.then_chunk(kSctpInit).then_chunk(kSctpAbort); },
  };
  on_sctp([&](Datapath&, Conversation& talk) {
    talk_changed(talk, [&](const Packet& packet) { return with_headers(talk, packet); });
    talk_changed(talk, [&](const Packet& packet) {
      return with_headers(talk, packet).payload(777).trailer(5);
    });
    talk_changed(talk, [&](const Packet& packet) {
      if (talk.v4()) return packet.options(Bytes(40, 1));
      return packet.extension(Extension::fragment(9, 0, false));
    });
    for (const auto& change : changes) talk_changed(talk, change);
    if (!talk.path().raw())
      talk_changed(talk, [](const Packet& p) { return p.vlan({.id = 42, .tpid = 0x88a8}); });
  });
}

// ---- the checksum

TEST_CASE("SCTP's checksum holds for packets of any length, up to a page") {
  on_sctp([](Datapath&, Conversation& talk) {
    if (talk.path().raw()) return;  // the shortest are too short for a test run
    talk.establish();
    const auto largest = talk.path().sent ? kUplinkMtu - 80 : kLargest;  // with room for headers
    const auto sized = [](const Packet& packet, std::size_t size) {
      return packet.no_chunk().payload(size);
    };
    for (std::size_t size = 0; size <= largest; size += size < 300 ? 1 : 97) {
      const auto data = sized(talk.data(), size);
      check_bytes(talk.forward(data), talk.went(), talk.forwarded(data).frame());
      const auto more = sized(talk.more(), size);
      check_bytes(talk.reply(more), talk.came(), talk.translated_back(more).frame());
    }
  });
}

TEST_CASE("SCTP's checksum holds for every bit of the ports that changes") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const auto sizes = std::array<std::size_t, 3>{0, 16, 1000};
    int wrong = 0;
    for (int bit = 0; bit < 16; ++bit) {
      // Nothing else differs than this bit of the port.
      const Endpoint frontend{world.vip, 0x2bad};
      const Endpoint backend{world.pod0, static_cast<std::uint16_t>(0x2bad ^ (1U << bit))};
      Datapath fresh;
      fresh.serve({.proto = IPPROTO_SCTP,
                   .frontends = {{frontend, WEIR_FRONTEND_LOAD_BALANCER}},
                   .backends = {{backend, true}},
                   .policies = 0});
      for (const auto size : sizes) {
        const auto data =
            from_uplink(IPPROTO_SCTP, {world.client, 40000}, frontend).no_chunk().payload(size);
        const auto ran = fresh.run_uncounted(Hook::kUpIn, Device::kUp0, data.frame());
        wrong += ran.out == data.to(backend).frame() ? 0 : 1;
      }
    }
    CHECK(wrong == 0);
    // And the port of the source, which is drawn: a thousand of them.
    dp.serve({.proto = IPPROTO_SCTP,
              .frontends = {{{world.vip, 80}, WEIR_FRONTEND_LOAD_BALANCER}},
              .backends = {{{world.remote, 8080}, false}},
              .policies = 0});
    for (std::uint16_t port = 1; port <= 1000; ++port) {
      const auto data = from_uplink(IPPROTO_SCTP, {world.client, port}, {world.vip, 80});
      const auto ran = dp.run_uncounted(Hook::kUpIn, Device::kUp0, data.frame());
      const auto parsed = parse(ran.out);
      REQUIRE(parsed);
      wrong += parsed->l4_check_ok == true && parsed->daddr == world.remote ? 0 : 1;
    }
    CHECK(wrong == 0);
  });
}

TEST_CASE("an SCTP packet damaged in transit stays damaged, by as much") {
  on_sctp([](Datapath&, Conversation& talk) {
    for (const auto by : std::vector<std::uint32_t>{1, 0x100, 0x80000000, 0x12345678, 0xffffffff})
      talk_changed(talk, [by](const Packet& packet) { return packet.wrong_check(by); });
  });
}

// A sender whose device computes it leaves zero, and so does one that has agreed on none (RFC
// 9653).
TEST_CASE("an SCTP checksum of zero is none, and stays so") {
  on_sctp([](Datapath&, Conversation& talk) {
    talk_changed(talk, [](const Packet& packet) { return packet.no_check(); });
  });
}

TEST_CASE("SCTP with CHECKSUM_COMPLETE keeps it right") {
  on_sctp([](Datapath& dp, Conversation& talk) {
    const auto& path = talk.path();
    if (path.raw()) return;  // a test run takes the sum from behind an Ethernet header
    talk.establish();
    for (const std::size_t size : {20U, 21U, 1000U}) {
      const auto data = talk.data().payload(size);
      const auto there = dp.run_complete(path.forward, path.device, data.frame());
      if (!there) return;  // this kernel has none, as checksum_test says
      check_bytes(*there, talk.went(), talk.forwarded(data).frame());
      const auto more = talk.more().no_chunk().payload(size);
      const auto back = dp.run_complete(path.reply, path.reply_device, more.frame());
      check_bytes(back.value(), talk.came(), talk.translated_back(more).frame());
    }
  });
}

// ---- what is left alone

TEST_CASE("XDP leaves SCTP to tc, and opens nothing", "[1.1/protocol-sctp]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    dp.serve({.proto = IPPROTO_SCTP,
              .frontends = {{{world.vip, 80}, WEIR_FRONTEND_LOAD_BALANCER}},
              .backends = {{{world.remote, 8080}, false}},
              .policies = 0});
    dp.allow_xdp_to(Device::kUp0);
    const auto init = from_uplink(IPPROTO_SCTP, {world.client, 40000}, {world.vip, 80});
    const auto untouched = [&](const Packet& packet) {
      check(dp.run(Hook::kXdp, Device::kUp0, packet.frame()), Verdict::kNext, packet.frame(),
            {"pass_to_tc_packet"});
    };
    untouched(init);
    CHECK(dp.count_flows(FlowTable::kHalfUdp) == 0);
    const auto sent = dp.run(Hook::kUpIn, Device::kUp0, init.frame());
    CHECK(sent.verdict == Verdict::kRedirect);
    const auto source = parse(sent.out).value().sport;
    untouched(init.chunk(kSctpData));
    untouched(Packet::sctp({world.remote, 8080}, {world.node, source}));
    untouched(init.ttl(1));
  });
}

TEST_CASE("fragments of SCTP pass: no first one can have the sum of all") {
  on_sctp([](Datapath& dp, Conversation& talk) {
    if (talk.path().raw()) return;
    talk.establish();
    const auto check_piece = [&](Hook hook, Device device, const Packet& piece) {
      INFO(hook << ", " << describe(piece.frame()));
      check(dp.run(hook, device, piece.frame()), Verdict::kNext, piece.frame(), {"pass_fragment"});
    };
    const auto request = talk.data().payload(2500).id(4711);
    const auto reply = talk.more().payload(2500).id(4712);
    for (const auto& [offset, length] : {std::pair{0U, 1200U}, {1200U, 800U}, {2000U, 800U}}) {
      check_piece(Hook::kXdp, Device::kUp0, request.fragment(offset, length));
      check_piece(talk.path().forward, talk.path().device, request.fragment(offset, length));
      check_piece(talk.path().reply, talk.path().reply_device, reply.fragment(offset, length));
    }
  });
}

namespace {

void check_malformed(Datapath& dp, const std::vector<Frame>& frames) {
  for (const auto hook : {Hook::kUpIn, Hook::kPodIn, Hook::kUpOut, Hook::kPodOut}) {
    for (const auto& frame : frames) {
      INFO(hook << '\n' << frame);
      check(dp.run(hook, Device::kUp0, frame), Verdict::kNext, frame, {"pass_malformed"});
    }
  }
}

Packet to_service(Datapath& dp, const World& world) {
  dp.serve({.proto = IPPROTO_SCTP,
            .frontends = {{{world.cluster_ip, 80}, WEIR_FRONTEND_CLUSTER_IP}},
            .backends = {{{world.remote, 8080}, false}},
            .policies = 0});
  return from_uplink(IPPROTO_SCTP, {world.client, 40000}, {world.cluster_ip, 80});
}

constexpr std::array<std::size_t, 5> kTooShort{0, 3, 4, 8, 11};  // for a header of 12 bytes

}  // namespace

TEST_CASE("an SCTP header that is cut short is malformed") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const auto init = to_service(dp, world);
    std::vector<Frame> frames;
    for (const auto bytes : kTooShort) frames.push_back(init.frame().cut(init.l4_offset() + bytes));
    check_malformed(dp, frames);
  });
}

TEST_CASE("an SCTP header that goes on in what is only padding is malformed") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const auto init = to_service(dp, world);
    const auto length = init.l3_offset() + (world.family == 4 ? 3 : 5);
    const std::size_t header = world.family == 4 ? 20 : 0;
    std::vector<Frame> frames;
    for (const auto bytes : kTooShort)
      frames.push_back(init.frame().with_byte(length, static_cast<std::uint8_t>(header + bytes)));
    check_malformed(dp, frames);
  });
}

}  // namespace weir::test
