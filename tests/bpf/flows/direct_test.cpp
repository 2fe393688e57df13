// SPDX-License-Identifier: Apache-2.0
// A connection straight to a backend beside one through the service, of one client port: on the
// wire behind the translation they are one tuple.
#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

// The direct connection that clashes with a Conversation.
class Direct {
 public:
  Direct(Datapath& dp, Conversation& talk) : dp_{dp}, talk_{talk}, port_{talk.client().port} {}

  [[nodiscard]] Packet opening() const { return talk_.opening().seq(100).to(talk_.backend()); }
  [[nodiscard]] Packet data() const { return talk_.data().seq(101).ack(301).to(talk_.backend()); }
  [[nodiscard]] Packet answer() const { return back(talk_.answer().seq(300).ack(101)); }
  [[nodiscard]] Packet more() const { return back(talk_.more().seq(301).ack(101)); }

  // Not by the Conversation, which takes the port that it sees for its own.
  Ran forward(const Packet& packet) {
    return dp_.run(talk_.path().forward, talk_.path().device, packet.frame());
  }
  // Opens, on a tuple that is taken: learns to which port it was moved.
  void move() {
    const auto ran = forward(opening());
    port_ = parse(ran.out).value().sport;
    CHECK(port_ != talk_.client().port);
    check(ran, Verdict::kNext, opening().from_port(port_).frame(),
          {"forward_tc", "flow_new", "flow_moved"});
  }
  void check_reply(const Packet& reply) {
    check_bytes(talk_.reply(reply), Verdict::kNext, reply.to(talk_.client()).frame());
  }
  void check_again() {
    check_bytes(forward(opening()), Verdict::kNext, opening().from_port(port_).frame());
  }
  void check_works() {
    check_bytes(forward(data()), Verdict::kNext, data().from_port(port_).frame());
    check_reply(more());
  }

 private:
  [[nodiscard]] Packet back(const Packet& packet) const {
    return packet.to({talk_.client().ip, port_});
  }

  Datapath& dp_;
  Conversation& talk_;
  std::uint16_t port_;
};

void check_service(Conversation& talk) {
  const auto data = talk.data();
  check_bytes(talk.forward(data), talk.went(), talk.forwarded(data).frame());
  const auto more = talk.more();
  check_bytes(talk.reply(more), talk.came(), talk.translated_back(more).frame());
}

void check_both(Datapath& dp, Conversation& talk, Direct& direct) {
  for (int i = 0; i < 3; ++i) {
    direct.check_works();
    check_service(talk);
  }
  CHECK(dp.state().flows == 2);
  CHECK(dp.state().direct_flows == 1);
  CHECK(dp.backend(talk.served().backends.front()).live == 1);  // a direct one is none of its
}

void on_tcp(const std::function<void(Datapath&, Conversation&)>& test) {
  on_every(kTranslatedPaths, [&](Datapath& dp, Conversation& talk) {
    if (talk.tcp()) test(dp, talk);
  });
}

}  // namespace

TEST_CASE("a direct connection on the tuple of an established one is moved, and both work") {
  on_every(kTranslatedPaths, [](Datapath& dp, Conversation& talk) {
    talk.establish();
    Direct direct{dp, talk};
    direct.move();
    check_service(talk);
    direct.check_reply(direct.answer());
    check_both(dp, talk, direct);
  });
}

TEST_CASE("a direct connection to a backend on the node's own network is moved too") {
  on_every(kTranslatedPaths, [](Datapath& dp, Conversation& talk) {
    dp.set_address(talk.backend().ip, WEIR_ADDRESS_BACKEND | WEIR_ADDRESS_LOCAL |
                                          WEIR_ADDRESS_NODE | WEIR_ADDRESS_NODE_PORT);
    Direct direct{dp, talk};
    check(direct.forward(direct.opening()), Verdict::kNext, direct.opening().frame(),
          {"pass_no_service"});
    talk.establish();
    direct.move();
    direct.check_reply(direct.answer());
    check_both(dp, talk, direct);
  });
}

TEST_CASE("a direct connection on the tuple of a half-open one is moved, and both work") {
  on_every(kTranslatedPaths, [](Datapath& dp, Conversation& talk) {
    talk.forward(talk.opening());
    Direct direct{dp, talk};
    direct.move();
    direct.check_reply(direct.answer());
    const auto answer = talk.answer();
    check_bytes(talk.reply(answer), talk.came(), talk.translated_back(answer).frame());
    check_both(dp, talk, direct);
  });
}

TEST_CASE("TCP through the service after a direct one on its tuple comes from another port") {
  on_tcp([](Datapath& dp, Conversation& talk) {
    Direct direct{dp, talk};
    check(direct.forward(direct.opening()), Verdict::kNext, direct.opening().frame(),
          {"pass_stranger"});
    const auto direct_untouched = [&] {
      check_bytes(direct.forward(direct.data()), Verdict::kNext, direct.data().frame());
      direct.check_reply(direct.more());
    };
    direct.check_reply(direct.answer());
    direct_untouched();

    // The backend takes the SYN for one of the direct connection: a challenge ACK, no SYN-ACK.
    const auto syn = talk.opening();
    check_bytes(talk.forward(syn), Verdict::kNext, talk.forwarded(syn).frame());
    direct_untouched();

    const auto again = talk.forward(syn);
    CHECK(talk.source().port != talk.client().port);
    check(again, Verdict::kNext, talk.forwarded(syn).frame(),
          {"forward_tc", "flow_new", "flow_repicked"});
    direct_untouched();
    const auto answer = talk.answer();
    check_bytes(talk.reply(answer), talk.came(), talk.translated_back(answer).frame());
    for (int i = 0; i < 3; ++i) {
      check_service(talk);
      direct_untouched();
    }
    CHECK(dp.state().flows == 1);
    CHECK(dp.state().direct_flows == 0);
  });
}

TEST_CASE("a direct datagram flow that was there first is moved off the tuple by its next one") {
  on_every(kTranslatedPaths, [](Datapath& dp, Conversation& talk) {
    if (talk.tcp()) return;
    Direct direct{dp, talk};
    check(direct.forward(direct.opening()), Verdict::kNext, direct.opening().frame(),
          {"pass_stranger"});
    direct.check_reply(direct.answer());
    talk.establish();
    direct.move();
    check_both(dp, talk, direct);
  });
}

TEST_CASE("a SYN on a direct connection that was moved finds its port again") {
  on_tcp([](Datapath& dp, Conversation& talk) {
    talk.establish();
    Direct direct{dp, talk};
    direct.move();
    direct.check_reply(direct.answer());
    direct.check_works();
    direct.check_again();
    check_both(dp, talk, direct);
  });
}

}  // namespace weir::test
