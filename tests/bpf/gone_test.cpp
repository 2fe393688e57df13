// SPDX-License-Identifier: Apache-2.0
// What becomes of a flow when its backend is taken away.
#include <algorithm>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

// Takes the conversation's backend away and leaves another in its place.
Endpoint replace_backend(Datapath& dp, Conversation& talk, weir_backend_state state) {
  const Endpoint other{talk.backend().ip, 9999};
  auto service = talk.service();
  service.frontends.clear();
  service.backends.push_back({other, service.backends.front().local});
  // A backend entry of the service, by the way that entries are made: a service of its own...
  const auto extra = dp.serve({.proto = service.proto,
                               .frontends = {},
                               .backends = {service.backends.back()},
                               .policies = 0});
  dp.give_backend(extra.backends.front(), talk.served().id);
  // ... and now it is the only one in the list.
  service.backends.erase(service.backends.begin());
  dp.set_state(talk.served().backends.front(), state);
  dp.publish({.id = talk.served().id, .backends = extra.backends}, service, 60);
  dp.bump_epoch();
  return other;
}

bool counted(const Ran& ran, const char* name) {
  return std::count(ran.counted.begin(), ran.counted.end(), name) > 0;
}

}  // namespace

TEST_CASE("UDP goes to another backend with the next packet, TCP stays",
          "[1.3/existing-connections][1.3/udp-stale]") {
  const bool established = GENERATE(true, false);
  on_every(all_paths(), [&](Datapath& dp, Conversation& talk) {
    if (established)
      talk.establish();
    else
      talk.forward(talk.opening());
    const auto other = replace_backend(dp, talk, WEIR_BACKEND_GONE);
    const auto ran = talk.forward(talk.data());
    if (talk.tcp()) {
      check_bytes(ran, talk.went(), talk.forwarded(talk.data()).frame());
      if (!established) return;
      check_bytes(talk.reply(talk.more()), talk.came(), talk.translated_back(talk.more()).frame());
    } else {
      check_bytes(ran, talk.went(), talk.forwarded(talk.data()).to(other).frame());
      CHECK(counted(ran, "flow_repicked"));
      CHECK(dp.backend(talk.served().backends.front()).live == 0);
    }
  });
}

TEST_CASE("a terminating backend keeps its flows and gets no new ones", "[1.3/udp-serving]") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto other = replace_backend(dp, talk, WEIR_BACKEND_TERMINATING);
    const auto data = talk.data();
    check_bytes(talk.forward(data), talk.went(), talk.forwarded(data).frame());
    check_bytes(talk.reply(talk.more()), talk.came(), talk.translated_back(talk.more()).frame());
    const auto fresh = talk.opening().from_port(41000);
    const auto ran = talk.forward(fresh);
    CHECK(parse(ran.out).value().dport == other.port);
  });
}

TEST_CASE("an index that is another backend's by now is a backend gone") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    if (talk.tcp()) return;
    talk.establish();
    const auto other = replace_backend(dp, talk, WEIR_BACKEND_ACTIVE);
    dp.recycle(talk.served().backends.front());
    const auto ran = talk.forward(talk.data());
    check_bytes(ran, talk.went(), talk.forwarded(talk.data()).to(other).frame());
    CHECK(dp.backend(talk.served().backends.front()).live == 1);  // not the new owner's to lose
  });
}

TEST_CASE("a flow looks at its backend once an epoch") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    talk.establish();
    dp.bump_epoch();
    talk.forward(talk.data());
    const auto record = dp.flow(FlowTable::kEstablished, talk.forward_key()).value();
    CHECK(record.epoch == 2);
    // Without another epoch nobody looks: the state alone changes nothing.
    dp.set_state(talk.served().backends.front(), WEIR_BACKEND_GONE);
    check_bytes(talk.forward(talk.data()), talk.went(), talk.forwarded(talk.data()).frame());
  });
}

TEST_CASE("a service without endpoints answers, and its TCP flows go on",
          "[1.3/existing-connections][1.3/udp-last-endpoint]") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    talk.establish();
    auto service = talk.service();
    service.backends.clear();
    dp.set_state(talk.served().backends.front(), WEIR_BACKEND_GONE);
    dp.publish({.id = talk.served().id, .backends = {}}, service, 60);
    dp.bump_epoch();
    const auto ran = talk.forward(talk.data());
    if (talk.tcp())
      check_bytes(ran, talk.went(), talk.forwarded(talk.data()).frame());
    else
      CHECK(counted(ran, talk.path().xdp() ? "pass_to_tc_packet" : "answer_unreachable"));
  });
}

TEST_CASE("what a backend sent before it was taken away still reaches its client") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    talk.establish();
    replace_backend(dp, talk, WEIR_BACKEND_GONE);
    for (int i = 0; i < 2; ++i) {
      const auto more = talk.more();
      check_bytes(talk.reply(more), talk.came(), talk.translated_back(more).frame());
    }
    CHECK(dp.count_flows(FlowTable::kEstablished) == 2);
  });
}

TEST_CASE("a new SYN on a flow whose backend is gone goes to another") {
  for (const auto state : {WEIR_BACKEND_GONE, WEIR_BACKEND_TERMINATING}) {
    on_every(all_paths(), [&](Datapath& dp, Conversation& talk) {
      if (!talk.tcp()) return;
      talk.establish();
      const auto other = replace_backend(dp, talk, state);
      const auto syn = talk.opening().seq(70000);
      const auto ran = talk.forward(syn);
      const auto to = state == WEIR_BACKEND_GONE ? other : talk.backend();
      check_bytes(ran, talk.went(), talk.forwarded(syn).to(to).frame());
    });
  }
}

}  // namespace weir::test
