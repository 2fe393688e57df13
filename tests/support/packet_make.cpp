// SPDX-License-Identifier: Apache-2.0
// How a Packet is described: named constructors and changed copies. packet.cpp lays it out.
#include <arpa/inet.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "support/packet.hpp"

namespace weir::test {
namespace {

constexpr std::size_t kIcmpErrorV4 = 576 - 28;   // RFC 1812 4.3.2.3
constexpr std::size_t kIcmpErrorV6 = 1280 - 48;  // RFC 4443 2.4 (c)

bool is_v6(const std::string& ip) {
  return ip.find(':') != std::string::npos;
}

}  // namespace

Packet Packet::tcp(const Endpoint& from, const Endpoint& to) {
  return other(from.ip, to.ip, IPPROTO_TCP).from(from).to(to).payload("GET /");
}

Packet Packet::udp(const Endpoint& from, const Endpoint& to) {
  return other(from.ip, to.ip, IPPROTO_UDP).from(from).to(to).payload("query");
}

Packet Packet::sctp(const Endpoint& from, const Endpoint& to) {
  return other(from.ip, to.ip, IPPROTO_SCTP).from(from).to(to).chunk(kSctpData).payload("message");
}

Packet Packet::icmp(const std::string& from, const std::string& to, IcmpHeader header) {
  constexpr std::uint8_t kV4 = IPPROTO_ICMP, kV6 = IPPROTO_ICMPV6;
  Packet packet = other(from, to, is_v6(from) ? kV6 : kV4);
  packet.icmp_ = header;
  return packet;
}

Packet Packet::echo(const std::string& from, const std::string& to) {
  return icmp(from, to,
              {.type = is_v6(from) ? std::uint8_t{128} : std::uint8_t{8}, .rest = 0x00070001})
      .payload("ping");
}

Packet Packet::other(const std::string& from, const std::string& to, std::uint8_t proto) {
  Packet packet;
  packet.saddr_ = from;
  packet.daddr_ = to;
  packet.proto_ = proto;
  return packet;
}

Packet Packet::error(const std::string& from, const Frame& about, IcmpHeader header,
                     Quoted quoted) {
  const auto parsed = parse(about);
  if (!parsed) throw std::invalid_argument{"no IP packet to quote: " + describe(about)};
  const std::size_t room = parsed->family == 4 ? kIcmpErrorV4 : kIcmpErrorV6;
  const auto end = std::min(parsed->l3 + parsed->ip_length, about.bytes.size());
  const auto size = std::min(end - parsed->l3, quoted.value_or(room));
  const auto first = about.bytes.begin() + static_cast<std::ptrdiff_t>(parsed->l3);

  Packet packet = icmp(from, parsed->saddr, header).macs(parsed->dmac, parsed->smac);
  packet.link_ = about.link;
  packet.payload_ = Bytes(first, first + static_cast<std::ptrdiff_t>(size));
  return packet;
}

Packet Packet::port_unreachable(const std::string& from, const Frame& about, Quoted quoted) {
  const bool v6 = is_v6(from);
  const IcmpHeader header = v6 ? IcmpHeader{1, 4, 0} : IcmpHeader{3, 3, 0};
  return error(from, about, header, quoted);
}

Packet Packet::time_exceeded(const std::string& from, const Frame& about, Quoted quoted) {
  const bool v6 = is_v6(from);
  const IcmpHeader header = v6 ? IcmpHeader{3, 0, 0} : IcmpHeader{11, 0, 0};
  return error(from, about, header, quoted);
}

Packet Packet::too_big(const std::string& from, const Frame& about, std::uint32_t mtu,
                       Quoted quoted) {
  const bool v6 = is_v6(from);
  const IcmpHeader header = v6 ? IcmpHeader{2, 0, mtu} : IcmpHeader{3, 4, mtu};
  return error(from, about, header, quoted);
}

// ---- changed copies

template <class Change>
Packet Packet::with(Change change) const {
  Packet copy = *this;
  change(copy);
  return copy;
}

Packet Packet::macs(const Mac& from, const Mac& to) const {
  return with([&](Packet& p) { p.smac_ = from, p.dmac_ = to; });
}
Packet Packet::vlan(Vlan tag) const {
  return with([&](Packet& p) { p.tags_.push_back(tag); });
}
Packet Packet::raw() const {
  return with([](Packet& p) { p.link_ = Link::kNone; });
}
Packet Packet::trailer(std::size_t bytes) const {
  return with([&](Packet& p) { p.trailer_ = bytes; });
}
Packet Packet::from(const Endpoint& end) const {
  return with([&](Packet& p) { p.saddr_ = end.ip, p.sport_ = end.port; });
}
Packet Packet::to(const Endpoint& end) const {
  return with([&](Packet& p) { p.daddr_ = end.ip, p.dport_ = end.port; });
}
Packet Packet::from_ip(const std::string& ip) const {
  return with([&](Packet& p) { p.saddr_ = ip; });
}
Packet Packet::to_ip(const std::string& ip) const {
  return with([&](Packet& p) { p.daddr_ = ip; });
}
Packet Packet::from_port(std::uint16_t port) const {
  return with([&](Packet& p) { p.sport_ = port; });
}
Packet Packet::ttl(std::uint8_t hops) const {
  return with([&](Packet& p) { p.ttl_ = hops; });
}
Packet Packet::tos(std::uint8_t tos) const {
  return with([&](Packet& p) { p.tos_ = tos; });
}
Packet Packet::flow_label(std::uint32_t label) const {
  return with([&](Packet& p) { p.flow_label_ = label; });
}
Packet Packet::id(std::uint16_t id) const {
  return with([&](Packet& p) { p.id_ = id; });
}
Packet Packet::df(bool set) const {
  return with([&](Packet& p) { p.df_ = set; });
}
Packet Packet::options(Bytes options) const {
  return with([&](Packet& p) { p.options_ = std::move(options); });
}
Packet Packet::extension(Extension header) const {
  return with([&](Packet& p) { p.extensions_.push_back(std::move(header)); });
}
Packet Packet::fragment(std::size_t offset, std::size_t length) const {
  return with([&](Packet& p) { p.fragment_ = {offset, length}; });
}
Packet Packet::flags(std::uint8_t flags) const {
  return with([&](Packet& p) { p.flags_ = flags; });
}
Packet Packet::seq(std::uint32_t seq) const {
  return with([&](Packet& p) { p.seq_ = seq; });
}
Packet Packet::ack(std::uint32_t ack) const {
  return with([&](Packet& p) { p.ack_ = ack; });
}
Packet Packet::window(std::uint16_t window) const {
  return with([&](Packet& p) { p.window_ = window; });
}
Packet Packet::tcp_options(Bytes options) const {
  return with([&](Packet& p) { p.tcp_options_ = std::move(options); });
}
Packet Packet::tag(std::uint32_t tag) const {
  return with([&](Packet& p) { p.tag_ = tag; });
}
Packet Packet::chunk(std::uint8_t type) const {
  return with([&](Packet& p) { p.chunks_ = {type}; });
}
Packet Packet::then_chunk(std::uint8_t type) const {
  return with([&](Packet& p) { p.chunks_.push_back(type); });
}
Packet Packet::no_chunk() const {
  return with([](Packet& p) { p.chunks_.clear(); });
}
Packet Packet::payload(std::string_view text) const {
  return with([&](Packet& p) { p.payload_.assign(text.begin(), text.end()); });
}
Packet Packet::payload(std::size_t bytes) const {
  return with([&](Packet& p) {
    p.payload_.resize(bytes);
    for (std::size_t i = 0; i < bytes; ++i) p.payload_[i] = static_cast<std::uint8_t>(i * 7 + 1);
  });
}
Packet Packet::no_check() const {
  return with([](Packet& p) { p.check_ = Check::kNone; });
}
Packet Packet::partial() const {
  return with([](Packet& p) { p.check_ = Check::kPartial; });
}
Packet Packet::wrong_check(std::uint32_t by) const {
  return with([&](Packet& p) { p.check_error_ = by; });
}

}  // namespace weir::test
