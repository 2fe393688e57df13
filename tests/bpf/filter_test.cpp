// SPDX-License-Identifier: Apache-2.0
// What the filters in front of the tables keep from being looked up, and what they must not.
#include <fmt/format.h>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

constexpr std::uint32_t kShortWords = 128;  // of weir_filter, in tests

// The first address of a family that the short filter has a slot for.
std::string filtered(const World& world, std::uint32_t skip = 0) {
  for (std::uint32_t i = 1;; ++i) {
    const auto ip = world.family == 4
                        ? fmt::format("10.{}.{}.{}", 100 + i / 65536, i / 256 % 256, i % 256)
                        : fmt::format("fd00:77::{:x}", i);
    const auto raw = to_addr(ip);
    if (weir_filter_slot(&raw) / 8 < kShortWords && skip-- == 0) return ip;
  }
}

const std::vector<std::pair<Hook, Device>> kIngress{
    {Hook::kXdp, Device::kUp0}, {Hook::kUpIn, Device::kUp0}, {Hook::kPodIn, Device::kPod0}};

Service service_at(const World& world, const Endpoint& at, weir_frontend kind) {
  return {.proto = IPPROTO_UDP,
          .frontends = {{at, kind}},
          .backends = {{{world.remote, 8080}, false}},
          .policies = 0};
}

}  // namespace

TEST_CASE(
    "an address that the filter does not have is nobody's, and one that it has is looked up") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const auto ip = filtered(world);
    dp.serve(service_at(world, {ip, 80}, WEIR_FRONTEND_CLUSTER_IP));
    dp.allow_xdp_to(Device::kUp0);
    const auto asked = Packet::udp({world.client, 4000}, {ip, 80});
    for (const std::uint32_t bits : {0U, std::uint32_t{WEIR_ADDRESS_SERVICE}}) {
      dp.set_filter(ip, bits);
      for (const auto& [hook, device] : kIngress) {
        INFO(hook << ", bits " << bits);
        const auto frame = asked.frame();
        const auto ran = dp.run(hook, device, frame);
        if (bits == 0)
          check(ran, Verdict::kNext, frame, {"pass_stranger"});
        else
          CHECK(ran.out.bytes != frame.bytes);
      }
    }
  });
}

TEST_CASE("what only shares its slot with an address is a stranger all the same") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const auto ip = filtered(world, 1);  // in no table
    for (const std::uint32_t bits : std::vector<std::uint32_t>{
             WEIR_ADDRESS_SERVICE, WEIR_ADDRESS_BACKEND, WEIR_ADDRESS_PAST, 0xff}) {
      dp.set_filter(ip, bits);
      for (const auto& [hook, device] : kIngress) {
        INFO(hook << ", bits " << bits);
        const auto frame = Packet::udp({world.client, 4000}, {ip, 80}).frame();
        check(dp.run(hook, device, frame), Verdict::kNext, frame, {"pass_stranger"});
      }
    }
  });
}

TEST_CASE("a reply of what the filter knows as no backend is not looked up") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const auto ip = filtered(world, 2);
    dp.set_address(ip, WEIR_ADDRESS_BACKEND | WEIR_ADDRESS_LOCAL);
    const auto frame = Packet::udp({ip, 8080}, {world.client, 4000}).frame();
    for (const auto& [bits, counter] :
         {std::pair{std::uint32_t{0}, "pass_stranger"},
          std::pair{std::uint32_t{WEIR_ADDRESS_BACKEND}, "pass_stranger"},
          std::pair{std::uint32_t{WEIR_ADDRESS_BACKEND | WEIR_ADDRESS_LOCAL}, "pass_no_flow"}}) {
      dp.set_filter(ip, bits);
      INFO("bits " << bits);
      check(dp.run(Hook::kUpOut, Device::kUp0, frame), Verdict::kNext, frame, {counter});
    }
  });
}

// Gives up0 an address that the filter has a slot for.
std::string rename_node(Datapath& dp, const World& world, std::uint32_t more_bits = 0) {
  auto ip = filtered(world, 3);
  const auto bits = WEIR_ADDRESS_NODE | WEIR_ADDRESS_NODE_PORT | more_bits;
  dp.set_address(ip, bits);
  dp.set_filter(ip, bits);
  dp.set_device(
      Device::kUp0,
      {.source4 = to_addr(ip), .source6 = to_addr(ip), .bridge = 0, .flags = WEIR_DEVICE_ETHERNET});
  return ip;
}

TEST_CASE("the node's own traffic, on a port of nothing else, passes without a look") {
  in_both_worlds([](Datapath& dp, const World& world) {
    constexpr std::uint16_t kNodePort = 4000, kSource = 5000;
    const auto node = rename_node(dp, world);
    dp.serve(service_at(world, {node, kNodePort}, WEIR_FRONTEND_NODE_PORT));
    dp.configure([](weir_config& config) {
      config.source_ports[0] = {.first = kSource, .count = 1};
      config.source_ports[1] = {};
    });
    const auto request = Packet::udp({world.client, 4000}, {node, kNodePort}).frame();
    const auto reply = Packet::udp({world.remote, 8080}, {node, kSource}).frame();
    // The port decides: without its bit there is no service at it, and with it there is.
    for (const auto& [port, frame] : {std::pair{kNodePort, request}, std::pair{kSource, reply}}) {
      INFO("port " << port);
      dp.set_port_known(port, false);
      check(dp.run(Hook::kUpIn, Device::kUp0, frame), Verdict::kNext, frame, {"pass_no_service"});
      dp.set_port_known(port, true);
      CHECK(dp.run(Hook::kUpIn, Device::kUp0, frame).verdict == Verdict::kRedirect);
    }
  });
}

TEST_CASE("a service at the node's own address is found at every port") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const auto node = rename_node(dp, world, WEIR_ADDRESS_SERVICE);
    dp.serve(service_at(world, {node, 7000}, WEIR_FRONTEND_EXTERNAL_IP));
    dp.set_port_known(7000, false);
    const auto ran =
        dp.run(Hook::kUpIn, Device::kUp0, Packet::udp({world.client, 4000}, {node, 7000}).frame());
    CHECK(ran.verdict == Verdict::kRedirect);
  });
}

TEST_CASE("a pod on the node's network keeps its direct connections apart at every port") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const auto node = rename_node(dp, world, WEIR_ADDRESS_BACKEND);
    // A pod asks a service whose backend is on the node's network; then it asks that directly.
    dp.serve({.proto = IPPROTO_UDP,
              .frontends = {{{world.cluster_ip, 80}, WEIR_FRONTEND_CLUSTER_IP}},
              .backends = {{{node, 7000}, true}},
              .policies = 0});
    dp.set_port_known(7000, false);
    const auto first = dp.run(Hook::kPodIn, Device::kPod0,
                              Packet::udp({world.pod0, 4000}, {world.cluster_ip, 80}).frame());
    CHECK(first.counted == Names{"forward_tc", "flow_new"});
    const auto direct =
        dp.run(Hook::kPodIn, Device::kPod0, Packet::udp({world.pod0, 4000}, {node, 7000}).frame());
    CHECK(parse(direct.out).value().sport != 4000);
  });
}

}  // namespace weir::test
