// SPDX-License-Identifier: Apache-2.0
#include "model/address.hpp"

#include <arpa/inet.h>

#include <array>
#include <cstring>
#include <random>
#include <string>

#include "support/catch.hpp"

using weir::Address;
using weir::Cidr;
using weir::Family;

namespace {

std::string normal(std::string_view text) {
  const auto address = Address::parse(text);
  return address ? address->to_string() : "none";
}

std::string block(std::string_view text) {
  const auto cidr = Cidr::parse(text);
  return cidr ? cidr->to_string() : "none";
}

Address at(std::string_view text) {
  return Address::parse(text).value();
}

}  // namespace

TEST_CASE("addresses are read and written in one form") {
  CHECK(normal("10.0.0.1") == "10.0.0.1");
  CHECK(normal("0.0.0.0") == "0.0.0.0");
  CHECK(normal("255.255.255.255") == "255.255.255.255");
  CHECK(normal("::") == "::");
  CHECK(normal("::1") == "::1");
  CHECK(normal("1::") == "1::");
  CHECK(normal("FD00:0:0:0:0:0:0:A") == "fd00::a");
  // RFC 5952: the longest run, the first of equals, and never a single group.
  CHECK(normal("2001:db8:0:0:1:0:0:1") == "2001:db8::1:0:0:1");
  CHECK(normal("2001:0:0:1:0:0:0:1") == "2001:0:0:1::1");
  CHECK(normal("2001:db8:0:1:1:1:1:1") == "2001:db8:0:1:1:1:1:1");
  CHECK(normal("::1:2") == "::1:2");
  CHECK(normal("::ffff:10.0.0.1") == "10.0.0.1");
  CHECK(normal("64:ff9b::192.0.2.1") == "64:ff9b::c000:201");
}

TEST_CASE("leading zeros of an octet are decimal", "[1.1/sloppy-ips]") {
  CHECK(normal("172.30.0.041") == "172.30.0.41");
  CHECK(normal("010.000.0.010") == "10.0.0.10");
  CHECK(normal("0000000010.0.0.1") == "10.0.0.1");
  CHECK(normal("::ffff:010.0.0.01") == "10.0.0.1");
  CHECK(block("203.0.113.000/025") == "203.0.113.0/25");
}

TEST_CASE("what is no address is refused") {
  const std::string with_nul{"10.0.0.1\0", 9};
  const std::string nul_after_v6{"::1\0x", 5};
  for (const std::string& text : {std::string{},
                                  std::string{"10.0.0"},
                                  std::string{"10.0.0.0.1"},
                                  std::string{"10.0.0.256"},
                                  std::string{"10.0.0.-1"},
                                  std::string{"10.0.0.0x1"},
                                  std::string{" 10.0.0.1"},
                                  std::string{"10.0.0.1 "},
                                  std::string{"10.0.0."},
                                  std::string{".0.0.1"},
                                  std::string{"10..0.1"},
                                  std::string{"99999999999999999999.0.0.1"},
                                  std::string{":"},
                                  std::string{":::"},
                                  std::string{"1::2::3"},
                                  std::string{"12345::"},
                                  std::string{"fe80::1%eth0"},
                                  std::string{"g::"},
                                  std::string{"::10.0.0"},
                                  std::string{"::ffff:10.0.0.256"},
                                  std::string{"[::1]"},
                                  std::string{"localhost"},
                                  with_nul,
                                  nul_after_v6}) {
    CAPTURE(text);
    CHECK_FALSE(Address::parse(text));
  }
}

TEST_CASE("an address agrees with inet_pton and inet_ntop where those are right") {
  std::mt19937 random{7};
  for (int i = 0; i < 2'000; ++i) {
    std::array<std::uint8_t, 16> bytes{};
    // Many zero groups, since they are what is abbreviated; no address of a mapped or
    // compatible block.
    for (std::size_t j = 0; j < 16; j += 2)
      if (j == 0 || random() % 2) bytes[j + 1] = static_cast<std::uint8_t>(1 + random() % 255);
    std::array<char, INET6_ADDRSTRLEN> text{};
    REQUIRE(inet_ntop(AF_INET6, bytes.data(), text.data(), text.size()) != nullptr);
    const Address address = at(text.data());
    CHECK(std::memcmp(&address.raw(), bytes.data(), 16) == 0);
    CHECK(address.to_string() == text.data());
  }
}

TEST_CASE("families, and what an address is") {
  CHECK(at("10.0.0.1").family() == Family::ipv4);
  CHECK(at("::ffff:10.0.0.1").family() == Family::ipv4);
  CHECK(at("::10.0.0.1").family() == Family::ipv6);
  CHECK(Address{}.family() == Family::ipv6);
  CHECK(Address::unspecified(Family::ipv4).to_string() == "0.0.0.0");
  CHECK(Address::unspecified(Family::ipv6).to_string() == "::");
  CHECK(at("0.0.0.0").is_unspecified());
  CHECK(at("::").is_unspecified());
  CHECK_FALSE(at("0.0.0.1").is_unspecified());
  CHECK(at("127.255.0.1").is_loopback());
  CHECK(at("::1").is_loopback());
  CHECK_FALSE(at("128.0.0.1").is_loopback());
  CHECK_FALSE(at("::2").is_loopback());
  CHECK(at("169.254.1.1").is_link_local());
  CHECK(at("febf::1").is_link_local());
  CHECK_FALSE(at("fec0::1").is_link_local());
  CHECK_FALSE(at("169.253.1.1").is_link_local());
  CHECK(at("224.0.0.1").is_multicast());
  CHECK(at("239.255.255.255").is_multicast());
  CHECK(at("ff02::1").is_multicast());
  CHECK_FALSE(at("240.0.0.1").is_multicast());
  CHECK_FALSE(at("223.255.255.255").is_multicast());
}

TEST_CASE("blocks are read strictly") {
  CHECK(block("10.96.0.0/12") == "10.96.0.0/12");
  CHECK(block("0.0.0.0/0") == "0.0.0.0/0");
  CHECK(block("10.0.0.1/32") == "10.0.0.1/32");
  CHECK(block("fd00:96::/108") == "fd00:96::/108");
  CHECK(block("::/0") == "::/0");
  for (const auto* text : {"10.96.0.0", "10.96.0.0/", "10.96.0.0/33", "10.96.0.1/12", "fd00::1/64",
                           "fd00::/129", "10.96.0.0/-1", "10.96.0.0/12/3", "/12", "10.96.0.0/ 12",
                           "::ffff:10.0.0.0/104", "10.97.0.0/15"}) {
    CAPTURE(text);
    CHECK_FALSE(Cidr::parse(text));
  }
}

TEST_CASE("a block contains the addresses of its family and bits") {
  const auto v4 = Cidr::parse("10.96.0.0/12").value();
  CHECK(v4.contains(at("10.96.0.0")));
  CHECK(v4.contains(at("10.111.255.255")));
  CHECK_FALSE(v4.contains(at("10.112.0.0")));
  CHECK_FALSE(v4.contains(at("10.95.255.255")));
  CHECK_FALSE(v4.contains(at("fd00::1")));
  const auto all = Cidr::parse("0.0.0.0/0").value();
  CHECK(all.contains(at("255.1.2.3")));
  CHECK_FALSE(all.contains(at("::1")));
  const auto everything = Cidr::parse("::/0").value();
  CHECK(everything.contains(at("::1")));
  CHECK_FALSE(everything.contains(at("10.0.0.1")));
  CHECK(Cidr::parse("fd00::/9").value().contains(at("fd7f::1")));
  CHECK_FALSE(Cidr::parse("fd00::/9").value().contains(at("fd80::1")));
}

TEST_CASE("an endpoint is written so that its port can be told") {
  CHECK(weir::endpoint_text(at("10.0.0.1"), 80) == "10.0.0.1:80");
  CHECK(weir::endpoint_text(at("fd00::1"), 65'535) == "[fd00::1]:65535");
}

TEST_CASE("addresses are ordered by their bytes") {
  CHECK(at("9.0.0.0") < at("10.0.0.0"));
  CHECK(at("10.0.0.0") < at("fd00::"));
  CHECK(at("::2") < at("10.0.0.0"));  // ::ffff:10.0.0.0
  CHECK(at("10.0.0.1") == at("::ffff:10.0.0.1"));
}
