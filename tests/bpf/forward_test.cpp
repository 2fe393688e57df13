// SPDX-License-Identifier: Apache-2.0
// There and back on every path, and with every header that may stand around the ports.
#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
TEST_CASE("a connection goes to the backend and its replies come from the service",
          "[1.1/cluster-ip]") {
  on_every(all_paths(), [](Datapath& dp, Conversation& talk) {
    const auto opening = talk.opening();
    const auto first = talk.forward(opening);
    check(first, talk.went(), talk.forwarded(opening).frame(), talk.counts_forward({"flow_new"}));
    CHECK(dp.count_flows(talk.half_table()) == 2);

    const auto answer = talk.answer();
    check(talk.reply(answer), talk.came(), talk.translated_back(answer).frame(),
          talk.counts_reply(talk.tcp() ? Names{} : Names{"flow_established"}));
    if (talk.tcp()) {
      const auto ack = talk.data().payload("");
      check(talk.forward(ack), talk.went(), talk.forwarded(ack).frame(),
            talk.counts_forward({"flow_established"}));
    }
    CHECK(dp.count_flows(talk.half_table()) == 0);
    CHECK(dp.count_flows(FlowTable::kEstablished) == 2);

    for (int i = 0; i < 3; ++i) {
      const auto data = talk.data();
      check(talk.forward(data), talk.went(), talk.forwarded(data).frame(), talk.counts_forward());
      const auto more = talk.more();
      check(talk.reply(more), talk.came(), talk.translated_back(more).frame(), talk.counts_reply());
    }
  });
}

TEST_CASE("options and extension headers are stepped over") {
  on_every(all_paths(), [](Datapath&, Conversation& talk) {
    talk_changed(talk, [&](const Packet& packet) {
      if (talk.v4()) return packet.options({148, 4, 0, 0, 1, 1, 1});
      return packet.extension(Extension::hop_by_hop(1))
          .extension(Extension::routing(0, 0))
          .extension(Extension::authentication())
          .extension(Extension::destination(2));
    });
  });
}

TEST_CASE("one VLAN tag in the frame is stepped over at tc") {
  auto paths = tc_paths();
  std::erase_if(paths, [](const Path& path) { return path.raw(); });
  on_every(paths, [](Datapath&, Conversation& talk) {
    talk_changed(talk,
                 [](const Packet& packet) { return packet.vlan({.id = 42, .tpid = 0x8100}); });
  });
  on_every(paths, [](Datapath&, Conversation& talk) {
    talk_changed(talk,
                 [](const Packet& packet) { return packet.vlan({.id = 42, .tpid = 0x88a8}); });
  });
}

TEST_CASE("everything else in the headers stays") {
  on_every(all_paths(), [](Datapath&, Conversation& talk) {
    talk_changed(talk, [](const Packet& packet) {
      return packet.tos(0xb9).id(0xbeef).df().flow_label(0x54321).tcp_options({2, 4, 5, 0xb4});
    });
  });
}

TEST_CASE("bytes behind the IP packet are not part of it") {
  on_every(all_paths(), [](Datapath&, Conversation& talk) {
    talk_changed(talk, [](const Packet& packet) { return packet.trailer(11); });
  });
}

TEST_CASE("a reply far out of its window is translated as any other", "[1.3/invalid]") {
  on_each(true, [](Datapath&, Conversation& talk) {
    talk.establish();
    for (const std::uint32_t off : {0x10000U, 0x40000000U, 0x80000000U, 0xffff0000U}) {
      const auto stray = talk.more().seq(9001 + off).ack(5001 + off);
      check_bytes(talk.reply(stray), talk.came(), talk.translated_back(stray).frame());
    }
  });
}

TEST_CASE("payloads of any size and parity") {
  on_every(all_paths(), [](Datapath&, Conversation& talk) {
    for (const std::size_t size : {20U, 21U, 999U, 1400U})
      talk_changed(talk, [size](const Packet& packet) { return packet.payload(size); });
  });
}

TEST_CASE("every kind of frontend leads to the same backend",
          "[1.1/node-port][1.1/load-balancer][1.1/external-ips]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Endpoint backend{world.pod0, 8080};
    const Endpoint at_node{world.node, 30080};
    const Endpoint at_vip{world.vip, 443};
    const Endpoint at_external{world.stranger, 80};
    dp.serve({.proto = IPPROTO_UDP,
              .frontends = {{at_node, WEIR_FRONTEND_NODE_PORT},
                            {at_vip, WEIR_FRONTEND_LOAD_BALANCER},
                            {at_external, WEIR_FRONTEND_EXTERNAL_IP}},
              .backends = {{backend, true}},
              .policies = 0});
    for (const auto& frontend : {at_node, Endpoint{world.node1, 30080}, at_vip, at_external}) {
      INFO(frontend.ip);
      const auto request = from_uplink(IPPROTO_UDP, {world.client, 40000}, frontend);
      check_bytes(dp.run(Hook::kUpIn, Device::kUp0, request.frame()), Verdict::kNext,
                  request.to(backend).frame());
      const auto reply = Packet::udp(backend, {world.client, 40000});
      check(dp.run(Hook::kUpOut, Device::kUp0, reply.frame()), Verdict::kNext,
            reply.from(frontend).frame(), {"reply_tc", "flow_established"});
      // The next frontend translates to the same tuple: it needs another source port then.
      dp.erase_flow(FlowTable::kEstablished, to_key(IPPROTO_UDP, {world.client, 40000}, frontend));
      dp.erase_flow(FlowTable::kEstablished, to_key(IPPROTO_UDP, backend, {world.client, 40000}));
    }
  });
}

TEST_CASE("a node port is no port of an address on which node ports are not served",
          "[1.1/node-port-addresses]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Endpoint at_node{world.pod_gateway, 30080};
    dp.serve({.proto = IPPROTO_UDP,
              .frontends = {{at_node, WEIR_FRONTEND_NODE_PORT}},
              .backends = {{{world.pod0, 8080}, true}},
              .policies = 0});
    const auto request = from_uplink(IPPROTO_UDP, {world.client, 40000}, at_node);
    check(dp.run(Hook::kUpIn, Device::kUp0, request.frame()), Verdict::kNext, request.frame(),
          {"pass_no_service"});
  });
}

TEST_CASE("as many options and extension headers as are followed are stepped over") {
  on_every(all_paths(), [](Datapath&, Conversation& talk) {
    talk_changed(talk, [&](const Packet& packet) {
      if (talk.v4()) return packet.options(Bytes(40, 1));  // a header of 60 bytes
      auto many = packet.extension(Extension::routing(4, 0));
      for (int i = 0; i < 5; ++i) many = many.extension(Extension::destination());
      return many;
    });
  });
}

TEST_CASE("a packet whose IPv4 header gives no length is translated, but not by XDP") {
  // The kernel's mark of a super-packet beyond 64 KiB.
  const auto without_length = [](const Packet& packet) {
    const auto whole = packet.frame();
    const auto at = packet.l3_offset();
    const auto word = [&](std::size_t off) {
      return static_cast<std::uint32_t>(whole.bytes.at(off) << 8 | whole.bytes.at(off + 1));
    };
    std::uint32_t sum = word(at + 10) + word(at + 2);  // of the complements, so it is added
    sum = (sum & 0xffff) + (sum >> 16);
    return whole.with_byte(at + 2, 0)
        .with_byte(at + 3, 0)
        .with_byte(at + 10, static_cast<std::uint8_t>(sum >> 8))
        .with_byte(at + 11, static_cast<std::uint8_t>(sum));
  };
  on_every(all_paths(), [&](Datapath& dp, Conversation& talk) {
    if (!talk.v4()) return;
    talk.establish();
    const auto super = without_length(talk.data());
    const auto ran = dp.run(talk.path().forward, talk.path().device, super);
    if (talk.path().xdp())
      check(ran, Verdict::kNext, super, {"pass_to_tc_packet"});
    else
      check(ran, talk.went(), without_length(talk.forwarded(talk.data())), talk.counts_forward());
  });
}

TEST_CASE("at an address of the node a service's own port wins over a node port",
          "[1.1/node-port-exact-address-first]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Endpoint at_node{world.node, 30080};
    const Endpoint by_address{world.pod0, 8080};
    const Endpoint by_port{world.pod1, 8080};
    dp.serve({.proto = IPPROTO_UDP,
              .frontends = {{at_node, WEIR_FRONTEND_NODE_PORT}},
              .backends = {{by_port, true}},
              .policies = 0});
    dp.serve({.proto = IPPROTO_UDP,
              .frontends = {{at_node, WEIR_FRONTEND_EXTERNAL_IP}},
              .backends = {{by_address, true}},
              .policies = 0});
    const auto request = from_uplink(IPPROTO_UDP, {world.client, 40000}, at_node);
    check_bytes(dp.run(Hook::kUpIn, Device::kUp0, request.frame()), Verdict::kNext,
                request.to(by_address).frame());
    const auto elsewhere = request.to({world.node1, 30080});
    check_bytes(dp.run(Hook::kUpIn, Device::kUp0, elsewhere.frame()), Verdict::kNext,
                elsewhere.to(by_port).frame());
    // Its other ports stay the node's.
    const auto other = request.to({world.node, 22}).frame();
    check(dp.run(Hook::kUpIn, Device::kUp0, other), Verdict::kNext, other, {"pass_no_service"});
  });
}

}  // namespace weir::test
