// SPDX-License-Identifier: Apache-2.0
// Pings of service addresses, and how many errors a CPU makes.
#include <array>
#include <utility>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

constexpr std::array kPinged{std::pair{Hook::kUpIn, Device::kUp0},
                             std::pair{Hook::kPodIn, Device::kPod0}};

void serve(Datapath& dp, const World& world) {
  dp.serve({.proto = IPPROTO_TCP,
            .frontends = {{{world.cluster_ip, 80}, WEIR_FRONTEND_CLUSTER_IP},
                          {{world.vip, 80}, WEIR_FRONTEND_LOAD_BALANCER}},
            .backends = {},
            .policies = 0});
}

Packet reply_to(const World& world, const std::string& pinged) {
  const auto type = world.family == 4 ? std::uint8_t{0} : std::uint8_t{129};
  return Packet::icmp(pinged, world.client, {.type = type, .code = 0, .rest = 0x00070001})
      .macs(kUp0Mac, kRouterMac);
}

}  // namespace

TEST_CASE("a ping of a service address is answered") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world);
    for (const auto& [hook, device] : kPinged) {
      for (const auto& pinged : {world.cluster_ip, world.vip}) {
        const auto ping = Packet::echo(world.client, pinged).macs(kRouterMac, kUp0Mac);
        const auto reply = reply_to(world, pinged);
        for (const auto ttl : std::initializer_list<std::uint8_t>{1, 17, 64, 255}) {
          for (const std::size_t bytes : {0, 1, 56, 1400})
            check(dp.run(hook, device, ping.ttl(ttl).payload(bytes).frame()), Verdict::kRedirect,
                  reply.payload(bytes).frame(), {"answer_echo"});
        }
        const auto change = [&](const Packet& packet) {
          return world.family == 4 ? packet.options({148, 4, 0, 0}).id(9).tos(4).trailer(3)
                                   : packet.extension(Extension::destination()).trailer(3);
        };
        check(dp.run(hook, device, change(ping).frame()), Verdict::kRedirect,
              change(reply.payload("ping")).frame(), {"answer_echo"});
        const auto complete = dp.run_complete(hook, device, ping.ttl(9).frame());
        if (complete) check_bytes(*complete, Verdict::kRedirect, reply.payload("ping").frame());
      }
    }
  });
}

TEST_CASE("pings of other addresses, and at other places, pass") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world);
    dp.set_address(world.vip, WEIR_ADDRESS_SERVICE | WEIR_ADDRESS_NODE);
    dp.set_address(world.pod1, WEIR_ADDRESS_PAST);
    for (const auto& [hook, device] : kPinged) {
      for (const auto& pinged : {world.vip, world.pod1, world.node, world.stranger}) {
        const auto frame = Packet::echo(world.client, pinged).frame();
        check(dp.run(hook, device, frame), Verdict::kNext, frame, {"pass_protocol"});
      }
    }
    const auto frame = Packet::echo(world.client, world.cluster_ip).frame();
    for (const auto hook : {Hook::kUpOut, Hook::kPodOut, Hook::kXdp})
      check(dp.run(hook, Device::kUp0, frame), Verdict::kNext, frame, {"pass_protocol"});
    const auto large = Packet::echo(world.client, world.cluster_ip).payload(2000).id(3);
    for (const auto& part : {large.fragment(0, 1400).frame(), large.fragment(1400, 608).frame()})
      CHECK(dp.run(Hook::kUpIn, Device::kUp0, part).verdict != Verdict::kRedirect);
  });
}

// ---- how many

TEST_CASE("a CPU answers with a hundred errors at once and a thousand a second, and pings always") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world);
    check_limited(dp, from_uplink(IPPROTO_UDP, {world.client, 40000}, {world.vip, 81}).frame());
    const auto ping = Packet::echo(world.client, world.vip).frame();
    for (int i = 0; i < 300; ++i)
      if (dp.run_uncounted(Hook::kUpIn, Device::kUp0, ping).verdict != Verdict::kRedirect)
        FAIL("a ping went without an answer");
  });
}

}  // namespace weir::test
