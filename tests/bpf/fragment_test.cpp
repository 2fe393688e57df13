// SPDX-License-Identifier: Apache-2.0
// Fragments: the first has the ports, the others follow it, and nobody else's are touched.
#include <bpf/bpf.h>

#include "bpf/conversation.hpp"
#include "bpf/objects.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

constexpr std::size_t kSize = 2500;  // of the datagram's payload
constexpr std::uint16_t kId = 4711;

// The datagram in three pieces, of which each fits any way out.
std::vector<Packet> pieces(const Packet& whole) {
  return {whole.fragment(0, 1200), whole.fragment(1200, 1000), whole.fragment(2200, 1000)};
}

// In an established flow: TCP's opening has no payload.
Packet large(const Packet& packet) {
  return packet.payload(kSize).id(kId);
}

Names first_counts(Names names) {
  names.emplace_back("flow_fragment");
  return names;
}

weir_fragment_key datagram(const World& world, const Endpoint& from, const Endpoint& to) {
  const bool v4 = world.family == 4;
  return {.saddr = to_addr(from.ip),
          .daddr = to_addr(to.ip),
          .id = v4 ? htons(kId) : htonl(kId),
          .proto = v4 ? std::uint8_t{IPPROTO_UDP} : std::uint8_t{0},
          .zero = {}};
}

// A service at the VIP with its backend on this node, another at the node's own address.
void serve(Datapath& dp, const World& world, const std::string& backend, bool local) {
  dp.serve({.proto = IPPROTO_UDP,
            .frontends = {{{world.vip, 80}, WEIR_FRONTEND_LOAD_BALANCER},
                          {{world.node, 30080}, WEIR_FRONTEND_NODE_PORT}},
            .backends = {{{backend, 8080}, local}},
            .policies = 0});
}

void untouched(Datapath& dp, Hook hook, const Frame& frame, const Names& counted) {
  INFO(hook);
  check(dp.run(hook, Device::kUp0, frame), Verdict::kNext, frame, counted);
}

}  // namespace

TEST_CASE("fragments go the way of their datagram, there and back") {
  on_every(tc_paths(), [](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto request = large(talk.data());
    const auto forwarded = talk.forwarded(request);
    const auto reply = large(talk.more());
    const auto back = talk.translated_back(reply);
    for (std::size_t i = 0; i < 3; ++i) {
      CAPTURE(i);
      const auto counts = [&](const Names& names) { return i == 0 ? first_counts(names) : names; };
      check(talk.forward(pieces(request).at(i)), talk.went(), pieces(forwarded).at(i).frame(),
            counts(talk.counts_forward()));
      check(talk.reply(pieces(reply).at(i)), talk.came(), pieces(back).at(i).frame(),
            counts(talk.counts_reply()));
    }
    const auto seen = dp.flow(FlowTable::kEstablished, talk.forward_key()).value();
    CHECK(seen.packets >= 3);
  });
}

TEST_CASE("a flow may begin with fragments") {
  on_every(tc_paths(), [](Datapath&, Conversation& talk) {
    if (talk.tcp()) return;
    const auto request = pieces(large(talk.opening()));
    const auto first = talk.forward(request.at(0));  // and now its source port is known
    const auto there = pieces(talk.forwarded(large(talk.opening())));
    check(first, talk.went(), there.at(0).frame(),
          talk.counts_forward({"flow_new", "flow_fragment"}));
    for (const std::size_t i : {2, 1})  // once the first was there, in any order
      check(talk.forward(request.at(i)), talk.went(), there.at(i).frame(), talk.counts_forward());
    const auto reply = large(talk.answer());
    const auto back = talk.translated_back(reply);
    for (std::size_t i = 0; i < 3; ++i)
      check_bytes(talk.reply(pieces(reply).at(i)), talk.came(), pieces(back).at(i).frame());
  });
}

TEST_CASE("fragments without a UDP checksum, and behind options") {
  on_every(tc_paths(), [](Datapath&, Conversation& talk) {
    talk.establish();
    const auto change = [&](const Packet& packet) {
      const auto piece = large(packet);
      if (!talk.v4()) return piece.extension(Extension::hop_by_hop(1));
      return (talk.tcp() ? piece : piece.no_check()).options({148, 4, 0, 0});
    };
    const auto request = change(talk.data());
    const auto reply = change(talk.more());
    for (std::size_t i = 0; i < 3; ++i) {
      check_bytes(talk.forward(pieces(request).at(i)), talk.went(),
                  pieces(talk.forwarded(request)).at(i).frame());
      check_bytes(talk.reply(pieces(reply).at(i)), talk.came(),
                  pieces(talk.translated_back(reply)).at(i).frame());
    }
  });
}

TEST_CASE("a fragment header on a whole datagram is a header like others") {
  on_every(all_paths(), [](Datapath&, Conversation& talk) {
    if (talk.v4()) return;
    const auto change = [](const Packet& packet) {
      return packet.extension(Extension::fragment(9, 0, false));
    };
    const auto opening = change(talk.opening());
    const auto first = talk.forward(opening);
    check(first, talk.went(), talk.forwarded(opening).frame(), talk.counts_forward({"flow_new"}));
    const auto answer = change(talk.answer());
    check_bytes(talk.reply(answer), talk.came(), talk.translated_back(answer).frame());
  });
}

TEST_CASE("fragments with CHECKSUM_COMPLETE keep it right") {
  on_every(kTranslatedPaths, [](Datapath& dp, Conversation& talk) {
    if (talk.path().raw()) return;
    talk.establish();
    const auto request = large(talk.data());
    for (std::size_t i = 0; i < 3; ++i) {
      const auto ran =
          dp.run_complete(talk.path().forward, talk.path().device, pieces(request).at(i).frame());
      if (ran) check_bytes(*ran, talk.went(), pieces(talk.forwarded(request)).at(i).frame());
    }
  });
}

TEST_CASE("XDP leaves fragments alone") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world, world.remote, false);
    dp.allow_xdp_to(Device::kUp0);
    const auto request = large(from_uplink(IPPROTO_UDP, {world.client, 40000}, {world.vip, 80}));
    for (const auto& piece : pieces(request))
      untouched(dp, Hook::kXdp, piece.frame(), {"pass_fragment"});
  });
}

TEST_CASE("a fragment whose first is not known is dropped only where it can be nobody else's") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world, world.pod0, true);
    const auto to = [&](const std::string& ip) {
      return pieces(large(from_uplink(IPPROTO_UDP, {world.client, 40000}, {ip, 80}))).at(1).frame();
    };
    for (const auto hook : {Hook::kUpIn, Hook::kPodIn}) {
      const auto lost = dp.run(hook, Device::kUp0, to(world.vip));
      CHECK(lost.verdict == Verdict::kDrop);
      CHECK(lost.counted == Names{"drop_fragment"});
      untouched(dp, hook, to(world.node), {"pass_fragment"});
      untouched(dp, hook, to(world.pod0), {"pass_fragment"});
      untouched(dp, hook, to(world.stranger), {"pass_stranger"});
    }
    const auto from = [&](const std::string& ip) {
      return pieces(large(Packet::udp({ip, 8080}, {world.client, 40000}))).at(1).frame();
    };
    for (const auto hook : {Hook::kUpOut, Hook::kPodOut}) {
      untouched(dp, hook, from(world.pod0), {"pass_fragment"});
      untouched(dp, hook, from(world.stranger), {"pass_stranger"});
    }
    dp.set_address(world.vip, WEIR_ADDRESS_SERVICE | WEIR_ADDRESS_NODE);
    untouched(dp, Hook::kUpIn, to(world.vip), {"pass_fragment"});
  });
}

TEST_CASE("fragments for the node's own sockets pass") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world, world.pod0, true);
    const auto served = large(from_uplink(IPPROTO_UDP, {world.client, 40000}, {world.node, 30080}));
    const auto own = large(from_uplink(IPPROTO_UDP, {world.client, 40000}, {world.node, 514}));
    // The id of a datagram that was a service's, used again.
    dp.run(Hook::kUpIn, Device::kUp0, pieces(served).at(0).frame());
    CHECK(parse(dp.run(Hook::kUpIn, Device::kUp0, pieces(served).at(1).frame()).out)->daddr ==
          world.pod0);
    untouched(dp, Hook::kUpIn, pieces(own).at(0).frame(), {"pass_no_service", "flow_fragment"});
    untouched(dp, Hook::kUpIn, pieces(own).at(1).frame(), {"pass_fragment"});
  });
}

TEST_CASE("a first fragment speaks for those behind it, and not for long") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world, world.pod0, true);
    const Endpoint client{world.client, 40000};
    const Endpoint vip{world.vip, 80};
    const auto request = large(from_uplink(IPPROTO_UDP, client, vip));
    dp.run(Hook::kUpIn, Device::kUp0, pieces(request).at(0).frame());
    const auto later = pieces(request).at(1);
    const auto follows = [&](const Packet& piece) {
      return dp.run(Hook::kUpIn, Device::kUp0, piece.frame()).verdict == Verdict::kNext;
    };
    CHECK(follows(later));
    CHECK(!follows(later.id(kId + 1)));
    CHECK(!follows(later.from_ip(world.stranger)));

    const int map = Objects::get().map("weir_fragment");
    const auto key = datagram(world, client, vip);
    weir_fragment kept{};
    REQUIRE(bpf_map_lookup_elem(map, &key, &kept) == 0);
    CHECK(kept.sport == htons(40000));
    CHECK(kept.dport == htons(80));
    for (const auto& [age, alive] : {std::pair{26U, true}, std::pair{29U, false}}) {
      kept.seen = now_ticks() - age;
      REQUIRE(bpf_map_update_elem(map, &key, &kept, BPF_ANY) == 0);
      CHECK(follows(later) == alive);
    }
    // A record that became another datagram's while it was looked up.
    auto other = key;
    other.id = world.family == 4 ? htons(kId + 2) : htonl(kId + 2);
    kept.seen = now_ticks();
    REQUIRE(bpf_map_update_elem(map, &other, &kept, BPF_ANY) == 0);
    CHECK(!follows(later.id(kId + 2)));
    // The same id once more, of a service that has no such port.
    dp.run(Hook::kUpIn, Device::kUp0, pieces(request).at(0).frame());
    dp.run(Hook::kUpIn, Device::kUp0, pieces(request.to({world.vip, 81})).at(0).frame());
    CHECK(!follows(later));
  });
}

TEST_CASE("first fragments without a whole transport header pass") {
  in_both_worlds([](Datapath& dp, const World& world) {
    for (const int number : {IPPROTO_TCP, IPPROTO_UDP}) {
      const auto proto = static_cast<std::uint8_t>(number);
      dp.serve({.proto = proto,
                .frontends = {{{world.vip, 80}, WEIR_FRONTEND_LOAD_BALANCER}},
                .backends = {{{world.pod0, 8080}, true}},
                .policies = 0});
      const auto request = from_uplink(proto, {world.client, 40000}, {world.vip, 80}).payload(64);
      const auto tiny = request.fragment(0, proto == IPPROTO_TCP ? 16 : 4);
      // Padding is no part of it.
      for (const auto& frame : {tiny.frame(), tiny.trailer(40).frame()})
        untouched(dp, Hook::kUpIn, frame, {"pass_fragment_tiny"});
    }
    const auto other = Packet::other(world.client, world.vip, 132).payload(600);
    untouched(dp, Hook::kUpIn, other.fragment(0, 400).frame(), {"pass_fragment"});
  });
}

TEST_CASE("no errors about later fragments") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world, world.narrow, false);
    const auto base = from_uplink(IPPROTO_UDP, {world.client, 40000}, {world.vip, 80});
    const auto request = base.payload(4000).id(kId);
    CHECK(dp.run(Hook::kUpIn, Device::kUp0, request.fragment(0, 1000).frame()).verdict ==
          Verdict::kRedirect);
    const auto dropped = [&](const Packet& piece) {
      const auto ran = dp.run(Hook::kUpIn, Device::kUp0, piece.frame());
      CHECK(ran.verdict == Verdict::kDrop);
      CHECK(ran.counted == Names{"drop_fragment"});
    };
    dropped(request.fragment(1000, 1400));  // larger than the way out
    dropped(request.fragment(1000, 1000).ttl(1));
    // About the first there may be: it says whose it is.
    const auto first = request.fragment(0, 1400);
    const auto ran = dp.run(Hook::kUpIn, Device::kUp0, first.frame());
    const auto quoted = first.l4_offset() - first.l3_offset() + 8;
    check_bytes(ran, Verdict::kRedirect,
                Packet::too_big(world.vip, first.frame(), kNarrowMtu, quoted).df().frame());
  });
}

}  // namespace weir::test
