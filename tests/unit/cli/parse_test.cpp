// SPDX-License-Identifier: Apache-2.0
#include "cli/parse.hpp"

#include "support/catch.hpp"

using namespace weir;
using namespace weir::cli;
using std::chrono::seconds;

TEST_CASE("durations") {
  const std::vector<std::pair<std::string, int>> good{
      {"1s", 1},       {"30s", 30},    {"5m", 300},   {"24h", 86'400},
      {"1h30m", 5400}, {"1h1s", 3601}, {"120s", 120}, {"8760h", 31'536'000}};
  for (const auto& [text, expected] : good) {
    INFO(text);
    const auto value = parse_duration(text);
    REQUIRE(value);
    CHECK(*value == seconds{expected});
  }
  for (const std::string text :
       {"", "30", "s", "30x", "-5s", "5 s", "1.5h", "0s", "8761h", "30s5m", "5m5m", "5ms", "1h-5m",
        "99999999999999999999s", "18446744073709551615h", "5S", "+5s"}) {
    INFO(text);
    const auto value = parse_duration(text);
    REQUIRE_FALSE(value);
    CHECK(value.error().message() ==
          text + ": expected a duration like 30s, 5m or 24h, of 1s to a year");
  }
}

TEST_CASE("ranges of ports") {
  CHECK(parse_port_range("30000-32767") == agent::PortRange{30'000, 32'767});
  CHECK(parse_port_range("1-65535") == agent::PortRange{1, 65'535});
  CHECK(parse_port_range("80") == agent::PortRange{80, 80});
  for (const std::string text : {"", "-", "80-", "-80", "0-80", "80-65536", "81-80", "80-90-100",
                                 "80:90", "a-b", " 80-90"}) {
    INFO(text);
    const auto value = parse_port_range(text);
    REQUIRE_FALSE(value);
    CHECK(value.error().message() == text + ": expected a range of ports like 30000-32767");
  }
}

TEST_CASE("numbers have bounds") {
  CHECK(parse_number("1", 1, 10) == 1U);
  CHECK(parse_number("10", 1, 10) == 10U);
  for (const std::string text : {"0", "11", "", "-1", "1x", "99999999999999999999"}) {
    INFO(text);
    const auto value = parse_number(text, 1, 10);
    REQUIRE_FALSE(value);
    CHECK(value.error().message() == text + ": expected a number from 1 to 10");
  }
}

TEST_CASE("blocks: an address alone is the block of it") {
  CHECK(parse_block("10.0.0.0/8")->to_string() == "10.0.0.0/8");
  CHECK(parse_block("10.0.0.1")->to_string() == "10.0.0.1/32");
  CHECK(parse_block("fd00::1")->to_string() == "fd00::1/128");
  for (const auto* text : {"", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "fd00::/129", "eth0"})
    CHECK_FALSE(parse_block(text));
}

TEST_CASE("ends of flows: with or without a port, or a block") {
  const auto plain = parse_end("10.0.0.1");
  REQUIRE(plain);
  CHECK(plain->block.to_string() == "10.0.0.1/32");
  CHECK_FALSE(plain->port);

  const auto with_port = parse_end("10.0.0.1:80");
  REQUIRE(with_port);
  CHECK(with_port->block.to_string() == "10.0.0.1/32");
  CHECK(with_port->port == 80);

  const auto six = parse_end("[fd00::1]:443");
  REQUIRE(six);
  CHECK(six->block.to_string() == "fd00::1/128");
  CHECK(six->port == 443);

  CHECK(parse_end("10.0.0.0/8")->block.to_string() == "10.0.0.0/8");
  CHECK(parse_end("fd00::1:80")->block.to_string() == "fd00::1:80/128");
  for (const std::string text : {"", ":80", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536",
                                 "[10.0.0.1]:80", "[fd00::1]", "10.0.0.0/8:80", "web:80"}) {
    INFO(text);
    const auto value = parse_end(text);
    REQUIRE_FALSE(value);
    CHECK(value.error().message() == text + ": expected IP, IP:PORT, [IPv6]:PORT or a block");
  }
}

TEST_CASE("services: a namespace, a name and perhaps a port") {
  const auto plain = parse_service("default/web");
  REQUIRE(plain);
  CHECK(plain->service == "default/web");
  CHECK(plain->port.empty());
  const auto with_port = parse_service("default/web:http");
  REQUIRE(with_port);
  CHECK(with_port->service == "default/web");
  CHECK(with_port->port == "http");
  for (const auto* text : {"", "web", "/web", "default/", "default/web:", "a/b/c", "web:a/b", "/"})
    CHECK_FALSE(parse_service(text));
}
