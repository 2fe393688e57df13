// SPDX-License-Identifier: Apache-2.0
// Established flows: what is counted on them, what ends them, and whose record is whose.
#include <algorithm>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {

TEST_CASE("an established flow is counted on its backend, its service and the node") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto backend = dp.backend(talk.served().backends.front());
    CHECK(backend.live == 1);
    CHECK(backend.connections == 1);
    CHECK(dp.stat(talk.served().id).connections == 1);
    CHECK(dp.state().flows == 1);
    CHECK(dp.state().queued == 1);
  });
}

TEST_CASE("a record that is another flow's is a miss") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    talk.establish();
    auto record = dp.flow(FlowTable::kEstablished, talk.forward_key()).value();
    ++record.check;
    record.daddr = to_addr(talk.v4() ? "10.66.66.66" : "fd00:66::66");
    dp.set_flow(FlowTable::kEstablished, talk.forward_key(), record);
    const auto ran = talk.forward(talk.data());
    CHECK(ran.out != talk.data().to({talk.v4() ? "10.66.66.66" : "fd00:66::66", 8080}).frame());
    CHECK(parse(ran.out).value().daddr == talk.backend().ip);
    CHECK(std::count(ran.counted.begin(), ran.counted.end(), "flow_recycled") == 1);
  });
}

TEST_CASE("a new SYN on a flow that has ended opens a new one") {
  on_each(true, [](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto syn = talk.opening().seq(70000);
    check(talk.forward(syn), talk.went(), talk.forwarded(syn).frame(), talk.counts_forward());
    talk.forward(talk.data().flags(kFin | kAck));
    talk.reply(talk.more().flags(kFin | kAck));
    CHECK(established(dp) == 2);
    const auto ran = talk.forward(syn);
    check_bytes(ran, talk.went(), talk.forwarded(syn).frame());
    CHECK(established(dp) == 0);
    CHECK(dp.count_flows(FlowTable::kHalfTcp) == 2);
    CHECK(dp.backend(talk.served().backends.front()).live == 0);
  });
}

TEST_CASE("one FIN ends no flow, a RST of either side does") {
  for (const std::uint8_t flags : {kFin, kRst}) {
    for (const bool client : {true, false}) {
      on_each(true, [&](Datapath& dp, Conversation& talk) {
        INFO((flags == kFin ? "FIN of the " : "RST of the ") << (client ? "client" : "backend"));
        talk.establish();
        if (client)
          talk.forward(talk.data().flags(flags | kAck));
        else
          talk.reply(talk.more().flags(flags | kAck));
        const auto syn = talk.opening().seq(70000);
        check_bytes(talk.forward(syn), talk.went(), talk.forwarded(syn).frame());
        CHECK(established(dp) == (flags == kFin ? 2 : 0));
        CHECK(dp.count_flows(FlowTable::kHalfTcp) == (flags == kFin ? 0 : 2));
      });
    }
  }
}

TEST_CASE("a RST is forgotten when its sender goes on") {
  on_each(true, [](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto seen = [&](const weir_flow_key& key) {
      return dp.flow(FlowTable::kEstablished, key).value().seen & WEIR_SEEN_RST;
    };
    talk.forward(talk.data().flags(kRst));
    talk.reply(talk.more().flags(kRst));
    CHECK(seen(talk.forward_key()) != 0);
    CHECK(seen(talk.reply_key()) != 0);
    talk.forward(talk.data());
    CHECK(seen(talk.forward_key()) == 0);
    CHECK(seen(talk.reply_key()) != 0);
    talk.reply(talk.more());
    CHECK(seen(talk.reply_key()) == 0);
  });
}

TEST_CASE("a record of which any one part is another flow's is a miss") {
  using Change = void (*)(weir_flow&);
  const std::vector<Change> changes{
      [](weir_flow& flow) { flow.saddr.word[0] ^= 1; },
      [](weir_flow& flow) { flow.saddr.word[3] ^= 1; },
      [](weir_flow& flow) { flow.daddr.word[0] ^= 1; },
      [](weir_flow& flow) { flow.daddr.word[3] ^= 1; },
      [](weir_flow& flow) { flow.sport ^= 1; },
      [](weir_flow& flow) { flow.dport ^= 1; },
      [](weir_flow& flow) { flow.addr_diff ^= 1; },
      [](weir_flow& flow) { flow.port_diff ^= 1; },
      [](weir_flow& flow) { flow.backend ^= 1; },
      [](weir_flow& flow) { flow.generation ^= 1; },
      [](weir_flow& flow) { flow.service ^= 1; },
      [](weir_flow& flow) { flow.flags ^= WEIR_FLOW_DIRECT; },
  };
  on_every(all_paths(), [&](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto right = dp.flow(FlowTable::kEstablished, talk.forward_key()).value();
    for (const auto& change : changes) {
      CAPTURE(&change - changes.data());
      auto record = right;
      change(record);
      dp.set_flow(FlowTable::kEstablished, talk.forward_key(), record);
      const auto ran = talk.forward(talk.data());
      CHECK(std::count(ran.counted.begin(), ran.counted.end(), "flow_recycled") == 1);
    }
  });
}

}  // namespace weir::test
