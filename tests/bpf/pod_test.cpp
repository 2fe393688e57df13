// SPDX-License-Identifier: Apache-2.0
// The pod edge: hairpin, bridges, and direct connections beside translated ones.
#include <algorithm>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

Served serve(Datapath& dp, const World& world, std::uint8_t proto, const Backend& backend) {
  return dp.serve({.proto = proto,
                   .frontends = {{{world.cluster_ip, 80}, WEIR_FRONTEND_CLUSTER_IP}},
                   .backends = {backend},
                   .policies = 0});
}

void with_each_proto(const std::function<void(Datapath&, const World&, std::uint8_t proto)>& test) {
  for (const int proto : {IPPROTO_TCP, IPPROTO_UDP}) {
    in_both_worlds([&](Datapath& dp, const World& world) {
      INFO((proto == IPPROTO_TCP ? "TCP" : "UDP"));
      test(dp, world, static_cast<std::uint8_t>(proto));
    });
  }
}

Packet answer_to(std::uint8_t proto, const Endpoint& from, const Endpoint& to) {
  if (proto == IPPROTO_UDP) return Packet::udp(from, to);
  return Packet::tcp(from, to).flags(kSyn | kAck).seq(9000).ack(5001).payload("");
}

}  // namespace

TEST_CASE("a pod that is its own backend is answered by the node, and hears itself",
          "[1.3/hairpin]") {
  with_each_proto([](Datapath& dp, const World& world, std::uint8_t proto) {
    const Endpoint client{world.pod0, 40000};
    const Endpoint frontend{world.cluster_ip, 80};
    const Endpoint backend{world.pod0, 8080};
    serve(dp, world, proto, {backend, true});

    const auto request = from_pod(proto, client, frontend);
    const auto there = dp.run(Hook::kPodIn, Device::kPod0, request.frame());
    const Endpoint source{world.pod_gateway, parse(there.out).value().sport};
    check(there, Verdict::kRedirect,
          request.from(source).to(backend).ttl(63).macs(kPodHostMac, kPodMac).frame(),
          {"forward_tc_sent", "flow_new"});

    const auto reply = answer_to(proto, backend, source).macs(kPodMac, kPodHostMac);
    const auto back = dp.run(Hook::kPodIn, Device::kPod0, reply.frame());
    check_bytes(back, Verdict::kRedirect,
                reply.from(frontend).to(client).ttl(63).macs(kPodHostMac, kPodMac).frame());
    if (proto == IPPROTO_TCP) {
      const auto ack = Packet::tcp(client, frontend).seq(5001).ack(9001).macs(kPodMac, kPodHostMac);
      check(dp.run(Hook::kPodIn, Device::kPod0, ack.frame()), Verdict::kRedirect,
            ack.from(source).to(backend).ttl(63).macs(kPodHostMac, kPodMac).frame(),
            {"forward_tc_sent", "flow_established"});
    }
    CHECK(dp.count_flows(FlowTable::kEstablished) == 2);
  });
}

TEST_CASE("a backend on the client's own bridge: the frame stays bridged") {
  with_each_proto([](Datapath& dp, const World& world, std::uint8_t proto) {
    const Endpoint client{world.bridged0, 40000};
    const Endpoint frontend{world.cluster_ip, 80};
    const Endpoint backend{world.bridged1, 8080};
    serve(dp, world, proto, {backend, true});

    const auto request = from_pod(proto, client, frontend).macs(kBridged0Mac, kBridgeMac);
    check(dp.run(Hook::kPodIn, Device::kPort0, request.frame()), Verdict::kNext,
          request.to(backend).macs(kBridged0Mac, kBridged1Mac).frame(), {"forward_tc", "flow_new"});
    // The answer is bridged too, and leaves by the client's port.
    const auto reply = answer_to(proto, backend, client).macs(kBridged1Mac, kBridged0Mac);
    check_bytes(dp.run(Hook::kPodOut, Device::kPort0, reply.frame()), Verdict::kNext,
                reply.from(frontend).frame());
    const auto next = proto == IPPROTO_TCP ? Packet::tcp(client, frontend).seq(5001).ack(9001)
                                           : Packet::udp(client, frontend);
    for (int i = 0; i < 2; ++i) {
      const auto data = next.macs(kBridged0Mac, kBridgeMac);
      check_bytes(dp.run(Hook::kPodIn, Device::kPort0, data.frame()), Verdict::kNext,
                  data.to(backend).macs(kBridged0Mac, kBridged1Mac).frame());
    }
  });
}

TEST_CASE("a backend off the client's bridge: the frame goes to the bridge's own address") {
  with_each_proto([](Datapath& dp, const World& world, std::uint8_t proto) {
    const Endpoint backend{world.pod0, 8080};
    serve(dp, world, proto, {backend, true});
    const auto request = from_pod(proto, {world.bridged0, 40000}, {world.cluster_ip, 80})
                             .macs(kBridged0Mac, kBridgeMac);
    check_bytes(dp.run(Hook::kPodIn, Device::kPort0, request.frame()), Verdict::kNext,
                request.to(backend).frame());
  });
}

TEST_CASE("a direct connection on the tuple of a translated one keeps its own replies") {
  with_each_proto([](Datapath& dp, const World& world, std::uint8_t proto) {
    const Endpoint client{world.pod0, 40000};
    const Endpoint frontend{world.cluster_ip, 80};
    const Endpoint backend{world.pod1, 8080};
    serve(dp, world, proto, {backend, true});
    const auto translated = from_pod(proto, client, frontend);
    dp.run(Hook::kPodIn, Device::kPod0, translated.frame());

    // Straight to the backend, from the same port: moved to another.
    const auto direct = from_pod(proto, client, backend);
    const auto moved = dp.run(Hook::kPodIn, Device::kPod0, direct.frame());
    const auto port = parse(moved.out).value().sport;
    CHECK(port != client.port);
    check(moved, Verdict::kNext, direct.from_port(port).frame(),
          {"forward_tc", "flow_new", "flow_moved"});
    check_bytes(dp.run(Hook::kPodIn, Device::kPod0, translated.flags(kAck).frame()), Verdict::kNext,
                translated.flags(kAck).to(backend).frame());

    const auto to_direct = answer_to(proto, backend, {client.ip, port});
    check_bytes(dp.run(Hook::kPodOut, Device::kPod0, to_direct.frame()), Verdict::kNext,
                to_direct.to(client).frame());
    const auto to_translated = answer_to(proto, backend, client);
    check_bytes(dp.run(Hook::kPodOut, Device::kPod0, to_translated.frame()), Verdict::kNext,
                to_translated.from(frontend).frame());
  });
}

TEST_CASE("a direct connection that was there first keeps its replies") {
  // Its tuple is held by no flow, so a SYN of ours meets the backend's challenge instead.
  in_both_worlds([](Datapath& dp, const World& world) {
    const Endpoint client{world.pod0, 40000};
    const Endpoint backend{world.pod1, 8080};
    serve(dp, world, IPPROTO_TCP, {backend, true});
    dp.run(Hook::kPodIn, Device::kPod0,
           from_pod(IPPROTO_TCP, client, {world.cluster_ip, 80}).frame());
    // Data of the direct connection, with numbers that answer no SYN of ours.
    const auto data = Packet::tcp(backend, client).seq(100).ack(200);
    check(dp.run(Hook::kPodOut, Device::kPod0, data.frame()), Verdict::kNext, data.frame(),
          {"pass_half_reply"});
  });
}

TEST_CASE("connections between pods that are backends pass untouched") {
  with_each_proto([](Datapath& dp, const World& world, std::uint8_t proto) {
    serve(dp, world, proto, {{world.pod1, 8080}, true});
    const auto direct = from_pod(proto, {world.pod0, 40000}, {world.pod1, 8080});
    for (const auto& packet : {direct, direct.flags(kAck)})
      check(dp.run(Hook::kPodIn, Device::kPod0, packet.frame()), Verdict::kNext, packet.frame(),
            {"pass_stranger"});
  });
}

TEST_CASE("a bridged flow keeps its next hop while the neighbour is not resolved") {
  with_each_proto([](Datapath& dp, const World& world, std::uint8_t proto) {
    const Endpoint client{world.bridged0, 40000};
    const Endpoint frontend{world.cluster_ip, 80};
    const Endpoint backend{world.family == 4 ? "10.244.2.99" : "fd00:2::99", 8080};
    serve(dp, world, proto, {backend, true});
    const auto request = from_pod(proto, client, frontend).macs(kBridged0Mac, kBridgeMac);
    check_bytes(dp.run(Hook::kPodIn, Device::kPort0, request.frame()), Verdict::kNext,
                request.to(backend).frame());
    const auto reply = answer_to(proto, backend, client);
    dp.run(Hook::kPodOut, Device::kPort0, reply.frame());
    const auto next = proto == IPPROTO_TCP ? Packet::tcp(client, frontend).seq(5001).ack(9001)
                                           : Packet::udp(client, frontend);
    const auto data = next.macs(kBridged0Mac, kBridgeMac);
    dp.run(Hook::kPodIn, Device::kPort0, data.frame());
    const auto key = to_key(proto, client, frontend);
    auto record = dp.flow(FlowTable::kEstablished, key).value();
    std::copy(kBridged1Mac.begin(), kBridged1Mac.end(), std::begin(record.way.dmac));
    record.touched -= 1;  // due for its tick
    dp.set_flow_sealed(FlowTable::kEstablished, key, record);
    for (int i = 0; i < 2; ++i)
      check_bytes(dp.run(Hook::kPodIn, Device::kPort0, data.frame()), Verdict::kNext,
                  data.to(backend).macs(kBridged0Mac, kBridged1Mac).frame());
  });
}

}  // namespace weir::test
