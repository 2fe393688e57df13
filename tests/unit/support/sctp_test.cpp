// SPDX-License-Identifier: Apache-2.0
// SCTP packets and their checksum: against check values that are published (RFC 3720, B.4, for
// one), and against packets whose checksum is the remainder of a division done by big integers.
#include <numeric>
#include <string_view>

#include "support/catch.hpp"
#include "support/crc32c.hpp"
#include "support/packet.hpp"

namespace weir::test {
namespace {

const Endpoint kFrom4{"192.0.2.1", 40000};
const Endpoint kTo4{"10.96.0.10", 80};
const Endpoint kFrom6{"2001:db8::1", 40000};
const Endpoint kTo6{"fd00::10", 80};

std::uint32_t crc(std::string_view text) {
  return Crc32c{}.add(Bytes(text.begin(), text.end())).value();
}

// What stands behind the IP header.
Bytes segment(const Packet& packet) {
  const auto bytes = packet.frame().bytes;
  return {bytes.begin() + static_cast<std::ptrdiff_t>(packet.l4_offset()), bytes.end()};
}

std::uint32_t sent_crc(const Packet& packet) {
  const auto bytes = segment(packet);
  return bytes.at(8) | std::uint32_t{bytes.at(9)} << 8 | std::uint32_t{bytes.at(10)} << 16 |
         std::uint32_t{bytes.at(11)} << 24;
}

}  // namespace

TEST_CASE("CRC32c has the check values that are published") {
  CHECK(crc("") == 0);
  CHECK(crc("123456789") == 0xe3069283);
  CHECK(crc("a") == 0xc1d04330);
  CHECK(Crc32c{}.add(Bytes(32, 0)).value() == 0x8a9136aa);
  CHECK(Crc32c{}.add(Bytes(32, 0xff)).value() == 0x62a8ab43);
  Bytes rising(32);
  std::iota(rising.begin(), rising.end(), std::uint8_t{});
  CHECK(Crc32c{}.add(rising).value() == 0x46dd794e);
  CHECK(Crc32c{}.add(Bytes(rising.rbegin(), rising.rend())).value() == 0x113fdb5c);
}

TEST_CASE("CRC32c of pieces is that of the whole") {
  const Bytes whole{1, 2, 3, 4, 5, 6, 7, 8, 9};
  const std::span all{whole};
  for (std::size_t at = 0; at <= whole.size(); ++at)
    CHECK(Crc32c{}.add(all.first(at)).add(all.subspan(at)).value() == Crc32c{}.add(all).value());
}

TEST_CASE("an SCTP packet is laid out as RFC 9260 says, over both families alike") {
  const auto [from, to] = GENERATE(table<Endpoint, Endpoint>({{kFrom4, kTo4}, {kFrom6, kTo6}}));
  const auto packet = Packet::sctp(from, to);
  CHECK(segment(packet) == Bytes{0x9c, 0x40, 0x00, 0x50, 0x5c, 0x1b, 0xca, 0x75,
                                 0xee, 0xa1, 0x9f, 0xda, 0x00, 0x00, 0x00, 0x0b,
                                 'm',  'e',  's',  's',  'a',  'g',  'e',  0x00});
  const std::string_view init{"\x11\x22\x33\x44\0\1\0\0\0\n\0\n\0\0\0\1", 16};
  CHECK(segment(packet.chunk(kSctpInit).tag(0).payload(init)) ==
        Bytes{0x9c, 0x40, 0x00, 0x50, 0x00, 0x00, 0x00, 0x00, 0x31, 0x9c, 0xe0,
              0x11, 0x01, 0x00, 0x00, 0x14, 0x11, 0x22, 0x33, 0x44, 0x00, 0x01,
              0x00, 0x00, 0x00, 0x0a, 0x00, 0x0a, 0x00, 0x00, 0x00, 0x01});
  CHECK(segment(packet.no_chunk().payload("")) ==
        Bytes{0x9c, 0x40, 0x00, 0x50, 0x5c, 0x1b, 0xca, 0x75, 0x2b, 0x0e, 0xef, 0x22});
}

TEST_CASE("chunks stand one behind the other, each from a whole word on") {
  const auto packet = Packet::sctp(kFrom4, kTo4).payload("x").then_chunk(kSctpAbort);
  const auto all = segment(packet);
  CHECK(Bytes(all.begin() + 12, all.end()) == Bytes{0, 0, 0, 5, 'x', 0, 0, 0, kSctpAbort, 0, 0, 4});
  const auto bare = segment(packet.no_chunk());
  CHECK(Bytes(bare.begin() + 12, bare.end()) == Bytes{'x'});
}

TEST_CASE("SCTP's checksum knows the ports, and no address") {
  const auto packet = Packet::sctp(kFrom4, kTo4);
  CHECK(sent_crc(packet) == sent_crc(packet.from_ip("192.0.2.9").to_ip("10.96.0.11")));
  CHECK(sent_crc(packet) != sent_crc(packet.from_port(40001)));
  CHECK(sent_crc(packet) != sent_crc(packet.to({kTo4.ip, 81})));
}

TEST_CASE("a wrong checksum of SCTP is wrong by what was asked for, and none is zero") {
  const auto packet = Packet::sctp(kFrom6, kTo6).payload(900);
  for (const auto by : std::vector<std::uint32_t>{1, 0x80000000, 0x12345678}) {
    CHECK((sent_crc(packet.wrong_check(by)) ^ sent_crc(packet)) == by);
    CHECK(parse(packet.wrong_check(by).frame())->l4_check_ok == false);
  }
  CHECK(parse(packet.frame())->l4_check_ok == true);
  for (const auto& none : {packet.no_check(), packet.partial()}) {
    CHECK(sent_crc(none) == 0);
    CHECK_FALSE(parse(none.frame())->l4_check_ok);
  }
}

TEST_CASE("an SCTP packet is described by its ports, its tag and its first chunk") {
  const auto packet = Packet::sctp(kFrom4, kTo4).raw();
  CHECK(describe(packet.chunk(kSctpInit).frame()) ==
        "ipv4 192.0.2.1 > 10.96.0.10 ttl 64 length 44 header check ok | sctp 40000 > 80 tag "
        "0x5c1bca75 chunk 1 | check ok");
  CHECK(describe(packet.no_chunk().payload("").trailer(5).wrong_check(1).frame()) ==
        "ipv4 192.0.2.1 > 10.96.0.10 ttl 64 length 32 header check ok | sctp 40000 > 80 tag "
        "0x5c1bca75 | check WRONG");
}

}  // namespace weir::test
