// SPDX-License-Identifier: Apache-2.0
// The half-open tables evict single records: either half may go at any time.
#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

enum class Half { kForward, kReply };

struct Loss {
  const char* name;
  Half lost;
  Half next;      // whose packet comes first after that
  bool repaired;  // by that packet
};

constexpr Loss kLosses[]{
    {"client's half, client's packet", Half::kForward, Half::kForward, true},
    {"client's half, backend's packet", Half::kForward, Half::kReply, true},
    {"backend's half, client's packet", Half::kReply, Half::kForward, true},
    // Nothing says any more whose it is, so it passes; the client's next one repairs.
    {"backend's half, backend's packet", Half::kReply, Half::kReply, false},
};

void forward_works(Conversation& talk) {
  const auto data = talk.data();
  const auto ran = talk.forward(data);  // first: it tells the source port
  check_bytes(ran, talk.went(), talk.forwarded(data).frame());
}

void reply_works(Conversation& talk) {
  const auto more = talk.more();
  check_bytes(talk.reply(more), talk.came(), talk.translated_back(more).frame());
}

void lose(Datapath& dp, Conversation& talk, const Loss& loss) {
  forward_works(talk);  // without a SYN, whose retransmission would pick another backend
  const auto port = talk.source().port;
  dp.erase_flow(talk.half_table(),
                loss.lost == Half::kForward ? talk.forward_key() : talk.reply_key());
  if (loss.next == Half::kForward) {
    forward_works(talk);
  } else if (loss.repaired) {
    reply_works(talk);
  } else {
    const auto more = talk.more();
    check_bytes(talk.reply(more), Verdict::kNext, more.frame());
  }
  forward_works(talk);
  reply_works(talk);
  forward_works(talk);
  CHECK(talk.source().port == port);
  const auto table = talk.tcp() ? FlowTable::kHalfTcp : FlowTable::kEstablished;
  CHECK(dp.flow(table, talk.forward_key()));
  CHECK(dp.flow(table, talk.reply_key()));
  CHECK(dp.count_flows(table) == 2);
}

}  // namespace

TEST_CASE("a half-open flow works on after the loss of either half, whoever speaks next") {
  for (const auto& loss : kLosses) {
    on_every(all_paths(), [&](Datapath& dp, Conversation& talk) {
      INFO(loss.name);
      lose(dp, talk, loss);
    });
  }
}

TEST_CASE("a handshake survives the loss of the client's half at any step") {
  for (const int step : {0, 1, 2}) {
    on_every(all_paths(), [&](Datapath& dp, Conversation& talk) {
      if (!talk.tcp()) return;
      INFO("lost after step " << step);
      const auto lose_after = [&](int now) {
        if (now == step) dp.erase_flow(FlowTable::kHalfTcp, talk.forward_key());
      };
      talk.forward(talk.opening());
      lose_after(0);
      check_bytes(talk.reply(talk.answer()), talk.came(),
                  talk.translated_back(talk.answer()).frame());
      lose_after(1);
      const auto wrong = talk.data().ack(77);
      check_bytes(talk.forward(wrong), talk.went(), talk.forwarded(wrong).frame());
      CHECK(dp.count_flows(FlowTable::kEstablished) == 0);
      lose_after(2);
      forward_works(talk);
      forward_works(talk);  // the first may have had to bring the half back
      CHECK(dp.count_flows(FlowTable::kEstablished) == 2);
      reply_works(talk);
    });
  }
}

}  // namespace weir::test
