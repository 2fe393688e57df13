// SPDX-License-Identifier: Apache-2.0
// Who is let in: source ranges of load-balancer addresses, and addresses for cluster IPs that no
// service has.
#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

constexpr std::uint32_t kSet = 5;

Service service_in(const World& world) {
  return {.proto = IPPROTO_UDP,
          .frontends = {{{world.cluster_ip, 80}, WEIR_FRONTEND_CLUSTER_IP},
                        {{world.vip, 443}, WEIR_FRONTEND_LOAD_BALANCER},
                        {{world.vip, 444}, WEIR_FRONTEND_EXTERNAL_IP},
                        {{world.node, 30080}, WEIR_FRONTEND_NODE_PORT}},
          .backends = {{{world.pod1, 8080}, true}},
          .policies = 0,
          .affinity = 0,
          .ranges = kSet};
}

Ran from_client(Datapath& dp, Hook hook, const std::string& client, const Endpoint& to) {
  static std::uint16_t port = 2000;
  return dp.run(hook, Device::kUp0, from_uplink(IPPROTO_UDP, {client, ++port}, to).frame());
}

}  // namespace

TEST_CASE("source ranges bind load-balancer addresses, and those alone",
          "[1.2/source-ranges][1.2/source-ranges-load-balancer-only]"
          "[1.2/source-ranges-pods-and-node][1.3/drop-source-ranges]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    dp.serve(service_in(world));
    const bool v4 = world.family == 4;
    dp.add_range(kSet, v4 ? "192.0.2.0" : "fd12::", 16);
    dp.add_range(kSet + 1, world.client, v4 ? 32 : 128);  // of another service
    for (const auto hook : {Hook::kUpIn, Hook::kXdp}) {
      const auto ran = from_client(dp, hook, world.client, {world.vip, 443});
      CHECK(ran.verdict == Verdict::kDrop);
      CHECK(ran.counted == Names{"drop_source_range"});
    }
    CHECK(from_client(dp, Hook::kUpIn, world.client, {world.cluster_ip, 80}).counted.front() ==
          "forward_tc");
    CHECK(from_client(dp, Hook::kUpIn, world.client, {world.vip, 444}).counted.front() ==
          "forward_tc");
    CHECK(from_client(dp, Hook::kUpIn, world.client, {world.node, 30080}).counted.front() ==
          "forward_tc");
    SECTION("pods too") {
      const auto pod = from_pod(IPPROTO_UDP, {world.pod0, 2000}, {world.vip, 443});
      CHECK(dp.run(Hook::kPodIn, Device::kPod0, pod.frame()).counted == Names{"drop_source_range"});
    }
    SECTION("who is in a range is let in") {
      dp.add_range(kSet, world.client, v4 ? 28 : 64);
      CHECK(from_client(dp, Hook::kUpIn, world.client, {world.vip, 443}).counted.front() ==
            "forward_tc");
    }
  });
}

TEST_CASE("source ranges come before everything else that a service would say",
          "[1.2/source-ranges]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    auto service = service_in(world);
    service.backends.clear();
    dp.serve(service);
    CHECK(from_client(dp, Hook::kUpIn, world.client, {world.vip, 443}).counted ==
          Names{"drop_source_range"});
    CHECK(from_client(dp, Hook::kUpIn, world.client, {world.vip, 444}).counted ==
          Names{"answer_unreachable"});
  });
}

TEST_CASE("who has a flow keeps it, whatever becomes of the ranges", "[1.3/existing-connections]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    auto service = service_in(world);
    service.ranges = 0;
    const auto served = dp.serve(service);
    const auto packet = from_uplink(IPPROTO_UDP, {world.client, 900}, {world.vip, 443});
    CHECK(dp.run(Hook::kUpIn, Device::kUp0, packet.frame()).counted.front() == "forward_tc");
    service.ranges = kSet;
    dp.publish(served, service, 100);
    dp.bump_epoch();
    CHECK(dp.run(Hook::kUpIn, Device::kUp0, packet.frame()).counted.front() == "forward_tc");
    CHECK(dp.run(Hook::kUpIn, Device::kUp0, packet.from_port(901).frame()).counted ==
          Names{"drop_source_range"});
  });
}

TEST_CASE("addresses for cluster IPs that no service has are dropped, on every edge",
          "[1.1/cluster-ip-unallocated][1.3/drop-unallocated]") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const bool v4 = world.family == 4;
    // The blocks are not of whole words.
    const std::string base = v4 ? "10.128.0.0" : "fd00:9600::";
    const std::string inside = v4 ? "10.135.255.255" : "fd00:97ff:ffff::1";
    const std::string outside = v4 ? "10.136.0.1" : "fd00:9800::1";
    weir_addr mask = to_addr(v4 ? "255.248.0.0" : "ffff:fe00::");
    if (v4) mask.word[0] = mask.word[1] = mask.word[2] = ~0U;
    const auto packet = [&](const std::string& to) {
      return from_uplink(IPPROTO_UDP, {world.client, 2000}, {to, 80}).frame();
    };
    CHECK(dp.run(Hook::kUpIn, Device::kUp0, packet(inside)).counted == Names{"pass_stranger"});
    dp.configure([&](weir_config& config) {
      config.service_blocks[v4 ? 0 : 1] = {.base = to_addr(base), .mask = mask};
    });
    for (const auto hook : {Hook::kXdp, Hook::kUpIn, Hook::kPodIn}) {
      const auto device = hook == Hook::kPodIn ? Device::kPod0 : Device::kUp0;
      const auto ran = dp.run(hook, device, packet(inside));
      CHECK(ran.verdict == Verdict::kDrop);
      CHECK(ran.counted == Names{"drop_no_cluster_ip"});
      CHECK(dp.run(hook, device, packet(base)).verdict == Verdict::kDrop);
      CHECK(dp.run(hook, device, packet(outside)).counted == Names{"pass_stranger"});
    }
    // Was a service's, and is known for its flows' sake alone.
    dp.set_address(inside, WEIR_ADDRESS_PAST);
    CHECK(dp.run(Hook::kUpIn, Device::kUp0, packet(inside)).counted == Names{"drop_no_cluster_ip"});
    dp.set_address(outside, WEIR_ADDRESS_PAST);
    CHECK(dp.run(Hook::kUpIn, Device::kUp0, packet(outside)).counted == Names{"pass_no_service"});
  });
}

}  // namespace weir::test
