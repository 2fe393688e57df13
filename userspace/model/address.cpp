// SPDX-License-Identifier: Apache-2.0
#include "model/address.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace weir {
namespace {

using Bytes = std::array<std::uint8_t, 16>;
constexpr std::size_t kV4Offset = 12;  // where the four octets of a mapped address start
constexpr Bytes kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

Bytes bytes_of(const weir_addr& raw) {
  Bytes bytes{};
  std::memcpy(bytes.data(), &raw, bytes.size());
  return bytes;
}

Address address_of(const Bytes& bytes) {
  weir_addr raw{};
  std::memcpy(&raw, bytes.data(), bytes.size());
  return Address{raw};
}

// A decimal number of any length that is at most `limit`: "000" and "041" are 0 and 41.
std::optional<unsigned> decimal(std::string_view text, unsigned limit) {
  if (text.empty()) return std::nullopt;
  unsigned value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<unsigned>(c - '0');
    if (value > limit) return std::nullopt;
  }
  return value;
}

std::optional<Bytes> parse_v4(std::string_view text) {
  Bytes bytes = kMapped;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto dot = text.find('.');
    if ((dot == std::string_view::npos) != (i == 3)) return std::nullopt;
    const auto octet = decimal(text.substr(0, dot), 255);
    if (!octet) return std::nullopt;
    bytes[kV4Offset + i] = static_cast<std::uint8_t>(*octet);
    if (i < 3) text.remove_prefix(dot + 1);
  }
  return bytes;
}

std::string v4_text(const Bytes& b) {
  return fmt::format("{}.{}.{}.{}", b[12], b[13], b[14], b[15]);
}

std::optional<Bytes> parse_v6(std::string_view text) {
  std::string plain{text};
  if (text.find('.') != std::string_view::npos) {
    // A dotted tail may have sloppy zeros too, which inet_pton would refuse.
    const auto colon = text.rfind(':');
    const auto tail = parse_v4(text.substr(colon + 1));
    if (!tail) return std::nullopt;
    plain = std::string{text.substr(0, colon + 1)} + v4_text(*tail);
  }
  Bytes bytes{};
  if (inet_pton(AF_INET6, plain.c_str(), bytes.data()) != 1) return std::nullopt;
  return bytes;
}

// RFC 5952: the first longest run of two or more zero groups is "::", lower case. Not inet_ntop,
// which writes ::1:2 in the deprecated form ::0.1.0.2.
std::string v6_text(const Bytes& b) {
  std::array<unsigned, 8> group{};
  for (std::size_t i = 0; i < 8; ++i)
    group[i] = static_cast<unsigned>(b[2 * i] << 8 | b[2 * i + 1]);
  std::size_t start = 0;
  std::size_t length = 1;
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t end = i;
    while (end < 8 && group[end] == 0) ++end;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
  }
  std::string text;
  for (std::size_t i = 0; i < 8; ++i) {
    if (length > 1 && i == start) {
      text += "::";
      i += length - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    text += fmt::format("{:x}", group[i]);
  }
  return text;
}

// True if the first `length` bits of both are the same.
bool same_prefix(const Bytes& a, const Bytes& b, unsigned length) {
  const auto whole = static_cast<std::ptrdiff_t>(length / 8);
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  const unsigned rest = length % 8;
  if (rest == 0) return true;
  const auto at = static_cast<std::size_t>(whole);
  return ((a[at] ^ b[at]) >> (8 - rest)) == 0;
}

}  // namespace

std::string_view to_string(Family family) {
  switch (family) {
    case Family::ipv4:
      return "IPv4";
    case Family::ipv6:
      return "IPv6";
  }
  return "?";
}

std::string_view to_string(Protocol protocol) {
  switch (protocol) {
    case Protocol::tcp:
      return "TCP";
    case Protocol::udp:
      return "UDP";
    case Protocol::sctp:
      return "SCTP";
  }
  return "?";
}

std::optional<Address> Address::parse(std::string_view text) {
  // c_str() below would end at a NUL.
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  const bool v6 = text.find(':') != std::string_view::npos;
  const auto bytes = v6 ? parse_v6(text) : parse_v4(text);
  if (!bytes) return std::nullopt;
  return address_of(*bytes);
}

Address Address::unspecified(Family family) {
  return family == Family::ipv4 ? address_of(kMapped) : Address{};
}

Family Address::family() const {
  return same_prefix(bytes_of(raw_), kMapped, 96) ? Family::ipv4 : Family::ipv6;
}

bool Address::is_loopback() const {
  const Bytes b = bytes_of(raw_);
  if (family() == Family::ipv4) return b[kV4Offset] == 127;
  return b == Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
}

bool Address::is_link_local() const {
  const Bytes b = bytes_of(raw_);
  if (family() == Family::ipv4) return b[kV4Offset] == 169 && b[kV4Offset + 1] == 254;
  return b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
}

bool Address::is_multicast() const {
  const Bytes b = bytes_of(raw_);
  return family() == Family::ipv4 ? (b[kV4Offset] & 0xf0) == 0xe0 : b[0] == 0xff;
}

bool Address::is_unspecified() const {
  return *this == unspecified(family());
}

std::string Address::to_string() const {
  const Bytes b = bytes_of(raw_);
  return family() == Family::ipv4 ? v4_text(b) : v6_text(b);
}

std::optional<Cidr> Cidr::parse_within(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto base = Address::parse(text.substr(0, slash));
  if (!base) return std::nullopt;
  const bool v4 = base->family() == Family::ipv4;
  // "::ffff:10.0.0.0/104" would have a length of the other family.
  if (v4 && text.find(':') != std::string_view::npos) return std::nullopt;
  const auto length = decimal(text.substr(slash + 1), v4 ? 32 : 128);
  if (!length) return std::nullopt;
  Cidr cidr{*base, static_cast<std::uint8_t>(*length)};
  Bytes bytes = bytes_of(base->raw());
  for (unsigned bit = cidr.mapped_length(); bit < 128; ++bit)
    bytes[bit / 8] &= static_cast<std::uint8_t>(~(1U << (7 - bit % 8)));
  cidr.base = address_of(bytes);
  return cidr;
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
  const auto cidr = parse_within(text);
  if (!cidr || Address::parse(text.substr(0, text.find('/'))) != cidr->base) return std::nullopt;
  return cidr;
}

Cidr Cidr::host(const Address& address) {
  return {address, static_cast<std::uint8_t>(address.family() == Family::ipv4 ? 32 : 128)};
}

unsigned Cidr::mapped_length() const {
  return base.family() == Family::ipv4 ? 96U + length : length;
}

bool Cidr::contains(const Address& address) const {
  return address.family() == base.family() &&
         same_prefix(bytes_of(address.raw()), bytes_of(base.raw()), mapped_length());
}

std::string Cidr::to_string() const {
  return fmt::format("{}/{}", base.to_string(), length);
}

std::string endpoint_text(const Address& address, std::uint16_t port) {
  if (address.family() == Family::ipv4) return fmt::format("{}:{}", address.to_string(), port);
  return fmt::format("[{}]:{}", address.to_string(), port);
}

}  // namespace weir
