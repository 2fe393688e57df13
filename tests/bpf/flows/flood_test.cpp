// SPDX-License-Identifier: Apache-2.0
// What comes from nowhere in any number pushes out only its like: established flows stay.
#include <fmt/format.h>

#include <vector>

#include "bpf/conversation.hpp"
#include "bpf/objects.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

constexpr std::uint32_t kHalfEntries = 2048;
constexpr std::uint32_t kFlood = 4 * kHalfEntries;
constexpr std::uint32_t kTcpFlows = 10000;
constexpr std::uint32_t kUdpFlows = 1000;
constexpr std::uint16_t kFirstPort = 20000;

void size_tables() {
  Objects::resize("weir_flow", 2 * (kTcpFlows + kUdpFlows) + 16);
  Objects::resize("weir_expiry", kTcpFlows + kUdpFlows + 8);
  Objects::resize("weir_half_tcp", kHalfEntries);
  Objects::resize("weir_half_udp", kHalfEntries);
}

// Before any test of this program loads the objects.
[[maybe_unused]] const bool kSized = (size_tables(), true);

struct Flow {
  std::uint8_t proto{};
  Endpoint client;
  Endpoint backend;
  Endpoint source;  // what the backend sees
};

// A node under flood: a service of TCP and UDP, clients on an uplink.
class Crowd {
 public:
  Crowd(const World& world, Hook hook, std::uint32_t tcp_flows);

  void establish();
  [[nodiscard]] std::uint32_t size() const { return tcp_flows_ + kUdpFlows; }
  [[nodiscard]] std::size_t count_working();  // flows that translate both ways, to the byte
  Ran forward(const Frame& frame) { return run(frame, hook_); }
  Ran reply(const Endpoint& backend, const Frame& frame);

  [[nodiscard]] Packet request(std::uint8_t proto, const Endpoint& from) const;
  [[nodiscard]] Packet answer(const Flow& flow) const;
  [[nodiscard]] Endpoint spoofed(std::uint32_t number) const;
  // What became of a request: its backend, and the source that it sees.
  [[nodiscard]] Flow seen(std::uint8_t proto, const Endpoint& client, const Ran& ran) const;
  Datapath dp;

 private:
  Ran run(const Frame& frame, Hook hook);
  void establish_one(std::uint8_t proto, const Endpoint& client);
  [[nodiscard]] bool works(const Flow& flow);
  [[nodiscard]] bool local(const Endpoint& backend) const { return backend.ip == world_.pod0; }

  const World& world_;
  Hook hook_;
  std::uint32_t tcp_flows_;
  Endpoint frontend_;
  std::vector<Flow> flows_;
};

Crowd::Crowd(const World& world, Hook hook, std::uint32_t tcp_flows)
    : world_{world}, hook_{hook}, tcp_flows_{tcp_flows}, frontend_{world.cluster_ip, 80} {
  dp.configure([](weir_config& config) { config.max_flows = kTcpFlows + kUdpFlows + 4; });
  dp.allow_xdp_to(Device::kUp0);
  std::vector<Backend> backends{{{world.remote, 8080}, false}};
  if (hook != Hook::kXdp) backends.push_back({{world.pod0, 8080}, true});
  for (const int proto : {IPPROTO_TCP, IPPROTO_UDP})
    dp.serve({.proto = static_cast<std::uint8_t>(proto),
              .frontends = {{frontend_, WEIR_FRONTEND_CLUSTER_IP}},
              .backends = backends,
              .policies = 0});
}

// XDP now and then leaves a packet of what it forwards to tc.
Ran Crowd::run(const Frame& frame, Hook hook) {
  auto ran = dp.run_uncounted(hook, Device::kUp0, frame);
  if (hook != Hook::kXdp || ran.verdict != Verdict::kNext) return ran;
  return dp.run_uncounted(Hook::kUpIn, Device::kUp0, ran.out);
}

Ran Crowd::reply(const Endpoint& backend, const Frame& frame) {
  return run(frame, local(backend) ? Hook::kUpOut : hook_);
}

Packet Crowd::request(std::uint8_t proto, const Endpoint& from) const {
  const auto packet =
      proto == IPPROTO_UDP ? Packet::udp(from, frontend_) : Packet::tcp(from, frontend_);
  return packet.seq(5001).ack(9001).macs(kRouterMac, kUp0Mac);
}

Packet Crowd::answer(const Flow& flow) const {
  const auto packet = flow.proto == IPPROTO_UDP ? Packet::udp(flow.backend, flow.source)
                                                : Packet::tcp(flow.backend, flow.source);
  const auto numbered = packet.seq(9001).ack(5001);
  return local(flow.backend) ? numbered.macs(kUp0Mac, kRouterMac)
                             : numbered.macs(kNode2Mac, kUp0Mac);
}

Endpoint Crowd::spoofed(std::uint32_t number) const {
  const auto ip = world_.family == 4 ? fmt::format("8.7.{}.{}", number / 250, number % 250 + 1)
                                     : fmt::format("2001:db8:bad::{:x}", number + 1);
  return {ip, static_cast<std::uint16_t>(1024 + number * 7 % 60000)};
}

Flow Crowd::seen(std::uint8_t proto, const Endpoint& client, const Ran& ran) const {
  const auto out = parse(ran.out).value();
  return {proto, client, {out.daddr, out.dport}, {out.saddr, out.sport}};
}

void Crowd::establish_one(std::uint8_t proto, const Endpoint& client) {
  const auto packet = request(proto, client);
  if (proto == IPPROTO_UDP) {
    flows_.push_back(seen(proto, client, forward(packet.frame())));
    reply(flows_.back().backend, answer(flows_.back()).frame());
    return;
  }
  const auto syn = packet.flags(kSyn).seq(5000).ack(0).payload("");
  flows_.push_back(seen(proto, client, forward(syn.frame())));
  const auto syn_ack = answer(flows_.back()).flags(kSyn | kAck).seq(9000).payload("");
  reply(flows_.back().backend, syn_ack.frame());
  forward(packet.payload("").frame());
}

void Crowd::establish() {
  for (std::uint32_t i = 0; i < tcp_flows_; ++i)
    establish_one(IPPROTO_TCP, {world_.client, static_cast<std::uint16_t>(kFirstPort + i)});
  for (std::uint32_t i = 0; i < kUdpFlows; ++i)
    establish_one(IPPROTO_UDP, {world_.client, static_cast<std::uint16_t>(kFirstPort + i)});
}

bool Crowd::works(const Flow& flow) {
  const bool here = local(flow.backend);
  const auto there = request(flow.proto, flow.client);
  const auto wanted = there.from(flow.source).to(flow.backend).ttl(here ? 64 : 63);
  const auto went = forward(there.frame());

  const auto back = answer(flow);
  const auto restored = back.from(frontend_).to(flow.client).ttl(here ? 64 : 63);
  const auto came = reply(flow.backend, back.frame());
  // XDP writes the link header too; what it leaves to tc, the stack would.
  const auto by_xdp = [&](const Ran& ran, const Packet& packet, const Mac& to) {
    return hook_ == Hook::kXdp && ran.out == packet.macs(kUp0Mac, to).frame();
  };
  return (went.out == wanted.frame() || by_xdp(went, wanted, kNode2Mac)) &&
         (came.out == restored.frame() || by_xdp(came, restored, kRouterMac));
}

std::size_t Crowd::count_working() {
  std::size_t working = 0;
  for (const auto& flow : flows_) working += works(flow) ? 1U : 0U;
  return working;
}

struct Flood {
  const char* name;
  std::uint8_t proto;
  std::uint8_t flags;
  bool answered;  // the backend's SYN-ACK comes by, and a guess at what acknowledges it follows
};

constexpr Flood kFloods[]{
    {"SYN", IPPROTO_TCP, kSyn, false},
    {"SYN+ACK", IPPROTO_TCP, kSyn | kAck, false},
    {"plain ACK", IPPROTO_TCP, kAck, false},
    {"SYN, and an ACK that is guessed", IPPROTO_TCP, kSyn, true},
    {"one-way datagrams", IPPROTO_UDP, 0, false},
};

void pour(Crowd& crowd, const Flood& flood) {
  for (std::uint32_t i = 0; i < kFlood; ++i) {
    const auto from = crowd.spoofed(i);
    const auto packet = crowd.request(flood.proto, from).flags(flood.flags).payload("");
    const auto ran = crowd.forward(packet.frame());
    if (!flood.answered) {
      if (i % 4 == 0) crowd.forward(packet.frame());  // some twice
      continue;
    }
    const auto flow = crowd.seen(flood.proto, from, ran);
    const auto syn_ack = crowd.answer(flow).flags(kSyn | kAck).seq(9000).ack(5002).payload("");
    crowd.reply(flow.backend, syn_ack.frame());
    crowd.forward(packet.flags(kAck).seq(5002).ack(9001 + 1 + i).frame());
  }
}

void check_flood(Crowd& crowd, const Flood& flood) {
  INFO(flood.name);
  pour(crowd, flood);
  const auto half = flood.proto == IPPROTO_TCP ? FlowTable::kHalfTcp : FlowTable::kHalfUdp;
  CHECK(crowd.dp.count_flows(half) > kHalfEntries / 2);  // it has been there
  CHECK(crowd.dp.count_flows(FlowTable::kEstablished) == 2 * crowd.size());
  CHECK(crowd.dp.state().flows == crowd.size());
}

}  // namespace

TEST_CASE("floods of four times the half-open tables leave every established flow in place") {
  struct Place {
    const World& world;
    Hook hook;
    std::uint32_t tcp_flows;
  };
  for (const auto& place :
       {Place{kV4, Hook::kUpIn, kTcpFlows}, Place{kV6, Hook::kXdp, kTcpFlows / 10}}) {
    Crowd crowd{place.world, place.hook, place.tcp_flows};
    INFO(place.hook);
    crowd.establish();
    REQUIRE(crowd.dp.count_flows(FlowTable::kEstablished) == 2 * crowd.size());
    for (const auto& flood : kFloods) check_flood(crowd, flood);
    CHECK(crowd.count_working() == crowd.size());
    CHECK(crowd.dp.count_flows(FlowTable::kEstablished) == 2 * crowd.size());
  }
}

}  // namespace weir::test
