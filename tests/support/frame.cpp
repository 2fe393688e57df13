// SPDX-License-Identifier: Apache-2.0
#include "support/frame.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <span>

#include "support/checksum.hpp"
#include "support/crc32c.hpp"

namespace weir::test {
namespace {

constexpr std::uint16_t kTypeV4 = 0x0800;
constexpr std::uint16_t kTypeV6 = 0x86dd;
constexpr std::size_t kSctpHeader = 12;

std::string address(std::span<const std::uint8_t> raw) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(raw.size() == 4 ? AF_INET : AF_INET6, raw.data(), text.data(), text.size());
  return text.data();
}

// Reads a frame front to back; every reader says nullopt or false past its end.
class Reader {
 public:
  explicit Reader(const Frame& frame) : data_{frame.bytes}, link_{frame.link} {}

  std::optional<Parsed> packet() {
    if (!link() || !network()) return std::nullopt;
    if (!later_) transport();
    return parsed_;
  }

 private:
  [[nodiscard]] bool has(std::size_t at, std::size_t size) const {
    return at + size <= data_.size();
  }
  [[nodiscard]] std::uint16_t word(std::size_t at) const {
    return static_cast<std::uint16_t>((data_[at] << 8) | data_[at + 1]);
  }

  bool link() {
    if (link_ == Link::kNone) {
      if (data_.empty()) return false;
      parsed_.ethertype = data_[0] >> 4 == 4 ? kTypeV4 : kTypeV6;
      return true;
    }
    if (!has(0, 14)) return false;
    std::copy_n(data_.begin(), 6, parsed_.dmac.begin());
    std::copy_n(data_.begin() + 6, 6, parsed_.smac.begin());
    std::size_t at = 12;
    while (has(at, 6) && (word(at) == 0x8100 || word(at) == 0x88a8)) {
      ++parsed_.tags;
      at += 4;
    }
    parsed_.ethertype = word(at);
    parsed_.l3 = at + 2;
    return true;
  }

  bool network() {
    if (parsed_.ethertype == kTypeV4) return ipv4();
    return parsed_.ethertype == kTypeV6 && ipv6();
  }

  bool ipv4() {
    const auto l3 = parsed_.l3;
    if (!has(l3, 20) || data_[l3] >> 4 != 4) return false;
    const auto header = std::size_t{data_[l3] & 0xfU} * 4;
    if (header < 20 || !has(l3, header)) return false;
    parsed_.family = 4;
    parsed_.l4 = l3 + header;
    parsed_.proto = data_[l3 + 9];
    parsed_.ttl = data_[l3 + 8];
    parsed_.fragment = (word(l3 + 6) & 0x3fff) != 0;
    later_ = (word(l3 + 6) & 0x1fff) != 0;
    parsed_.ip_length = word(l3 + 2);
    parsed_.saddr = address(data_.subspan(l3 + 12, 4));
    parsed_.daddr = address(data_.subspan(l3 + 16, 4));
    parsed_.ip_check_ok = Sum{}.add(data_.subspan(l3, header)).folded() == 0xffff;
    pseudo_.add(data_.subspan(l3 + 12, 8));
    return true;
  }

  bool ipv6() {
    const auto l3 = parsed_.l3;
    if (!has(l3, 40) || data_[l3] >> 4 != 6) return false;
    parsed_.family = 6;
    parsed_.l4 = l3 + 40;
    parsed_.proto = data_[l3 + 6];
    parsed_.ttl = data_[l3 + 7];
    parsed_.ip_length = static_cast<std::uint16_t>(word(l3 + 4) + 40);
    parsed_.saddr = address(data_.subspan(l3 + 8, 16));
    parsed_.daddr = address(data_.subspan(l3 + 24, 16));
    parsed_.ip_check_ok = true;
    pseudo_.add(data_.subspan(l3 + 8, 32));
    return extensions();
  }

  bool extensions() {
    while (parsed_.proto == 0 || parsed_.proto == 43 || parsed_.proto == 44 ||
           parsed_.proto == 51 || parsed_.proto == 60) {
      const auto at = parsed_.l4;
      if (!has(at, 8)) return false;
      std::size_t size = (data_[at + 1] + std::size_t{1}) * 8;
      if (parsed_.proto == 44) {
        size = 8;
        parsed_.fragment = (word(at + 2) & 0xfff9) != 0;
        later_ = (word(at + 2) & 0xfff8) != 0;
      } else if (parsed_.proto == 51) {
        size = (data_[at + 1] + std::size_t{2}) * 4;
      }
      parsed_.proto = data_[at];
      parsed_.l4 += size;
    }
    return parsed_.l4 <= data_.size();
  }

  void transport() {
    const bool sctp = parsed_.proto == IPPROTO_SCTP;
    const bool ports = sctp || parsed_.proto == IPPROTO_TCP || parsed_.proto == IPPROTO_UDP;
    if (ports && has(parsed_.l4, 4)) {
      parsed_.sport = word(parsed_.l4);
      parsed_.dport = word(parsed_.l4 + 2);
    }
    if (parsed_.fragment) return;  // what is checked is all of the datagram
    const auto end = parsed_.l3 + parsed_.ip_length;
    if (end > data_.size() || end < parsed_.l4 + (sctp ? kSctpHeader : 8)) return;
    const auto segment = data_.subspan(parsed_.l4, end - parsed_.l4);
    if (sctp) return crc(segment);
    if (parsed_.proto == IPPROTO_UDP && word(parsed_.l4 + 6) == 0) return;
    if (!ports && parsed_.proto != IPPROTO_ICMP && parsed_.proto != IPPROTO_ICMPV6) return;
    if (parsed_.proto == IPPROTO_ICMP) pseudo_ = {};
    if (parsed_.proto != IPPROTO_ICMP)
      pseudo_.word(parsed_.proto).word(static_cast<std::uint32_t>(segment.size()));
    parsed_.l4_check_ok = pseudo_.add(segment).folded() == 0xffff;
  }

  void crc(std::span<const std::uint8_t> packet) {
    std::uint32_t sent{};
    for (std::size_t i = 0; i < 4; ++i) sent |= std::uint32_t{packet[8 + i]} << (8 * i);
    if (sent == 0) return;
    constexpr std::array<std::uint8_t, 4> kZeros{};
    const auto wanted = Crc32c{}.add(packet.first(8)).add(kZeros).add(packet.subspan(12)).value();
    parsed_.l4_check_ok = sent == wanted;
  }

  std::span<const std::uint8_t> data_;
  Link link_;
  Parsed parsed_;
  bool later_{};  // a fragment, and not the first
  Sum pseudo_;    // of the addresses
};

std::string flags(std::uint8_t bits) {
  constexpr std::string_view kLetters = "FSRP.UEW";
  std::string text;
  for (std::size_t bit = 0; bit < kLetters.size(); ++bit)
    if ((bits >> bit) & 1U) text += kLetters[bit];
  return text;
}

std::uint32_t dword(const Bytes& bytes, std::size_t at) {
  return (std::uint32_t{bytes[at]} << 24) | (std::uint32_t{bytes[at + 1]} << 16) |
         (std::uint32_t{bytes[at + 2]} << 8) | bytes[at + 3];
}

// `chunk`: the type of the first, if there is one.
std::string sctp_text(const Frame& frame, const Parsed& p) {
  const auto& b = frame.bytes;
  const auto text = fmt::format("sctp {} > {} tag {:#x}", p.sport, p.dport, dword(b, p.l4 + 4));
  const auto chunk = p.l4 + kSctpHeader;
  if (chunk >= b.size() || chunk >= p.l3 + p.ip_length) return text;
  return text + fmt::format(" chunk {}", b[chunk]);
}

std::string transport_text(const Frame& frame, const Parsed& p) {
  if (p.fragment) return fmt::format("proto {} fragment", p.proto);
  const auto& b = frame.bytes;
  if (p.proto == IPPROTO_TCP && p.l4 + 20 <= b.size())
    return fmt::format("tcp {} > {} [{}] seq {} ack {} doff {}", p.sport, p.dport,
                       flags(b[p.l4 + 13]), dword(b, p.l4 + 4), dword(b, p.l4 + 8),
                       b[p.l4 + 12] >> 4);
  if (p.proto == IPPROTO_UDP) return fmt::format("udp {} > {}", p.sport, p.dport);
  if (p.proto == IPPROTO_SCTP && p.l4 + kSctpHeader <= b.size()) return sctp_text(frame, p);
  const bool icmp = p.proto == IPPROTO_ICMP || p.proto == IPPROTO_ICMPV6;
  if (icmp && p.l4 + 8 <= b.size())
    return fmt::format("icmp type {} code {} rest {:#x}", b[p.l4], b[p.l4 + 1], dword(b, p.l4 + 4));
  return fmt::format("proto {}", p.proto);
}

}  // namespace

Frame Frame::cut(std::size_t length) const {
  Frame copy = *this;
  copy.bytes.resize(std::min(length, bytes.size()));
  return copy;
}

Frame Frame::with_byte(std::size_t at, std::uint8_t value) const {
  Frame copy = *this;
  copy.bytes.at(at) = value;
  return copy;
}

std::optional<Parsed> parse(const Frame& frame) {
  return Reader{frame}.packet();
}

std::string describe(const Frame& frame) {
  const auto p = parse(frame);
  if (!p) return fmt::format("{} bytes, no IP packet", frame.bytes.size());
  std::string text;
  if (frame.link == Link::kEthernet)
    text = fmt::format("{:02x} > {:02x} tags {} ", fmt::join(p->smac, ":"), fmt::join(p->dmac, ":"),
                       p->tags);
  const char* l4_check = "none";
  if (p->l4_check_ok) l4_check = *p->l4_check_ok ? "ok" : "WRONG";
  return text + fmt::format("ipv{} {} > {} ttl {} length {} header check {} | {} | check {}",
                            p->family, p->saddr, p->daddr, p->ttl, p->ip_length,
                            p->ip_check_ok ? "ok" : "WRONG", transport_text(frame, *p), l4_check);
}

std::string hex(const Frame& frame) {
  std::string text;
  const std::span all{frame.bytes};
  for (std::size_t at = 0; at < all.size(); at += 16) {
    const auto line = all.subspan(at, std::min<std::size_t>(16, all.size() - at));
    text += fmt::format("{:04x}  {:02x}\n", at, fmt::join(line, " "));
  }
  return text;
}

std::string difference(const Frame& got, const Frame& wanted) {
  if (got == wanted) return "no difference";
  std::string text = fmt::format("got    {}\nwanted {}\n", describe(got), describe(wanted));
  if (got.bytes.size() != wanted.bytes.size())
    text += fmt::format("{} bytes, wanted {}\n", got.bytes.size(), wanted.bytes.size());
  constexpr int kShown = 24;
  int shown = 0;
  const auto both = std::min(got.bytes.size(), wanted.bytes.size());
  for (std::size_t i = 0; i < both && shown < kShown; ++i) {
    if (got.bytes[i] == wanted.bytes[i]) continue;
    text += fmt::format("byte {}: {:02x}, wanted {:02x}\n", i, got.bytes[i], wanted.bytes[i]);
    ++shown;
  }
  return text;
}

std::ostream& operator<<(std::ostream& out, const Frame& frame) {
  constexpr std::size_t kShown = 128;  // of a failed comparison, difference() tells the rest
  return out << describe(frame) << '\n' << hex(frame.cut(kShown));
}

}  // namespace weir::test
