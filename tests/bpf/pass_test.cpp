// SPDX-License-Identifier: Apache-2.0
// What is not weir's, or can't be read, goes by untouched and is counted by name.
#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

struct Passed {
  const char* what;
  Frame frame;
  const char* counter;
};

// A service that every hook would translate a packet of, if it read it.
void serve(Datapath& dp, const World& world) {
  for (const int proto : {IPPROTO_TCP, IPPROTO_UDP})
    dp.serve({.proto = static_cast<std::uint8_t>(proto),
              .frontends = {{{world.cluster_ip, 80}, WEIR_FRONTEND_CLUSTER_IP}},
              .backends = {{{world.remote, 8080}, false}},
              .policies = 0});
  dp.allow_xdp_to(Device::kUp0);
}

void check_passed(const std::vector<Passed>& table, Datapath& dp) {
  for (const auto& row : table) {
    for (const auto& [hook, device] :
         {std::pair{Hook::kXdp, Device::kUp0}, std::pair{Hook::kUpIn, Device::kUp0},
          std::pair{Hook::kPodIn, Device::kPod0}, std::pair{Hook::kUpOut, Device::kUp0},
          std::pair{Hook::kPodOut, Device::kPod0}}) {
      INFO(row.what << ", " << hook);
      check(dp.run(hook, device, row.frame), Verdict::kNext, row.frame, {row.counter});
    }
  }
}

std::vector<Passed> malformed(const Packet& packet) {
  const auto whole = packet.frame();
  const auto l3 = packet.l3_offset();
  const auto l4 = packet.l4_offset();
  const bool v4 = whole.bytes.at(l3) >> 4 == 4;
  const std::uint8_t version = v4 ? 0x65 : 0x40;
  std::vector<Passed> table{
      {"another version", whole.with_byte(l3, version), "pass_malformed"},
      {"cut in the transport header", whole.cut(l4 + 7), "pass_malformed"},
  };
  if (!v4) return table;
  table.push_back({"a header of 16 bytes", whole.with_byte(l3, 0x44), "pass_malformed"});
  table.push_back(
      {"options past the end", whole.cut(l4 + 8).with_byte(l3, 0x4f), "pass_malformed"});
  table.push_back({"a total length below the header",
                   whole.with_byte(l3 + 2, 0).with_byte(l3 + 3, 19), "pass_malformed"});
  return table;
}

}  // namespace

TEST_CASE("strangers pass") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world);
    const Endpoint client{world.client, 40000};
    const auto tcp = from_uplink(IPPROTO_TCP, client, {world.stranger, 80});
    const auto udp = from_uplink(IPPROTO_UDP, client, {world.stranger, 80});
    check_passed({{"TCP", tcp.frame(), "pass_stranger"},
                  {"UDP", udp.frame(), "pass_stranger"},
                  {"without flags", tcp.flags(0).frame(), "pass_stranger"},
                  {"UDP without checksum", udp.no_check().frame(), "pass_stranger"}},
                 dp);
  });
}

TEST_CASE("ports of this node that are no service's pass") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world);
    const auto hook = GENERATE(Hook::kXdp, Hook::kUpIn, Hook::kPodIn);
    for (const int proto : {IPPROTO_TCP, IPPROTO_UDP}) {
      const auto frame =
          from_uplink(static_cast<std::uint8_t>(proto), {world.client, 40000}, {world.node, 22})
              .frame();
      INFO(hook);
      check(dp.run(hook, Device::kUp0, frame), Verdict::kNext, frame, {"pass_no_service"});
    }
  });
}

// CVE-2020-8558: what a node serves on its own loopback is for nobody else.
TEST_CASE(
    "localhost is no address that packets come in by, also where node ports are served there") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const std::string localhost = world.family == 4 ? "127.0.0.1" : "::1";
    dp.set_address(localhost, WEIR_ADDRESS_LOCALHOST);
    for (const int proto : {IPPROTO_TCP, IPPROTO_UDP}) {
      const auto number = static_cast<std::uint8_t>(proto);
      dp.serve({.proto = number,
                .frontends = {{{world.node, 30080}, WEIR_FRONTEND_NODE_PORT}},
                .backends = {{{world.remote, 8080}, false}},
                .policies = 0});
      check_passed(
          {{"node port", from_uplink(number, {world.client, 40000}, {localhost, 30080}).frame(),
            "pass_stranger"}},
          dp);
    }
  });
}

TEST_CASE("what is neither TCP, UDP nor SCTP passes") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world);
    check_passed({{"echo", Packet::echo(world.client, world.node).frame(), "pass_protocol"},
                  {"DCCP", Packet::other(world.client, world.cluster_ip, 33).payload(32).frame(),
                   "pass_protocol"},
                  {"GRE", Packet::other(world.client, world.cluster_ip, 47).payload(32).frame(),
                   "pass_protocol"}},
                 dp);
  });
}

TEST_CASE("what is no IP packet passes") {
  Datapath dp;
  serve(dp, kV4);
  Frame arp = from_uplink(IPPROTO_UDP, {kV4.client, 1}, {kV4.cluster_ip, 80}).frame();
  arp = arp.with_byte(13, 0x06);
  check_passed({{"ARP", arp, "pass_not_ip"}}, dp);
}

TEST_CASE("strangers' fragments pass") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world);
    const auto udp =
        from_uplink(IPPROTO_UDP, {world.client, 40000}, {world.stranger, 80}).payload(200);
    std::vector<Frame> frames{udp.fragment(0, 104).frame(), udp.fragment(104, 48).frame(),
                              udp.fragment(152, 200).frame()};
    if (world.family == 6)
      frames.push_back(udp.extension(Extension::hop_by_hop()).fragment(0, 104).frame());
    for (const auto& frame : frames) {
      check(dp.run(Hook::kXdp, Device::kUp0, frame), Verdict::kNext, frame, {"pass_fragment"});
      for (const auto hook : {Hook::kUpIn, Hook::kPodIn, Hook::kUpOut, Hook::kPodOut})
        check(dp.run(hook, Device::kUp0, frame), Verdict::kNext, frame, {"pass_stranger"});
    }
  });
}

TEST_CASE("malformed packets pass") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world);
    const Endpoint client{world.client, 40000};
    const Endpoint service{world.cluster_ip, 80};
    const auto tcp = from_uplink(IPPROTO_TCP, client, service).payload(40);
    check_passed(malformed(tcp), dp);
    check_passed(malformed(tcp.vlan({.id = 5, .tpid = 0x8100})), dp);
    check_passed(malformed(from_uplink(IPPROTO_UDP, client, service).payload(40)), dp);
    check_passed(
        {{"a TCP header of 16 bytes", tcp.frame().with_byte(tcp.l4_offset() + 12, 0x40),
          "pass_malformed"},
         {"cut in the last word of TCP", tcp.frame().cut(tcp.l4_offset() + 19), "pass_malformed"}},
        dp);
  });
}

TEST_CASE("two VLAN tags pass") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world);
    const auto packet = from_uplink(IPPROTO_TCP, {world.client, 40000}, {world.cluster_ip, 80});
    const auto outer = GENERATE(as<std::uint16_t>{}, 0x8100, 0x88a8);
    check_passed(
        {{"two tags", packet.vlan({.id = 5, .tpid = outer}).vlan({.id = 6, .tpid = 0x8100}).frame(),
          "pass_vlan"}},
        dp);
  });
}

TEST_CASE("more extension headers than are followed pass") {
  Datapath dp;
  serve(dp, kV6);
  const auto packet =
      from_uplink(IPPROTO_TCP, {kV6.client, 40000}, {kV6.cluster_ip, 80}).payload(40);
  auto many = packet;
  for (int i = 0; i < 7; ++i) many = many.extension(Extension::destination());
  auto cut = packet.extension(Extension::destination(3));
  check_passed(
      {{"seven", many.frame(), "pass_headers"},
       {"a long one", packet.extension(Extension::destination(25)).frame(), "pass_headers"},
       {"a routing header with segments left", packet.extension(Extension::routing(4, 1)).frame(),
        "pass_headers"},
       {"cut inside", cut.frame().cut(14 + 40 + 8 + 5), "pass_malformed"}},
      dp);
}

TEST_CASE("a service's packet without a flow passes the egress hooks") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world);
    dp.serve({.proto = IPPROTO_UDP,
              .frontends = {},
              .backends = {{{world.pod0, 8080}, true}},
              .policies = 0});
    const auto from_here = Packet::udp({world.pod0, 8080}, {world.client, 40000}).frame();
    check(dp.run(Hook::kUpOut, Device::kUp0, from_here), Verdict::kNext, from_here,
          {"pass_no_flow"});
    check(dp.run(Hook::kPodOut, Device::kPod0, from_here), Verdict::kNext, from_here,
          {"pass_no_flow"});
    // A pod on another node is no backend that an uplink could have sent for.
    const auto elsewhere = Packet::udp({world.remote, 8080}, {world.client, 40000}).frame();
    check(dp.run(Hook::kUpOut, Device::kUp0, elsewhere), Verdict::kNext, elsewhere,
          {"pass_stranger"});
    check(dp.run(Hook::kPodOut, Device::kPod0, elsewhere), Verdict::kNext, elsewhere,
          {"pass_no_flow"});
  });
}

TEST_CASE("two VLAN tags pass, whichever kind the inner one is") {
  in_both_worlds([](Datapath& dp, const World& world) {
    serve(dp, world);
    const auto packet = from_uplink(IPPROTO_TCP, {world.client, 40000}, {world.cluster_ip, 80});
    const auto outer = GENERATE(as<std::uint16_t>{}, 0x8100, 0x88a8);
    check_passed(
        {{"two tags", packet.vlan({.id = 5, .tpid = outer}).vlan({.id = 6, .tpid = 0x88a8}).frame(),
          "pass_vlan"}},
        dp);
  });
}

TEST_CASE("segments left, not its type, say whether a routing header is stepped over") {
  Datapath dp;
  serve(dp, kV6);
  const auto packet =
      from_uplink(IPPROTO_TCP, {kV6.client, 40000}, {kV6.cluster_ip, 80}).payload(40);
  check_passed({{"type 0, one segment left", packet.extension(Extension::routing(0, 1)).frame(),
                 "pass_headers"}},
               dp);
}

}  // namespace weir::test
