// SPDX-License-Identifier: Apache-2.0
// Services that want their connections to end with the backend: the client's next packet becomes
// a RST (RFC 9293, 3.10.7.1).
#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

// The RST in the service's name, and sent back the way that `packet` came.
Packet reset_of(const Conversation& talk, const Packet& packet, std::uint32_t acknowledged) {
  auto made = Packet::tcp(talk.frontend(), talk.client())
                  .flags(kRst)
                  .seq(acknowledged)
                  .ack(0)
                  .window(0)
                  .payload("")
                  .ttl(64);
  const auto in = parse(packet.frame()).value();
  return talk.path().raw() ? made.raw() : made.macs(in.dmac, in.smac);
}

void take_away(Datapath& dp, const Conversation& talk, std::uint32_t flags) {
  const auto index = talk.served().backends[0];
  dp.set_flags(index, dp.backend(index).flags | flags);
  dp.set_state(index, WEIR_BACKEND_GONE);
  dp.bump_epoch();
}

}  // namespace

TEST_CASE("a connection whose backend is gone is reset, if the service wants that") {
  on_each(true, [](Datapath& dp, Conversation& talk) {
    talk.establish();
    take_away(dp, talk, WEIR_BACKEND_RESET);
    const auto data = talk.data().ack(77'000).ttl(9).tos(0);
    const auto ran = talk.forward(data);
    if (talk.path().xdp()) {
      check(ran, Verdict::kNext, data.frame(), {"pass_to_tc_packet"});
      CHECK(established(dp) == 2);
      return;
    }
    check(ran, Verdict::kRedirect, reset_of(talk, data, 77'000).frame(), {"answer_reset"});
    CHECK(established(dp) == 0);
    CHECK(dp.backend(talk.served().backends[0]).live == 0);
  });
}

TEST_CASE("what acknowledges nothing is reset by its own sequence space") {
  on_each(true, [](Datapath& dp, Conversation& talk) {
    if (talk.path().xdp()) return;
    talk.establish();
    take_away(dp, talk, WEIR_BACKEND_RESET);
    const auto fin = talk.data().flags(kFin).seq(5000).payload("1234567");
    const auto reset = reset_of(talk, fin, 0).flags(kRst | kAck).ack(5000 + 7 + 1);
    check(talk.forward(fin), Verdict::kRedirect, reset.frame(), {"answer_reset"});
  });
}

TEST_CASE("without that wish the connection goes on to the old address",
          "[1.3/existing-connections]") {
  on_each(true, [](Datapath& dp, Conversation& talk) {
    talk.establish();
    take_away(dp, talk, 0);
    CHECK(talk.forward(talk.data()).verdict == talk.went());
    CHECK(established(dp) == 2);
  });
}

TEST_CASE("a backend that is terminating, or still there, resets nothing") {
  on_each(true, [](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto index = talk.served().backends[0];
    dp.set_flags(index, dp.backend(index).flags | WEIR_BACKEND_RESET);
    dp.set_state(index, WEIR_BACKEND_TERMINATING);
    dp.bump_epoch();
    CHECK(talk.forward(talk.data()).verdict == talk.went());
  });
}

TEST_CASE("a RST is never answered with one, and a SYN is a new connection") {
  on_each(true, [](Datapath& dp, Conversation& talk) {
    talk.establish();
    take_away(dp, talk, WEIR_BACKEND_RESET);
    SECTION("RST") {
      CHECK(talk.forward(talk.data().flags(kRst)).verdict == talk.went());
    }
    SECTION("SYN") {
      if (!talk.path().xdp()) CHECK(talk.forward(talk.opening()).counted.back() == "flow_new");
    }
  });
}

TEST_CASE("what the backend still sends goes on to the client, whose answer ends it") {
  on_each(true, [](Datapath& dp, Conversation& talk) {
    talk.establish();
    take_away(dp, talk, WEIR_BACKEND_RESET);
    CHECK(talk.reply(talk.more()).verdict == talk.came());
    CHECK(established(dp) == 2);
  });
}

}  // namespace weir::test
