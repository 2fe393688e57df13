// SPDX-License-Identifier: Apache-2.0
// The builder against packets that a Linux kernel sent with offloads off, as tcpdump -XX printed
// them, and against the worked examples of the RFCs.
#include "support/packet.hpp"

#include <string_view>

#include "support/catch.hpp"
#include "support/checksum.hpp"

namespace weir::test {
namespace {

const Endpoint kClient4{"192.0.2.1", 40000};
const Endpoint kServer4{"192.0.2.2", 53};
const Endpoint kClient6{"2001:db8::1", 40000};
const Endpoint kServer6{"2001:db8::2", 53};
constexpr Mac kA{2, 0, 0, 0, 0, 0x0a};
constexpr Mac kB{2, 0, 0, 0, 0, 0x0b};

Frame from_hex(std::string_view text, Link link = Link::kEthernet) {
  Frame frame{.bytes = {}, .link = link};
  int high = -1;
  for (const char c : text) {
    if (c == ' ') continue;
    const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
    if (high < 0) {
      high = digit;
      continue;
    }
    frame.bytes.push_back(static_cast<std::uint8_t>(high * 16 + digit));
    high = -1;
  }
  return frame;
}

// The kernel's own TCP options: MSS, SACK permitted, timestamps, window scale.
Bytes syn_options(std::uint8_t mss_low, std::uint32_t stamp) {
  Bytes options{2, 4, 5, mss_low, 4, 2, 8, 10};
  for (int shift = 24; shift >= 0; shift -= 8)
    options.push_back(static_cast<std::uint8_t>(stamp >> shift));
  for (const int byte : {0, 0, 0, 0, 1, 3, 3, 10})
    options.push_back(static_cast<std::uint8_t>(byte));
  return options;
}

Packet query4() {
  return Packet::udp(kClient4, kServer4).macs(kA, kB).id(0x69e4).df();
}
Packet query6() {
  return Packet::udp(kClient6, kServer6).macs(kA, kB).flow_label(0x9f299);
}
std::string xs(std::size_t count) {
  return std::string(count, 'x');
}

void check_same(const Frame& got, const Frame& wanted) {
  INFO(difference(got, wanted));
  CHECK(got == wanted);
}

}  // namespace

TEST_CASE("the sum of RFC 1071, section 3") {
  CHECK(Sum{}.add(from_hex("0001 f203 f4f5 f6f7").bytes).folded() == 0xddf2);
  CHECK(Sum{}.add(from_hex("0001 f2").bytes).folded() == 0xf201);
}

TEST_CASE("UDP over IPv4 as the kernel sends it") {
  check_same(query4().frame(), from_hex("0200 0000 000b 0200 0000 000a 0800 4500"
                                        "0021 69e4 4000 4011 4ce4 c000 0201 c000"
                                        "0202 9c40 0035 000d 8f72 7175 6572 79"));
  check_same(query4().id(0x69e8).payload("odd").no_check().frame(),
             from_hex("0200 0000 000b 0200 0000 000a 0800 4500"
                      "001f 69e8 4000 4011 4ce2 c000 0201 c000"
                      "0202 9c40 0035 000b 0000 6f64 64"));
}

TEST_CASE("UDP over IPv6 as the kernel sends it") {
  check_same(query6().frame(), from_hex("0200 0000 000b 0200 0000 000a 86dd 6009"
                                        "f299 000d 1140 2001 0db8 0000 0000 0000"
                                        "0000 0000 0001 2001 0db8 0000 0000 0000"
                                        "0000 0000 0002 9c40 0035 000d b801 7175"
                                        "6572 79"));
}

TEST_CASE("a SYN over IPv4 as the kernel sends it") {
  const auto syn = Packet::tcp(kClient4, {"192.0.2.2", 80}).macs(kA, kB).id(0xb88d).df();
  check_same(syn.flags(kSyn)
                 .seq(3200791497)
                 .ack(0)
                 .window(64240)
                 .tcp_options(syn_options(0xb4, 7736494))
                 .payload("")
                 .frame(),
             from_hex("0200 0000 000b 0200 0000 000a 0800 4500"
                      "003c b88d 4000 4006 fe2a c000 0201 c000"
                      "0202 9c40 0050 bec8 33c9 0000 0000 a002"
                      "faf0 2cc2 0000 0204 05b4 0402 080a 0076"
                      "0cae 0000 0000 0103 030a"));
}

TEST_CASE("a SYN and its RST over IPv6 as the kernel sends them") {
  const Endpoint server{"2001:db8::2", 80};
  const auto syn = Packet::tcp(kClient6, server).macs(kA, kB).flow_label(0x39969);
  check_same(syn.flags(kSyn)
                 .seq(3459985208)
                 .ack(0)
                 .window(64800)
                 .tcp_options(syn_options(0xa0, 212834728))
                 .payload("")
                 .frame(),
             from_hex("0200 0000 000b 0200 0000 000a 86dd 6003"
                      "9969 0028 0640 2001 0db8 0000 0000 0000"
                      "0000 0000 0001 2001 0db8 0000 0000 0000"
                      "0000 0000 0002 9c40 0050 ce3b 2f38 0000"
                      "0000 a002 fd20 af1f 0000 0204 05a0 0402"
                      "080a 0caf 99a8 0000 0000 0103 030a"));
  const auto rst = Packet::tcp(server, kClient6).macs(kB, kA).flow_label(0xf0eea);
  check_same(rst.flags(kRst | kAck).seq(0).ack(3459985209).window(0).payload("").frame(),
             from_hex("0200 0000 000a 0200 0000 000b 86dd 600f"
                      "0eea 0014 0640 2001 0db8 0000 0000 0000"
                      "0000 0000 0002 2001 0db8 0000 0000 0000"
                      "0000 0000 0001 0050 9c40 0000 0000 ce3b"
                      "2f39 5014 0000 ba56 0000"));
}

TEST_CASE("an echo request as the kernel sends it") {
  const auto echo =
      Packet::icmp("192.0.2.1", "192.0.2.2", {.type = 8, .code = 0, .rest = 0x45d00001});
  const std::string_view payload{"\xab\xcd\0\0\0\0\0\0", 8};
  check_same(echo.macs(kA, kB).id(0xd238).df().payload(payload).frame(),
             from_hex("0200 0000 000b 0200 0000 000a 0800 4500"
                      "0024 d238 4000 4001 e49c c000 0201 c000"
                      "0202 0800 0661 45d0 0001 abcd 0000 0000"
                      "0000"));
}

TEST_CASE("port unreachable as the kernel answers") {
  check_same(Packet::port_unreachable("192.0.2.2", query4().frame()).id(0x862a).tos(0xc0).frame(),
             from_hex("0200 0000 000a 0200 0000 000b 0800 45c0"
                      "003d 862a 0000 4001 6fd2 c000 0202 c000"
                      "0201 0303 811f 0000 0000 4500 0021 69e4"
                      "4000 4011 4ce4 c000 0201 c000 0202 9c40"
                      "0035 000d 8f72 7175 6572 79"));
  check_same(Packet::port_unreachable("2001:db8::2", query6().frame()).flow_label(0x49c6b).frame(),
             from_hex("0200 0000 000a 0200 0000 000b 86dd 6004"
                      "9c6b 003d 3a40 2001 0db8 0000 0000 0000"
                      "0000 0000 0002 2001 0db8 0000 0000 0000"
                      "0000 0000 0001 0104 3f3d 0000 0000 6009"
                      "f299 000d 1140 2001 0db8 0000 0000 0000"
                      "0000 0000 0001 2001 0db8 0000 0000 0000"
                      "0000 0000 0002 9c40 0035 000d b801 7175"
                      "6572 79"));
}

TEST_CASE("an ICMP error quotes no more than a packet of 576 or 1280 bytes holds") {
  // Reassembled, so without DF. The header checksums show that every byte quoted is right.
  const auto long4 = query4().id(0x6a0a).df(false).payload(xs(1600)).frame();
  const auto error4 = Packet::port_unreachable("192.0.2.2", long4).id(0x8638).tos(0xc0).frame();
  CHECK(error4.bytes.size() == 14 + 576);
  check_same(error4.cut(68), from_hex("0200 0000 000a 0200 0000 000b 0800 45c0"
                                      "0240 8638 0000 4001 6dc1 c000 0202 c000"
                                      "0201 0303 a578 0000 0000 4500 065c 6a0a"
                                      "0000 4011 8683 c000 0201 c000 0202 9c40"
                                      "0035 0648"));

  const auto long6 = query6().payload(xs(1600)).frame();
  const auto error6 = Packet::port_unreachable("2001:db8::2", long6).flow_label(0x49c6b).frame();
  CHECK(error6.bytes.size() == 14 + 1280);
  check_same(error6.cut(64), from_hex("0200 0000 000a 0200 0000 000b 86dd 6004"
                                      "9c6b 04d8 3a40 2001 0db8 0000 0000 0000"
                                      "0000 0000 0002 2001 0db8 0000 0000 0000"
                                      "0000 0000 0001 0104 1c84 0000 0000 6009"));
}

TEST_CASE("fragments as the kernel sends them") {
  const auto long4 = query4().id(0x6a0a).df(false).payload(xs(1600));
  check_same(long4.fragment(0, 1480).frame().cut(48),
             from_hex("0200 0000 000b 0200 0000 000a 0800 4500"
                      "05dc 6a0a 2000 4011 6703 c000 0201 c000"
                      "0202 9c40 0035 0648 5a6c 7878 7878 7878"));
  check_same(long4.fragment(1480, 1480).frame(), from_hex("0200 0000 000b 0200 0000 000a 0800 4500"
                                                          "0094 6a0a 00b9 4011 8b92 c000 0201 c000"
                                                          "0202" +
                                                          [] {
                                                            std::string text;
                                                            for (int i = 0; i < 128; ++i)
                                                              text += "78";
                                                            return text;
                                                          }()));

  const auto long6 = query6().payload(xs(1600));
  const auto first = Extension::fragment(0x62ea353b, 0, true);
  const auto head = from_hex(
      "0200 0000 000b 0200 0000 000a 86dd 6009"
      "f299 05b0 2c40 2001 0db8 0000 0000 0000"
      "0000 0000 0001 2001 0db8 0000 0000 0000"
      "0000 0000 0002 1100 0001");
  check_same(long6.fragment(0, 1448).frame().cut(58), head);
  check_same(query6().extension(first).frame().cut(64).with_byte(18, 5).with_byte(19, 0xb0),
             from_hex("0200 0000 000b 0200 0000 000a 86dd 6009"
                      "f299 05b0 2c40 2001 0db8 0000 0000 0000"
                      "0000 0000 0001 2001 0db8 0000 0000 0000"
                      "0000 0000 0002 1100 0001 62ea 353b 9c40"));
}

TEST_CASE("a UDP checksum that comes to zero is sent as ones") {
  const auto [from, to] =
      GENERATE(table<Endpoint, Endpoint>({{kClient4, kServer4}, {kClient6, kServer6}}));
  const auto packet = Packet::udp(from, to).payload("????").check_of_zero();
  const auto frame = packet.frame();
  CHECK(frame.bytes.at(packet.l4_offset() + 6) == 0xff);
  CHECK(frame.bytes.at(packet.l4_offset() + 7) == 0xff);
  CHECK(parse(frame)->l4_check_ok == true);
}

TEST_CASE("a partial checksum is the sum of the pseudo-header") {
  // 192.0.2.1 + 192.0.2.2 + UDP + a length of 13, by hand.
  constexpr std::uint32_t kByHand = 0xc000 + 0x0201 + 0xc000 + 0x0202 + 17 + 13;
  const auto packet = query4().partial();
  const auto frame = packet.frame();
  const auto at = packet.l4_offset() + 6;
  CHECK(frame.bytes.at(at) * 256 + frame.bytes.at(at + 1) == (kByHand & 0xffff) + (kByHand >> 16));
}

TEST_CASE("a wrong checksum is wrong by what was asked for") {
  const auto right = query4();
  const auto wrong = right.wrong_check(1).frame();
  const auto at = right.l4_offset() + 7;
  CHECK(wrong == right.frame().with_byte(at, 0x73));
  CHECK(parse(wrong)->l4_check_ok == false);
}

}  // namespace weir::test
