// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/frame.hpp"

namespace weir::test {

struct Endpoint {
  std::string ip;
  std::uint16_t port{};

  bool operator==(const Endpoint&) const = default;
};

enum TcpFlag : std::uint8_t { kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16 };

// The types of chunks that tests name (RFC 9260, 3.2).
enum SctpChunk : std::uint8_t {
  kSctpData = 0,
  kSctpInit = 1,
  kSctpInitAck = 2,
  kSctpHeartbeat = 4,
  kSctpAbort = 6,
  kSctpCookieEcho = 10,
};

struct Vlan {
  std::uint16_t id{};
  std::uint16_t tpid{0x8100};
};

// An IPv6 extension header: all of it behind its first byte, the next header.
struct Extension {
  std::uint8_t type{};
  Bytes rest;

  // `more`: further units of 8 bytes.
  static Extension hop_by_hop(std::uint8_t more = 0);
  static Extension destination(std::uint8_t more = 0);
  static Extension routing(std::uint8_t type, std::uint8_t segments_left);
  static Extension fragment(std::uint32_t id, std::uint16_t offset, bool more_follow);
  static Extension authentication();
};

struct IcmpHeader {
  std::uint8_t type{};
  std::uint8_t code{};
  std::uint32_t rest{};  // id and sequence, MTU, or unused
};

// A description of a packet; frame() lays it out and computes every checksum in full. The
// methods return a changed copy, so an expected packet is the sent one with other addresses:
//
//   CHECK(ran.out == sent.to(kBackend).ttl(63).frame());
class Packet {
 public:
  static Packet tcp(const Endpoint& from, const Endpoint& to);  // a bare ACK, "GET /" in it
  static Packet udp(const Endpoint& from, const Endpoint& to);
  static Packet sctp(const Endpoint& from, const Endpoint& to);  // one chunk, DATA by its type
  static Packet icmp(const std::string& from, const std::string& to, IcmpHeader header);
  static Packet echo(const std::string& from, const std::string& to);
  static Packet other(const std::string& from, const std::string& to, std::uint8_t proto);

  // ICMP errors in the name of `from`, to the source of `about`, quoting its IP packet: as much
  // as fits a packet of 576 bytes (v4) or 1280 (v6), or `quoted` bytes.
  using Quoted = std::optional<std::size_t>;
  static Packet port_unreachable(const std::string& from, const Frame& about, Quoted = {});
  static Packet time_exceeded(const std::string& from, const Frame& about, Quoted = {});
  static Packet too_big(const std::string& from, const Frame& about, std::uint32_t mtu,
                        Quoted = {});
  static Packet error(const std::string& from, const Frame& about, IcmpHeader header, Quoted = {});

  [[nodiscard]] Packet macs(const Mac& from, const Mac& to) const;
  [[nodiscard]] Packet vlan(Vlan tag) const;              // outermost first
  [[nodiscard]] Packet raw() const;                       // starts at the IP header
  [[nodiscard]] Packet trailer(std::size_t bytes) const;  // behind the IP packet, as padding is

  [[nodiscard]] Packet from(const Endpoint& end) const;
  [[nodiscard]] Packet to(const Endpoint& end) const;
  [[nodiscard]] Packet from_ip(const std::string& ip) const;
  [[nodiscard]] Packet to_ip(const std::string& ip) const;
  [[nodiscard]] Packet from_port(std::uint16_t port) const;
  [[nodiscard]] Packet ttl(std::uint8_t hops) const;  // hop limit too
  [[nodiscard]] Packet tos(std::uint8_t tos) const;   // traffic class too
  [[nodiscard]] Packet flow_label(std::uint32_t label) const;
  [[nodiscard]] Packet id(std::uint16_t id) const;
  [[nodiscard]] Packet df(bool set = true) const;
  [[nodiscard]] Packet options(Bytes options) const;  // IPv4; padded to words
  [[nodiscard]] Packet extension(Extension header) const;
  // Only these bytes of the transport segment, whose checksum covers all of it.
  [[nodiscard]] Packet fragment(std::size_t offset, std::size_t length) const;

  [[nodiscard]] Packet flags(std::uint8_t flags) const;
  [[nodiscard]] Packet seq(std::uint32_t seq) const;
  [[nodiscard]] Packet ack(std::uint32_t ack) const;  // the number; the flag is kAck
  [[nodiscard]] Packet window(std::uint16_t window) const;
  [[nodiscard]] Packet tcp_options(Bytes options) const;     // padded to words
  [[nodiscard]] Packet tag(std::uint32_t tag) const;         // of SCTP: the verification tag
  [[nodiscard]] Packet chunk(std::uint8_t type) const;       // of SCTP: what has the payload
  [[nodiscard]] Packet then_chunk(std::uint8_t type) const;  // one more behind it, empty
  [[nodiscard]] Packet no_chunk() const;  // the payload, if any, stands behind the bare header
  [[nodiscard]] Packet payload(std::string_view text) const;
  [[nodiscard]] Packet payload(std::size_t bytes) const;

  [[nodiscard]] Packet no_check() const;       // zero: UDP's "not computed", SCTP's too (RFC 9653)
  [[nodiscard]] Packet check_of_zero() const;  // UDP: first two payload bytes so that it comes to 0
  [[nodiscard]] Packet partial() const;        // the pseudo-header's sum, as left to a device
  // A transit error, which stays: added to a sum of 16 bits, xored onto SCTP's.
  [[nodiscard]] Packet wrong_check(std::uint32_t by) const;

  [[nodiscard]] Frame frame() const;
  [[nodiscard]] std::size_t l3_offset() const;
  [[nodiscard]] std::size_t l4_offset() const;

 private:
  enum class Check : std::uint8_t { kFull, kNone, kPartial };
  struct Fragment {
    std::size_t offset;
    std::size_t length;
  };

  [[nodiscard]] bool v6() const { return saddr_.find(':') != std::string::npos; }
  [[nodiscard]] Bytes link_header() const;
  [[nodiscard]] Bytes segment() const;
  [[nodiscard]] Bytes transport_header(std::size_t payload) const;
  [[nodiscard]] Bytes tcp_header() const;
  void put_chunks(Bytes& out) const;
  void put_check(Bytes& segment) const;
  void put_crc(Bytes& segment) const;
  void put_ipv4(Bytes& out, const Bytes& segment) const;
  void put_ipv6(Bytes& out, const Bytes& segment) const;
  template <class Change>
  [[nodiscard]] Packet with(Change change) const;

  Link link_{Link::kEthernet};
  Mac smac_{2, 0, 0, 0, 0, 1};
  Mac dmac_{2, 0, 0, 0, 0, 2};
  std::vector<Vlan> tags_;
  std::string saddr_;
  std::string daddr_;
  std::uint8_t proto_{};
  std::uint8_t ttl_{64};
  std::uint8_t tos_{};
  std::uint32_t flow_label_{};
  std::uint16_t id_{};
  bool df_{};
  Bytes options_;
  std::vector<Extension> extensions_;
  std::optional<Fragment> fragment_;
  std::uint16_t sport_{};
  std::uint16_t dport_{};
  std::uint8_t flags_{kAck};
  std::uint32_t seq_{1000};
  std::uint32_t ack_{2000};
  std::uint16_t window_{64000};
  Bytes tcp_options_;
  std::uint32_t tag_{0x5c1bca75};
  Bytes chunks_;  // their types; the first has the payload
  IcmpHeader icmp_;
  Check check_{Check::kFull};
  std::uint32_t check_error_{};
  Bytes payload_;
  std::size_t trailer_{};
};

}  // namespace weir::test
