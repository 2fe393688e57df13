// SPDX-License-Identifier: Apache-2.0
// An IP address of either family, kept as the datapath keeps it.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/abi.hpp"

namespace weir {

enum class Family : std::uint8_t { ipv4 = 4, ipv6 = 6 };

// Value of IPPROTO_*.
enum class Protocol : std::uint8_t { tcp = 6, udp = 17, sctp = 132 };

std::string_view to_string(Family family);      // "IPv4", "IPv6": spec.ipFamilies
std::string_view to_string(Protocol protocol);  // "TCP", "UDP", "SCTP": spec.ports[].protocol

// 16 bytes in network order; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
class Address {
 public:
  constexpr Address() = default;  // ::
  explicit constexpr Address(const weir_addr& raw) : raw_{raw} {}

  // Strict inet_pton syntax, with the leniency that Kubernetes has kept for old objects
  // (k8s.io/utils/net ParseIPSloppy): leading zeros of an IPv4 octet are decimal. Surrounding
  // blanks are the caller's business. "::ffff:1.2.3.4" is the IPv4 address.
  static std::optional<Address> parse(std::string_view text);
  static Address unspecified(Family family);  // 0.0.0.0 or ::

  [[nodiscard]] Family family() const;
  [[nodiscard]] bool is_loopback() const;     // 127.0.0.0/8, ::1
  [[nodiscard]] bool is_link_local() const;   // 169.254.0.0/16, fe80::/10
  [[nodiscard]] bool is_multicast() const;    // 224.0.0.0/4, ff00::/8
  [[nodiscard]] bool is_unspecified() const;  // 0.0.0.0, ::
  [[nodiscard]] const weir_addr& raw() const { return raw_; }
  [[nodiscard]] std::string to_string() const;  // RFC 5952; IPv4 dotted

  friend bool operator==(const Address& a, const Address& b) { return a.raw_ == b.raw_; }
  friend auto operator<=>(const Address& a, const Address& b) { return a.raw_ <=> b.raw_; }

 private:
  weir_addr raw_{};
};

// Most differ in their last bytes only.
struct HashOfAddress {
  std::size_t operator()(const weir_addr& address) const noexcept {
    std::array<std::uint64_t, 2> half{};
    std::memcpy(half.data(), &address, sizeof address);
    const std::uint64_t mixed = (half[0] * 0x9e3779b97f4a7c15U ^ half[1]) * 0xff51afd7ed558ccdU;
    return mixed ^ mixed >> 32;
  }
};

// An address block. Host bits of `base` are zero.
struct Cidr {
  Address base;
  std::uint8_t length = 0;  // within the family: 0..32 or 0..128

  // "10.96.0.0/12"; a missing length, a length out of range or host bits set are errors, except
  // that sloppy zeros are accepted in both parts.
  static std::optional<Cidr> parse(std::string_view text);
  // The same with host bits, which are cleared.
  static std::optional<Cidr> parse_within(std::string_view text);
  static Cidr host(const Address& address);      // of that one address
  [[nodiscard]] unsigned mapped_length() const;  // within the 16 bytes: 96..128 or 0..128
  [[nodiscard]] bool contains(const Address& address) const;
  [[nodiscard]] std::string to_string() const;
  friend bool operator==(const Cidr&, const Cidr&) = default;
  friend auto operator<=>(const Cidr&, const Cidr&) = default;
};

// "10.0.0.1:80", "[fd00::1]:80". Port in host order.
std::string endpoint_text(const Address& address, std::uint16_t port);

}  // namespace weir
