// SPDX-License-Identifier: Apache-2.0
// SCTP flows and their services: who is let in, which backend it is, under which port, and what
// becomes of a flow whose backend goes.
#include <algorithm>
#include <set>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

bool counted(const Ran& ran, const char* name) {
  return std::count(ran.counted.begin(), ran.counted.end(), name) > 0;
}

Packet from_client(const World& world, const Endpoint& to, std::uint16_t port = 40000) {
  return from_uplink(IPPROTO_SCTP, {world.client, port}, to);
}

Ran run(Datapath& dp, const Packet& packet) {
  return dp.run(Hook::kUpIn, Device::kUp0, packet.frame());
}

// Takes the conversation's backend away; another is in the list, which is returned.
Endpoint replace_backend(Datapath& dp, Conversation& talk, weir_backend_state state) {
  auto service = talk.service();
  const Backend other{{talk.backend().ip, 9999}, service.backends.front().local};
  service.frontends.clear();
  service.backends = {other};
  const auto extra = dp.serve(service);
  dp.give_backend(extra.backends.front(), talk.served().id);
  dp.set_state(talk.served().backends.front(), state);
  dp.publish({.id = talk.served().id, .backends = extra.backends}, service, 60);
  dp.bump_epoch();
  return other.at;
}

}  // namespace

TEST_CASE("every kind of frontend leads SCTP to the backend, and its answers come from there",
          "[1.1/protocol-sctp]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Endpoint backend{world.pod0, 8080};
    const std::vector<Frontend> frontends{{{world.cluster_ip, 80}, WEIR_FRONTEND_CLUSTER_IP},
                                          {{world.node, 30080}, WEIR_FRONTEND_NODE_PORT},
                                          {{world.vip, 443}, WEIR_FRONTEND_LOAD_BALANCER},
                                          {{world.stranger, 80}, WEIR_FRONTEND_EXTERNAL_IP}};
    dp.serve({.proto = IPPROTO_SCTP,
              .frontends = frontends,
              .backends = {{backend, true}},
              .policies = 0});
    std::uint16_t port = 40000;
    for (const auto& [at, kind] : frontends) {
      INFO(at.ip);
      const auto request = from_client(world, at, ++port);
      check(run(dp, request), Verdict::kNext, request.to(backend).frame(),
            {"forward_tc", "flow_new"});
      const auto reply = Packet::sctp(backend, {world.client, port}).chunk(kSctpInitAck);
      check(dp.run(Hook::kUpOut, Device::kUp0, reply.frame()), Verdict::kNext,
            reply.from(at).frame(), {"reply_tc", "flow_established"});
    }
    // Ports of other protocols are not its own.
    const auto udp = from_uplink(IPPROTO_UDP, {world.client, 40000}, {world.node, 30080}).frame();
    check(dp.run(Hook::kUpIn, Device::kUp0, udp), Verdict::kNext, udp, {"pass_no_service"});
    const auto own = from_client(world, {world.node, 22}).frame();
    check(dp.run(Hook::kUpIn, Device::kUp0, own), Verdict::kNext, own, {"pass_no_service"});
    const auto strange = from_client(world, {world.far, 80}).frame();
    check(dp.run(Hook::kUpIn, Device::kUp0, strange), Verdict::kNext, strange, {"pass_stranger"});
  });
}

TEST_CASE("SCTP: a pod that is its own backend is answered by the node, and hears itself",
          "[1.1/protocol-sctp]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Endpoint client{world.pod0, 40000};
    const Endpoint frontend{world.cluster_ip, 80};
    const Endpoint backend{world.pod0, 8080};
    dp.serve({.proto = IPPROTO_SCTP,
              .frontends = {{frontend, WEIR_FRONTEND_CLUSTER_IP}},
              .backends = {{backend, true}},
              .policies = 0});
    const auto request = from_pod(IPPROTO_SCTP, client, frontend);
    const auto there = dp.run(Hook::kPodIn, Device::kPod0, request.frame());
    const Endpoint source{world.pod_gateway, parse(there.out).value().sport};
    check(there, Verdict::kRedirect,
          request.from(source).to(backend).ttl(63).macs(kPodHostMac, kPodMac).frame(),
          {"forward_tc_sent", "flow_new"});
    const auto reply = Packet::sctp(backend, source).chunk(kSctpInitAck).macs(kPodMac, kPodHostMac);
    check(dp.run(Hook::kPodIn, Device::kPod0, reply.frame()), Verdict::kRedirect,
          reply.from(frontend).to(client).ttl(63).macs(kPodHostMac, kPodMac).frame(),
          {"forward_tc_sent", "flow_established"});
  });
}

TEST_CASE("SCTP to a backend on the client's own bridge stays bridged") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Endpoint client{world.bridged0, 40000};
    const Endpoint frontend{world.cluster_ip, 80};
    const Endpoint backend{world.bridged1, 8080};
    dp.serve({.proto = IPPROTO_SCTP,
              .frontends = {{frontend, WEIR_FRONTEND_CLUSTER_IP}},
              .backends = {{backend, true}},
              .policies = 0});
    const auto request = from_pod(IPPROTO_SCTP, client, frontend).macs(kBridged0Mac, kBridgeMac);
    check(dp.run(Hook::kPodIn, Device::kPort0, request.frame()), Verdict::kNext,
          request.to(backend).macs(kBridged0Mac, kBridged1Mac).frame(), {"forward_tc", "flow_new"});
    const auto reply = Packet::sctp(backend, client).macs(kBridged1Mac, kBridged0Mac);
    check_bytes(dp.run(Hook::kPodOut, Device::kPort0, reply.frame()), Verdict::kNext,
                reply.from(frontend).frame());
  });
}

TEST_CASE("SCTP through two service ports of one backend has a tuple for each",
          "[1.1/protocol-sctp]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Endpoint client{world.client, 40000};
    const Endpoint backend{world.pod0, 8080};
    const std::vector<Endpoint> frontends{{world.vip, 80}, {world.vip, 81}, {world.cluster_ip, 80}};
    Service service{.proto = IPPROTO_SCTP, .frontends = {}, .backends = {{backend, true}}};
    for (const auto& at : frontends) service.frontends.push_back({at, WEIR_FRONTEND_LOAD_BALANCER});
    dp.serve(service);
    for (const auto& at : frontends) {
      const auto request = from_client(world, at);
      const auto ran = run(dp, request);
      const Endpoint source{client.ip, parse(ran.out).value().sport};
      const bool first = at == frontends.front();
      CHECK((source == client) == first);
      check(
          ran, Verdict::kNext, request.from(source).to(backend).frame(),
          first ? Names{"forward_tc", "flow_new"} : Names{"forward_tc", "flow_new", "flow_moved"});
      const auto reply = Packet::sctp(backend, source);
      check_bytes(dp.run(Hook::kUpOut, Device::kUp0, reply.frame()), Verdict::kNext,
                  reply.from(at).to(client).frame());
    }
  });
}

TEST_CASE("SCTP straight to a backend, on the tuple of a translated association, is moved off it") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Endpoint client{world.pod0, 40000};
    const Endpoint backend{world.pod1, 8080};
    dp.serve({.proto = IPPROTO_SCTP,
              .frontends = {{{world.cluster_ip, 80}, WEIR_FRONTEND_CLUSTER_IP}},
              .backends = {{backend, true}},
              .policies = 0});
    const auto direct = from_pod(IPPROTO_SCTP, client, backend);
    check(dp.run(Hook::kPodIn, Device::kPod0, direct.frame()), Verdict::kNext, direct.frame(),
          {"pass_stranger"});
    dp.run(Hook::kPodIn, Device::kPod0,
           from_pod(IPPROTO_SCTP, client, {world.cluster_ip, 80}).frame());
    const auto moved = dp.run(Hook::kPodIn, Device::kPod0, direct.frame());
    const auto port = parse(moved.out).value().sport;
    CHECK(port != client.port);
    check(moved, Verdict::kNext, direct.from_port(port).frame(),
          {"forward_tc", "flow_new", "flow_moved"});
    const auto reply = Packet::sctp(backend, {client.ip, port});
    check_bytes(dp.run(Hook::kPodOut, Device::kPod0, reply.frame()), Verdict::kNext,
                reply.to(client).frame());
  });
}

TEST_CASE("SCTP: a client keeps its backend while there is affinity", "[1.1/protocol-sctp]") {
  for (const std::uint32_t affinity : {0U, 107U}) {
    in_both_worlds([&](Datapath& dp, const World& world) {
      dp.serve({.proto = IPPROTO_SCTP,
                .frontends = {{{world.cluster_ip, 80}, WEIR_FRONTEND_CLUSTER_IP},
                              {{world.vip, 443}, WEIR_FRONTEND_LOAD_BALANCER}},
                .backends = {{{world.pod0, 8080}, true},
                             {{world.pod0, 8081}, true},
                             {{world.pod0, 8082}, true}},
                .policies = 0,
                .affinity = affinity,
                .ranges = 0});
      std::set<std::uint16_t> reached;
      for (std::uint16_t port = 2000; port < 2032; ++port) {
        const auto at = port % 2 == 0 ? Endpoint{world.cluster_ip, 80} : Endpoint{world.vip, 443};
        const auto ran = run(dp, from_client(world, at, port));
        reached.insert(parse(ran.out).value().dport);
      }
      CHECK(reached.size() == (affinity == 0 ? 3 : 1));
    });
  }
}

TEST_CASE("SCTP: policies, and what has no local endpoint, drop", "[1.1/protocol-sctp]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    Service service{.proto = IPPROTO_SCTP,
                    .frontends = {{{world.vip, 443}, WEIR_FRONTEND_LOAD_BALANCER},
                                  {{world.node, 30080}, WEIR_FRONTEND_NODE_PORT},
                                  {{world.cluster_ip, 80}, WEIR_FRONTEND_CLUSTER_IP}},
                    .backends = {{{world.remote, 8080}, false}},
                    .policies = WEIR_VERSION_EXTERNAL_LOCAL};
    dp.serve(service);
    for (const auto& at : {Endpoint{world.vip, 443}, Endpoint{world.node, 30080}}) {
      const auto ran = run(dp, from_client(world, at));
      CHECK(ran.verdict == Verdict::kDrop);
      CHECK(ran.counted == Names{"drop_no_local_endpoint"});
    }
    CHECK(run(dp, from_client(world, {world.cluster_ip, 80})).verdict == Verdict::kRedirect);
    const auto pod = from_pod(IPPROTO_SCTP, {world.pod0, 40000}, {world.vip, 443});
    check_bytes(dp.run(Hook::kPodIn, Device::kPod0, pod.frame()), Verdict::kNext,
                pod.to({world.remote, 8080}).frame());
  });
}

TEST_CASE("SCTP from outside the source ranges is dropped", "[1.1/protocol-sctp]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    constexpr std::uint32_t kSet = 5;
    dp.serve({.proto = IPPROTO_SCTP,
              .frontends = {{{world.vip, 443}, WEIR_FRONTEND_LOAD_BALANCER}},
              .backends = {{{world.pod0, 8080}, true}},
              .policies = 0,
              .affinity = 0,
              .ranges = kSet});
    const auto request = from_client(world, {world.vip, 443});
    const auto dropped = run(dp, request);
    CHECK(dropped.verdict == Verdict::kDrop);
    CHECK(dropped.counted == Names{"drop_source_range"});
    dp.add_range(kSet, world.client, world.family == 4 ? 32 : 128);
    check_bytes(run(dp, request), Verdict::kNext, request.to({world.pod0, 8080}).frame());
  });
}

// ---- a backend that goes

TEST_CASE("SCTP goes on to a backend that is gone, and a new association to another",
          "[1.1/protocol-sctp]") {
  for (const bool open : {true, false}) {
    on_sctp([&](Datapath& dp, Conversation& talk) {
      CAPTURE(open);
      if (open)
        talk.establish();
      else
        talk.forward(talk.opening());
      const auto other = replace_backend(dp, talk, WEIR_BACKEND_GONE);
      // An INIT is alone in its packet: one behind another chunk opens nothing.
      const auto data = talk.data();
      for (const auto& packet : {data, data.chunk(kSctpInitAck), data.chunk(kSctpAbort),
                                 data.then_chunk(kSctpInit), data.chunk(kSctpCookieEcho)})
        check_bytes(talk.forward(packet), talk.went(), talk.forwarded(packet).frame());
      const auto more = talk.more();
      check_bytes(talk.reply(more), talk.came(), talk.translated_back(more).frame());
      dp.bump_epoch();

      const auto init = talk.opening();
      const auto ran = talk.forward(init);
      check_bytes(ran, talk.went(), talk.forwarded(init).to(other).frame());
      CHECK(counted(ran, "flow_repicked"));
      CHECK(established(dp) == 0);
      CHECK(dp.backend(talk.served().backends.front()).live == 0);
      const auto answer = talk.answer().from(other);
      check_bytes(talk.reply(answer), talk.came(), talk.translated_back(answer).frame());
      CHECK(established(dp) == 2);
      check_bytes(talk.forward(data), talk.went(), talk.forwarded(data).to(other).frame());
    });
  }
}

// However long ago the flow has looked at its backend for the last time.
TEST_CASE("SCTP: an INIT gets another backend also after other packets have gone on") {
  for (const bool open : {true, false}) {
    on_sctp([&](Datapath& dp, Conversation& talk) {
      CAPTURE(open);
      if (open)
        talk.establish();
      else
        talk.forward(talk.data());
      const auto other = replace_backend(dp, talk, WEIR_BACKEND_GONE);
      check_bytes(talk.forward(talk.data()), talk.went(), talk.forwarded(talk.data()).frame());
      const auto init = talk.opening();
      check_bytes(talk.forward(init), talk.went(), talk.forwarded(init).to(other).frame());
    });
  }
}

TEST_CASE("SCTP: a terminating backend keeps its associations, and new ones of their ports") {
  on_sctp([](Datapath& dp, Conversation& talk) {
    talk.establish();
    const auto other = replace_backend(dp, talk, WEIR_BACKEND_TERMINATING);
    for (const auto& packet : {talk.data(), talk.opening()})
      check_bytes(talk.forward(packet), talk.went(), talk.forwarded(packet).frame());
    const auto fresh = talk.forward(talk.opening().from_port(41000));
    CHECK(parse(fresh.out).value().dport == other.port);
  });
}

TEST_CASE("SCTP to a service without endpoints: what was open goes on, an INIT is answered",
          "[1.1/protocol-sctp]") {
  on_sctp([](Datapath& dp, Conversation& talk) {
    talk.establish();
    auto service = talk.service();
    service.backends.clear();
    dp.set_state(talk.served().backends.front(), WEIR_BACKEND_GONE);
    dp.publish({.id = talk.served().id, .backends = {}}, service, 60);
    dp.bump_epoch();
    check_bytes(talk.forward(talk.data()), talk.went(), talk.forwarded(talk.data()).frame());
    dp.bump_epoch();
    CHECK(counted(talk.forward(talk.opening()), "answer_unreachable"));
  });
}

}  // namespace weir::test
