// SPDX-License-Identifier: Apache-2.0
#include "support/frame.hpp"

#include <vector>

#include "support/catch.hpp"
#include "support/packet.hpp"

namespace weir::test {
namespace {

const Endpoint kFrom4{"192.0.2.1", 40000};
const Endpoint kTo4{"10.96.0.10", 80};
const Endpoint kFrom6{"2001:db8::1", 40000};
const Endpoint kTo6{"fd00::10", 80};

}  // namespace

TEST_CASE("what is built is read back") {
  const auto [from, to] = GENERATE(table<Endpoint, Endpoint>({{kFrom4, kTo4}, {kFrom6, kTo6}}));
  const int proto = GENERATE(6, 17, 132);
  const auto made = proto == 6 ? Packet::tcp : proto == 17 ? Packet::udp : Packet::sctp;
  const auto base = made(from, to).ttl(7);
  const std::vector<Packet> packets{base,
                                    base.raw(),
                                    base.vlan({5}),
                                    base.vlan({5}).vlan({6}),
                                    base.options({1, 1, 1}).trailer(9),
                                    base.extension(Extension::hop_by_hop(1))
                                        .extension(Extension::routing(0, 0))
                                        .extension(Extension::authentication())
                                        .extension(Extension::destination())};
  for (const auto& packet : packets) {
    const auto parsed = parse(packet.frame());
    REQUIRE(parsed);
    CHECK(Endpoint{parsed->saddr, parsed->sport} == from);
    CHECK(Endpoint{parsed->daddr, parsed->dport} == to);
    CHECK(parsed->proto == proto);
    CHECK(parsed->ttl == 7);
    CHECK(parsed->l3 == packet.l3_offset());
    CHECK(parsed->l4 == packet.l4_offset());
    CHECK(parsed->ip_check_ok);
    CHECK(parsed->l4_check_ok == true);
  }
}

TEST_CASE("no frame makes the reader read past its end") {
  const auto packet =
      GENERATE(Packet::tcp(kFrom4, kTo4).options({1}),
               Packet::udp(kFrom6, kTo6).extension(Extension::hop_by_hop()),
               Packet::sctp(kFrom4, kTo4).payload("x"),
               Packet::tcp(kFrom6, kTo6).vlan({1}).extension(Extension::authentication()));
  const auto whole = packet.frame();
  for (std::size_t length = 0; length <= whole.bytes.size(); ++length)
    CHECK_FALSE(describe(whole.cut(length)).empty());
  CHECK_FALSE(parse(whole.cut(packet.l3_offset() + 19)));
}

TEST_CASE("a frame is described in one line and a difference byte by byte") {
  const auto packet = Packet::tcp(kFrom4, kTo4).flags(kSyn);
  CHECK(describe(packet.frame()) ==
        "02:00:00:00:00:01 > 02:00:00:00:00:02 tags 0 ipv4 192.0.2.1 > 10.96.0.10 ttl 64 length 45 "
        "header check ok | tcp 40000 > 80 [S] seq 1000 ack 2000 doff 5 | check ok");
  CHECK(describe(packet.wrong_check(1).frame()).ends_with("check WRONG"));
  CHECK(difference(packet.frame(), packet.frame()) == "no difference");
  const auto text = difference(packet.frame().with_byte(14 + 8, 63), packet.frame());
  CHECK(text.find("byte 22: 3f, wanted 40") != std::string::npos);
}

}  // namespace weir::test
