// SPDX-License-Identifier: Apache-2.0
// Half-open flows: what promotes them, what does not, and what they survive.
#include <algorithm>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

// A service of two backends, reached from a pod of this node.
class Choosing {
 public:
  Choosing(Datapath& dp, const World& world, const std::string& one, const std::string& two,
           bool local)
      : dp_{dp},
        client_{local ? world.client : world.pod0, 40000},
        frontend_{world.cluster_ip, 80},
        one_{one, 8080},
        two_{two, 8080},
        local_{local} {
    dp.serve({.proto = IPPROTO_TCP,
              .frontends = {{frontend_, WEIR_FRONTEND_CLUSTER_IP}},
              .backends = {{one_, local}, {two_, local}},
              .policies = 0});
    dp.serve({.proto = IPPROTO_TCP,
              .frontends = {{{world.vip, 81}, WEIR_FRONTEND_LOAD_BALANCER}},
              .backends = {{{world.narrow, 9999}, false}},
              .policies = 0});
  }
  [[nodiscard]] Packet syn() const {
    return local_ ? from_uplink(IPPROTO_TCP, client_, frontend_)
                  : from_pod(IPPROTO_TCP, client_, frontend_);
  }
  Ran send() {
    return local_ ? dp_.run(Hook::kUpIn, Device::kUp0, syn().frame())
                  : dp_.run(Hook::kPodIn, Device::kPod0, syn().frame());
  }
  // The backend that it was sent to, which must be one of the two.
  Endpoint first() {
    const auto ran = send();
    const auto to = ran.out == syn().to(one_).frame() ? one_ : two_;
    check_bytes(ran, Verdict::kNext, syn().to(to).frame());
    return to;
  }
  [[nodiscard]] Endpoint other(const Endpoint& than) const { return than == one_ ? two_ : one_; }
  [[nodiscard]] Packet from(const Endpoint& backend) const { return Packet::tcp(backend, client_); }
  [[nodiscard]] Endpoint frontend() const { return frontend_; }

 private:
  Datapath& dp_;
  Endpoint client_;
  Endpoint frontend_;
  Endpoint one_;
  Endpoint two_;
  bool local_;
};

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

TEST_CASE("a flow keeps its backend when the list changes",
          "[1.3/existing-connections][1.3/udp-policies]") {
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

TEST_CASE("whoever is picked instead is of the list, and nothing of the old flow stays") {
  in_both_worlds([](Datapath& dp, const World& world) {
    Choosing talk{dp, world, world.remote, world.far, false};
    auto to = talk.first();
    for (int i = 0; i < 32; ++i) {
      to = talk.other(to);
      check(talk.send(), Verdict::kNext, talk.syn().to(to).frame(),
            {"forward_tc", "flow_new", "flow_repicked"});
      CHECK(dp.count_flows(FlowTable::kHalfTcp) == 2);
    }
  });
}

TEST_CASE("a backend that refuses has not answered: the next SYN picks another") {
  in_both_worlds([](Datapath& dp, const World& world) {
    Choosing talk{dp, world, world.remote, world.far, false};
    const auto to = talk.first();
    const auto refusal = talk.from(to).flags(kRst | kAck).seq(0).ack(5001).payload("");
    check(dp.run(Hook::kPodOut, Device::kPod0, refusal.frame()), Verdict::kNext,
          refusal.from(talk.frontend()).frame(), {"reply_tc"});
    check(talk.send(), Verdict::kNext, talk.syn().to(talk.other(to)).frame(),
          {"forward_tc", "flow_new", "flow_repicked"});
  });
}

TEST_CASE("a SYN is retransmitted too where XDP chose the first backend for tc") {
  in_both_worlds([](Datapath& dp, const World& world) {
    Choosing talk{dp, world, world.pod0, world.pod1, true};
    const auto by_xdp = [&] { return dp.run(Hook::kXdp, Device::kUp0, talk.syn().frame()); };
    check(by_xdp(), Verdict::kNext, talk.syn().frame(), {"pass_to_tc_local", "flow_new"});
    const auto to = talk.first();
    check(by_xdp(), Verdict::kNext, talk.syn().frame(), {"pass_to_tc_local"});
    check(talk.send(), Verdict::kNext, talk.syn().to(talk.other(to)).frame(),
          {"forward_tc", "flow_new", "flow_repicked"});
  });
}

TEST_CASE("service ports of one backend and one client port each have a tuple") {
  for (const int number : {IPPROTO_TCP, IPPROTO_UDP}) {
    in_both_worlds([&](Datapath& dp, const World& world) {
      const auto proto = static_cast<std::uint8_t>(number);
      const Endpoint client{world.client, 40000};
      const Endpoint backend{world.pod0, 8080};
      const std::vector<Endpoint> frontends{
          {world.vip, 80}, {world.vip, 81}, {world.cluster_ip, 80}};
      Service service{.proto = proto, .frontends = {}, .backends = {{backend, true}}};
      for (const auto& at : frontends)
        service.frontends.push_back({at, WEIR_FRONTEND_LOAD_BALANCER});
      dp.serve(service);
      std::vector<std::uint16_t> ports;
      for (const auto& at : frontends) {
        const auto request = from_uplink(proto, client, at);
        const auto ran = dp.run(Hook::kUpIn, Device::kUp0, request.frame());
        ports.push_back(parse(ran.out).value().sport);
        check(ran, Verdict::kNext, request.from_port(ports.back()).to(backend).frame(),
              ports.size() == 1 ? Names{"forward_tc", "flow_new"}
                                : Names{"forward_tc", "flow_new", "flow_moved"});
      }
      CHECK(ports.front() == client.port);
      for (std::size_t i = 0; i < ports.size(); ++i) {
        const Endpoint source{client.ip, ports[i]};
        const auto reply =
            proto == IPPROTO_UDP
                ? Packet::udp(backend, source)
                : Packet::tcp(backend, source).flags(kSyn | kAck).seq(9000).ack(5001).payload("");
        check_bytes(dp.run(Hook::kUpOut, Device::kUp0, reply.frame()), Verdict::kNext,
                    reply.from(frontends[i]).to(client).frame());
      }
    });
  }
}

TEST_CASE("a client that begins anew after its half was lost is answered") {
  on_each(true, [](Datapath& dp, Conversation& talk) {
    talk.forward(talk.opening());
    dp.erase_flow(FlowTable::kHalfTcp, talk.forward_key());
    const auto syn = talk.opening().seq(70000);
    check_bytes(talk.forward(syn), talk.went(), talk.forwarded(syn).frame());
    const auto answer = talk.answer().ack(70001);
    check_bytes(talk.reply(answer), talk.came(), talk.translated_back(answer).frame());
    const auto ack = talk.data().seq(70001);
    check_bytes(talk.forward(ack), talk.went(), talk.forwarded(ack).frame());
    CHECK(established(dp) == 2);
  });
}

}  // namespace weir::test
