// SPDX-License-Identifier: Apache-2.0
// Half-open flows: what promotes them, what does not, and what they survive.
#include <algorithm>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

// Conversations of one protocol; `tcp` or not.
void on_each(bool tcp, const std::function<void(Datapath&, Conversation&)>& test) {
  on_every(all_paths(), [&](Datapath& dp, Conversation& talk) {
    if (talk.tcp() == tcp) test(dp, talk);
  });
}

std::size_t established(const Datapath& dp) {
  return dp.count_flows(FlowTable::kEstablished);
}

}  // namespace

TEST_CASE("TCP is established by the right acknowledgement of the backend's SYN-ACK alone") {
  on_each(true, [](Datapath& dp, Conversation& talk) {
    const auto ack = talk.data().payload("");
    talk.forward(talk.opening());
    talk.forward(ack);  // blind: nobody has answered yet
    CHECK(established(dp) == 0);

    // The backend's SYN-ACK, but of another SYN than the client's.
    const auto stray = talk.answer().ack(77);
    check(talk.reply(stray), Verdict::kNext, stray.frame(), {"pass_half_reply"});
    talk.forward(ack);
    CHECK(established(dp) == 0);

    talk.reply(talk.answer());
    for (const std::uint32_t wrong : {0U, 9000U, 9002U, 0xffffffffU}) {
      const auto guess = ack.ack(wrong);
      check(talk.forward(guess), talk.went(), talk.forwarded(guess).frame(), talk.counts_forward());
      CHECK(established(dp) == 0);
    }
    const auto rst = ack.flags(kRst | kAck);
    talk.forward(rst);
    CHECK(established(dp) == 0);

    check(talk.forward(ack), talk.went(), talk.forwarded(ack).frame(),
          talk.counts_forward({"flow_established"}));
    CHECK(established(dp) == 2);
  });
}

TEST_CASE("a TCP packet that is no SYN makes no more than a half-open flow") {
  on_each(true, [](Datapath& dp, Conversation& talk) {
    for (const std::uint8_t flags : {kAck, kFin, kRst, kPsh}) {
      const auto packet = talk.data().flags(flags);
      talk.forward(packet);
      talk.forward(packet);
    }
    CHECK(established(dp) == 0);
    CHECK(dp.count_flows(FlowTable::kHalfTcp) == 2);
  });
}

TEST_CASE("UDP is established by the first reply") {
  on_each(false, [](Datapath& dp, Conversation& talk) {
    for (int i = 0; i < 3; ++i) talk.forward(talk.opening());
    CHECK(established(dp) == 0);
    CHECK(dp.count_flows(FlowTable::kHalfUdp) == 2);
    talk.reply(talk.answer());
    CHECK(established(dp) == 2);
    CHECK(dp.count_flows(FlowTable::kHalfUdp) == 0);
  });
}

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

TEST_CASE("a half-open flow survives the loss of its reply half") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    talk.forward(talk.data());  // for TCP a connection older than its flow
    dp.erase_flow(talk.half_table(), talk.reply_key());
    // The client's next packet restores it, under the same source port.
    check_bytes(talk.forward(talk.data()), talk.went(), talk.forwarded(talk.data()).frame());
    CHECK(dp.flow(talk.half_table(), talk.reply_key()));
    check_bytes(talk.reply(talk.more()), talk.came(), talk.translated_back(talk.more()).frame());
  });
}

TEST_CASE("a half-open flow survives the loss of its forward half") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    talk.forward(talk.opening());
    dp.erase_flow(talk.half_table(), talk.forward_key());
    const auto answer = talk.answer();
    check_bytes(talk.reply(answer), talk.came(), talk.translated_back(answer).frame());
    const auto ack = talk.data();
    check_bytes(talk.forward(ack), talk.went(), talk.forwarded(ack).frame());
    CHECK(established(dp) == 2);
  });
}

TEST_CASE("a half-open flow that lost its forward half is found again by the client's packet") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    talk.forward(talk.opening());
    talk.reply(talk.answer());
    if (!talk.tcp()) return;  // established by now
    dp.erase_flow(FlowTable::kHalfTcp, talk.forward_key());
    const auto ack = talk.data();
    check_bytes(talk.forward(ack), talk.went(), talk.forwarded(ack).frame());
    check_bytes(talk.forward(ack), talk.went(), talk.forwarded(ack).frame());
    CHECK(established(dp) == 2);
  });
}

TEST_CASE("a retransmitted SYN picks another backend until one has answered") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Endpoint client{world.pod0, 40000};
    const Endpoint frontend{world.cluster_ip, 80};
    const Endpoint one{world.pod1, 8080};
    const Endpoint two{world.remote, 8080};
    dp.serve({.proto = IPPROTO_TCP,
              .frontends = {{frontend, WEIR_FRONTEND_CLUSTER_IP}},
              .backends = {{one, true}, {two, false}},
              .policies = 0});
    const auto syn = from_pod(IPPROTO_TCP, client, frontend);
    const auto send = [&] { return dp.run(Hook::kPodIn, Device::kPod0, syn.frame()); };
    auto to = send().out == syn.to(one).frame() ? one : two;
    for (int i = 0; i < 4; ++i) {
      to = to == one ? two : one;
      check(send(), Verdict::kNext, syn.to(to).frame(),
            {"forward_tc", "flow_new", "flow_repicked"});
    }
    const auto answer = Packet::tcp(to, client).flags(kSyn | kAck).seq(9000).ack(5001).payload("");
    check_bytes(dp.run(Hook::kPodOut, Device::kPod0, answer.frame()), Verdict::kNext,
                answer.from(frontend).frame());
    check(send(), Verdict::kNext, syn.to(to).frame(), {"forward_tc"});
  });
}

TEST_CASE("a flow keeps its backend when the list changes") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    talk.establish();
    // Other backends alone, in a new version.
    auto service = talk.service();
    service.backends = {{{"10.9.9.9", 1}, false}};
    dp.publish({.id = talk.served().id, .backends = {100}}, service, 60);
    dp.bump_epoch();
    const auto data = talk.data();
    check_bytes(talk.forward(data), talk.went(), talk.forwarded(data).frame());
    check_bytes(talk.reply(talk.more()), talk.came(), talk.translated_back(talk.more()).frame());
  });
}

TEST_CASE("a full table keeps flows half open and working") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    dp.configure([](weir_config& config) { config.max_flows = 0; });
    talk.forward(talk.opening());
    talk.reply(talk.answer());
    for (int i = 0; i < 3; ++i) {
      const auto data = talk.data();
      check_bytes(talk.forward(data), talk.went(), talk.forwarded(data).frame());
      const auto more = talk.more();
      const auto ran = talk.reply(more);
      check_bytes(ran, talk.came(), talk.translated_back(more).frame());
    }
    CHECK(established(dp) == 0);
    CHECK(dp.state().flows == 0);
    CHECK(dp.state().queued == 0);
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

}  // namespace weir::test
