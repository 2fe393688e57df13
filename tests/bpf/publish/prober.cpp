// SPDX-License-Identifier: Apache-2.0
#include "bpf/publish/prober.hpp"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "bpf/conversation.hpp"
#include "bpf/topology.hpp"

namespace weir::test {
namespace {

// Where things are in an Ethernet frame without options or extension headers.
struct Layout {
  std::size_t proto;
  std::size_t saddr_end;  // the last four bytes of the address end here
  std::size_t daddr;
  std::size_t addr_size;
  std::size_t sport;
};

constexpr Layout kIpv4{.proto = 23, .saddr_end = 30, .daddr = 30, .addr_size = 4, .sport = 34};
constexpr Layout kIpv6{.proto = 20, .saddr_end = 38, .daddr = 38, .addr_size = 16, .sport = 54};

const Layout& layout_of(Family family) {
  return family == Family::ipv4 ? kIpv4 : kIpv6;
}

std::uint16_t port_at(const Bytes& frame, std::size_t at) {
  return static_cast<std::uint16_t>(frame.at(at) << 8 | frame.at(at + 1));
}

Bytes frame_of(const Target& target) {
  const auto& world = target.family == Family::ipv4 ? kV4 : kV6;
  const auto proto = static_cast<std::uint8_t>(std::to_underlying(target.protocol));
  const Endpoint to{frontend_ip(target), frontend_port(target)};
  if (target.side == Side::kUplink) return from_uplink(proto, {world.client, 1}, to).frame().bytes;
  return from_pod(proto, {world.pod0, 1}, to).frame().bytes;
}

Outcome outcome_of(std::int32_t verdict, const Bytes& sent, const Bytes& out,
                   const Target& target) {
  const auto& layout = layout_of(target.family);
  Outcome outcome;
  if (verdict != TC_ACT_UNSPEC && verdict != TC_ACT_REDIRECT) return outcome;
  const auto proto = static_cast<std::uint8_t>(std::to_underlying(target.protocol));
  if (out.size() < layout.sport + 4 || out.at(layout.proto) != proto) return outcome;  // ICMP
  const auto daddr = out.begin() + static_cast<std::ptrdiff_t>(layout.daddr);
  const auto size = static_cast<std::ptrdiff_t>(layout.addr_size);
  if (std::equal(daddr, daddr + size, sent.begin() + static_cast<std::ptrdiff_t>(layout.daddr)))
    return outcome;  // passed untouched
  if (target.family == Family::ipv4) outcome.addr.word[2] = htonl(0xffff);
  auto* raw = reinterpret_cast<std::uint8_t*>(&outcome.addr);
  std::copy(daddr, daddr + size, raw + sizeof outcome.addr - layout.addr_size);
  outcome.port = port_at(out, layout.sport + 2);
  outcome.answered = true;
  outcome.backend = to_backend(outcome.addr, outcome.port, target.protocol, target.family);
  return outcome;
}

}  // namespace

Prober::Prober(const Installation& installation, std::uint8_t number)
    : targets_{all_targets()},
      programs_{installation.program(Side::kUplink), installation.program(Side::kPod)},
      devices_{ifindex(Device::kUp0), ifindex(Device::kPod0)},
      number_{number} {
  for (const auto& target : targets_) frames_.push_back(frame_of(target));
}

Flow Prober::fresh(std::size_t target) {
  constexpr std::uint32_t kPorts = 60'000;
  const std::uint32_t port = 1024 + next_ % kPorts;
  const std::uint32_t host = next_++ / kPorts;
  Flow flow{&targets_.at(target), frames_.at(target)};
  const auto& layout = layout_of(flow.target->family);
  const auto put = [&](std::size_t at, std::uint32_t byte) {
    flow.frame.at(at) = static_cast<std::uint8_t>(byte);
  };
  // 8.<prober>.x.y is no backend's, no service's and no node's address.
  put(layout.saddr_end - 4, 8);
  put(layout.saddr_end - 3, number_);
  put(layout.saddr_end - 2, host >> 8);
  put(layout.saddr_end - 1, host);
  put(layout.sport, port >> 8);
  put(layout.sport + 1, port);
  return flow;
}

Outcome Prober::send(const Flow& flow) {
  const auto side = static_cast<std::size_t>(flow.target->side);
  return send_raw(programs_.at(side), devices_.at(side), flow.frame, *flow.target, out_);
}

Outcome send_raw(int program, std::uint32_t ifindex, const Bytes& frame, const Target& target,
                 Bytes& out) {
  constexpr std::size_t kRoom = 2048;  // an ICMP answer is longer than what it answers
  __sk_buff context{};
  context.ifindex = ifindex;
  out.resize(kRoom);
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.data_out = out.data();
  options.data_size_out = static_cast<__u32>(out.size());
  options.ctx_in = &context;
  options.ctx_size_in = sizeof context;
  if (const int rc = bpf_prog_test_run_opts(program, &options); rc != 0)
    throw std::system_error{-rc, std::generic_category(), "test run"};
  out.resize(options.data_size_out);
  return outcome_of(static_cast<std::int32_t>(options.retval), frame, out, target);
}

}  // namespace weir::test
