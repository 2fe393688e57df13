// SPDX-License-Identifier: Apache-2.0
#include "bpf/oracle/datapath_run.hpp"

#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>

#include <array>
#include <stdexcept>

#include "bpf/topology.hpp"
#include "model/address.hpp"
#include "support/packet.hpp"
#include "support/prog_run.hpp"

namespace weir::test {
namespace {

constexpr int kOn = -1;  // TCX_NEXT, and TC_ACT_UNSPEC

std::string address_at(const Bytes& frame, std::size_t offset, bool v4) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (inet_ntop(v4 ? AF_INET : AF_INET6, frame.data() + offset, text.data(), text.size()) ==
      nullptr)
    throw std::runtime_error{"no address"};
  return text.data();
}

}  // namespace

Happened run_datapath(const Installation& weir, const naive::Question& asked, std::uint16_t port) {
  const bool outside = asked.from == naive::From::outside;
  const bool v4 = asked.to.family() == Family::ipv4;
  const weir::test::Endpoint client{asked.client.to_string(), port};
  const weir::test::Endpoint frontend{asked.to.to_string(), asked.port};
  const auto packet = asked.protocol == Protocol::tcp ? Packet::tcp(client, frontend).flags(kSyn)
                                                      : Packet::udp(client, frontend);
  const auto sent = packet.frame();
  const auto ran = need(run_tc(weir.program(outside ? Side::kUplink : Side::kPod), sent,
                               {.ifindex = ifindex(outside ? Device::kUp0 : Device::kPod0)}));
  Happened happened;
  if (ran.verdict == TC_ACT_SHOT) {
    happened.fate = naive::Fate::drop;
    return happened;
  }
  if (ran.verdict == kOn && ran.out == sent) return happened;
  const auto& bytes = ran.out.bytes;
  const std::size_t ip = 14, ports = ip + (v4 ? 20 : 40);
  happened.from = address_at(bytes, ip + (v4 ? 12 : 8), v4);
  const auto to = address_at(bytes, ip + (v4 ? 16 : 24), v4);
  const auto protocol = bytes.at(ip + (v4 ? 9 : 6));
  const bool reset = protocol == IPPROTO_TCP && (bytes.at(ports + 13) & kRst) != 0;
  const bool answered = protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 || reset;
  happened.fate = answered ? naive::Fate::reject : naive::Fate::forward;
  happened.to =
      endpoint_text(Address::parse(to).value(),
                    static_cast<std::uint16_t>(bytes.at(ports + 2) << 8 | bytes.at(ports + 3)));
  return happened;
}

}  // namespace weir::test
