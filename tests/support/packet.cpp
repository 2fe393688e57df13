// SPDX-License-Identifier: Apache-2.0
#include "support/packet.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <span>
#include <stdexcept>

#include "support/checksum.hpp"
#include "support/crc32c.hpp"

namespace weir::test {
namespace {

void put8(Bytes& to, std::size_t value) {
  to.push_back(static_cast<std::uint8_t>(value));
}
void put16(Bytes& to, std::size_t value) {
  put8(to, value >> 8);
  put8(to, value);
}
void put32(Bytes& to, std::size_t value) {
  put16(to, value >> 16);
  put16(to, value);
}
void put(Bytes& to, std::span<const std::uint8_t> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}
void set16(Bytes& in, std::size_t at, std::uint16_t value) {
  in.at(at) = static_cast<std::uint8_t>(value >> 8);
  in.at(at + 1) = static_cast<std::uint8_t>(value);
}

// SCTP's checksum goes lowest byte first.
void set32_reversed(Bytes& in, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) in.at(at + i) = static_cast<std::uint8_t>(value >> (8 * i));
}

Bytes address(const std::string& text) {
  const bool v6 = text.find(':') != std::string::npos;
  Bytes raw(v6 ? 16 : 4);
  if (inet_pton(v6 ? AF_INET6 : AF_INET, text.c_str(), raw.data()) != 1)
    throw std::invalid_argument{"no address: " + text};
  return raw;
}

Bytes padded(Bytes options) {
  options.resize((options.size() + 3) / 4 * 4);
  return options;
}

// Options of `8 * (more + 1)` bytes in all: one PadN (RFC 8200 4.2).
Bytes pad_option(std::uint8_t more) {
  const std::size_t size = (more + std::size_t{1}) * 8;
  Bytes rest{more, 1, static_cast<std::uint8_t>(size - 4)};
  rest.resize(size - 1);
  return rest;
}

constexpr std::size_t kCrcOffset = 8;  // in the SCTP header

// Where a checksum of 16 bits stands in the transport header; nullopt: it has none.
std::optional<std::size_t> check_offset(std::uint8_t proto) {
  switch (proto) {
    case IPPROTO_TCP:
      return 16;
    case IPPROTO_UDP:
      return 6;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
      return 2;
    default:
      return std::nullopt;
  }
}

}  // namespace

Extension Extension::hop_by_hop(std::uint8_t more) {
  return {0, pad_option(more)};
}
Extension Extension::destination(std::uint8_t more) {
  return {60, pad_option(more)};
}
Extension Extension::routing(std::uint8_t type, std::uint8_t segments_left) {
  return {43, {0, type, segments_left, 0, 0, 0, 0}};
}
Extension Extension::fragment(std::uint32_t id, std::uint16_t offset, bool more_follow) {
  Bytes rest{0};
  put16(rest, (offset & 0xfff8U) | (more_follow ? 1U : 0U));
  put32(rest, id);
  return {44, rest};
}
Extension Extension::authentication() {
  Bytes rest{4, 0, 0};  // 24 bytes: (4 + 2) words, an ICV of 96 bits
  rest.resize(23);
  return {51, rest};
}

Frame Packet::frame() const {
  Bytes out = link_header();
  Bytes whole = segment();
  if (fragment_) {
    const auto first = std::min(fragment_->offset, whole.size());
    const auto last = std::min(first + fragment_->length, whole.size());
    whole = Bytes(whole.begin() + static_cast<std::ptrdiff_t>(first),
                  whole.begin() + static_cast<std::ptrdiff_t>(last));
  }
  if (v6())
    put_ipv6(out, whole);
  else
    put_ipv4(out, whole);
  out.resize(out.size() + trailer_);
  return {out, link_};
}

Bytes Packet::link_header() const {
  Bytes out;
  if (link_ == Link::kNone) return out;
  put(out, dmac_);
  put(out, smac_);
  for (const auto& tag : tags_) {
    put16(out, tag.tpid);
    put16(out, tag.id);
  }
  put16(out, v6() ? 0x86dd : 0x0800);
  return out;
}

void Packet::put_ipv4(Bytes& out, const Bytes& segment) const {
  const auto options = padded(options_);
  const auto start = out.size();
  const auto header = 20 + options.size();
  const auto all = this->segment().size();
  const bool more = fragment_ && fragment_->offset + segment.size() < all;
  const auto offset = fragment_ ? fragment_->offset / 8 : 0;

  put8(out, 0x40 | (header / 4));
  put8(out, tos_);
  put16(out, header + segment.size());
  put16(out, id_);
  put16(out, (df_ ? 0x4000U : 0U) | (more ? 0x2000U : 0U) | offset);
  put8(out, ttl_);
  put8(out, proto_);
  put16(out, 0);
  put(out, address(saddr_));
  put(out, address(daddr_));
  put(out, options);
  set16(out, start + 10, Sum{}.add(std::span{out}.subspan(start)).checksum());
  put(out, segment);
}

void Packet::put_ipv6(Bytes& out, const Bytes& segment) const {
  auto chain = extensions_;
  if (fragment_) {
    const bool more = fragment_->offset + segment.size() < this->segment().size();
    chain.push_back(Extension::fragment(id_, static_cast<std::uint16_t>(fragment_->offset), more));
  }
  Bytes behind;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    put8(behind, i + 1 < chain.size() ? chain[i + 1].type : proto_);
    put(behind, chain[i].rest);
  }
  put(behind, segment);

  put32(out, 0x60000000U | (std::uint32_t{tos_} << 20) | flow_label_);
  put16(out, behind.size());
  put8(out, chain.empty() ? proto_ : chain.front().type);
  put8(out, ttl_);
  put(out, address(saddr_));
  put(out, address(daddr_));
  put(out, behind);
}

Bytes Packet::segment() const {
  Bytes out = transport_header(payload_.size());
  if (proto_ == IPPROTO_SCTP && !chunks_.empty())
    put_chunks(out);
  else
    put(out, payload_);
  if (proto_ == IPPROTO_SCTP)
    put_crc(out);
  else
    put_check(out);
  return out;
}

Bytes Packet::transport_header(std::size_t payload) const {
  Bytes out;
  if (proto_ == IPPROTO_TCP) return tcp_header();
  if (proto_ == IPPROTO_UDP) {
    put16(out, sport_);
    put16(out, dport_);
    put16(out, 8 + payload);
    put16(out, 0);
  } else if (proto_ == IPPROTO_SCTP) {
    put16(out, sport_);
    put16(out, dport_);
    put32(out, tag_);
    put32(out, 0);
  } else if (check_offset(proto_)) {
    put8(out, icmp_.type);
    put8(out, icmp_.code);
    put16(out, 0);
    put32(out, icmp_.rest);
  }
  return out;
}

Bytes Packet::tcp_header() const {
  Bytes out;
  const auto options = padded(tcp_options_);
  put16(out, sport_);
  put16(out, dport_);
  put32(out, seq_);
  put32(out, ack_);
  put8(out, (20 + options.size()) / 4 << 4);
  put8(out, flags_);
  put16(out, window_);
  put32(out, 0);  // checksum, urgent pointer
  put(out, options);
  return out;
}

// A chunk's length leaves the bytes out that fill its last word.
void Packet::put_chunks(Bytes& out) const {
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    const auto value = i == 0 ? payload_ : Bytes{};
    put8(out, chunks_[i]);
    put8(out, 0);
    put16(out, 4 + value.size());
    put(out, padded(value));
  }
}

// Of the SCTP packet alone: no address is in it.
void Packet::put_crc(Bytes& segment) const {
  if (check_ != Check::kFull) return;  // what a device is to compute is zero, too
  set32_reversed(segment, kCrcOffset, Crc32c{}.add(segment).value() ^ check_error_);
}

void Packet::put_check(Bytes& segment) const {
  const auto at = check_offset(proto_);
  if (!at || check_ == Check::kNone) return;
  Sum sum;
  if (proto_ != IPPROTO_ICMP) {
    sum.add(address(saddr_)).add(address(daddr_));
    sum.word(proto_).word(static_cast<std::uint32_t>(segment.size()));
  }
  if (check_ == Check::kPartial) {
    set16(segment, *at, sum.folded());
    return;
  }
  auto check = sum.add(segment).checksum();
  if (check_error_ != 0) check = Sum{}.word(check).word(check_error_).folded();
  // A UDP checksum of zero says that there is none (RFC 768).
  if (proto_ == IPPROTO_UDP && check == 0) check = 0xffff;
  set16(segment, *at, check);
}

Packet Packet::check_of_zero() const {
  Packet copy = *this;
  copy.payload_.resize(std::max<std::size_t>(payload_.size(), 2));
  set16(copy.payload_, 0, 0);
  const auto all = copy.segment();
  // Adding its own complement makes the sum 0xffff, and the checksum of that is 0.
  set16(copy.payload_, 0, static_cast<std::uint16_t>((all.at(6) << 8) | all.at(7)));
  return copy;
}

std::size_t Packet::l3_offset() const {
  return link_header().size();
}

std::size_t Packet::l4_offset() const {
  if (!v6()) return l3_offset() + 20 + padded(options_).size();
  std::size_t at = l3_offset() + 40 + (fragment_ ? 8 : 0);
  for (const auto& header : extensions_) at += 1 + header.rest.size();
  return at;
}

}  // namespace weir::test
