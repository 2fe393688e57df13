// SPDX-License-Identifier: Apache-2.0
#include "node/sysctl.hpp"
#include "sandbox.hpp"
#include "support/catch.hpp"

namespace weir::node {
namespace {

using Ports = std::vector<PortRange>;
constexpr PortRange kNodePorts{30000, 32767};
const Ports kSourcePorts{{61000, 65535}, {1024, 29999}};
constexpr const char* kReserved = "net/ipv4/ip_local_reserved_ports";
constexpr const char* kLocal = "net/ipv4/ip_local_port_range";

}  // namespace

TEST_CASE("settings of the namespace") {
  const Sandbox sandbox;
  REQUIRE(write_sysctl("net/ipv4/ip_forward", "0"));
  CHECK_FALSE(forwarding().value().ipv4);
  REQUIRE(write_sysctl("net/ipv4/ip_forward", "1"));
  REQUIRE(write_sysctl("net/ipv6/conf/all/forwarding", "1"));
  CHECK(forwarding().value().ipv4);
  CHECK(forwarding().value().ipv6);
  REQUIRE(write_sysctl(kLocal, "20000 50000"));
  CHECK(local_port_range().value() == PortRange{20000, 50000});
  CHECK(read_sysctl("net/ipv4/nonsense").error().code() == std::errc::no_such_file_or_directory);
  CHECK(read_sysctl("net/ipv4/nonsense").error().message() ==
        "open sysctl net/ipv4/nonsense: No such file or directory");
  CHECK_FALSE(write_sysctl(kReserved, "nonsense"));
}

TEST_CASE("source ports are reserved once, beside what was there") {
  const Sandbox sandbox;
  REQUIRE(write_sysctl(kLocal, "20000 65535"));
  REQUIRE(write_sysctl(kReserved, "8080,22000-22010"));
  const auto first = reserve_ports(kSourcePorts, kNodePorts);
  REQUIRE(first);
  CHECK(first->added == Ports{{20000, 21999}, {22011, 29999}, {61000, 65535}});
  CHECK(read_sysctl(kReserved).value() == "8080,20000-29999,61000-65535");
  const auto second = reserve_ports(kSourcePorts, kNodePorts);
  REQUIRE(second);
  CHECK(second->added.empty());
}

TEST_CASE("nothing is written where nothing overlaps") {
  const Sandbox sandbox;
  REQUIRE(write_sysctl(kLocal, "32768 60999"));
  REQUIRE(write_sysctl(kReserved, "8080"));
  CHECK(reserve_ports(kSourcePorts, kNodePorts).value().added.empty());
  CHECK(read_sysctl(kReserved).value() == "8080");
}

TEST_CASE("a long list of reserved ports, of which the kernel takes a page at a time") {
  const Sandbox sandbox;
  Ports odd;
  for (unsigned port = 33001; port < 39000; port += 2)
    odd.push_back({static_cast<std::uint16_t>(port), static_cast<std::uint16_t>(port)});
  REQUIRE(write_sysctl(kLocal, "32768 65535"));
  REQUIRE(write_sysctl(kReserved, format_ports(odd)));
  REQUIRE(parse_ports(read_sysctl(kReserved).value()).value() == odd);
  REQUIRE(reserve_ports(kSourcePorts, kNodePorts));
  auto wanted = odd;
  wanted.push_back({61000, 65535});
  CHECK(parse_ports(read_sysctl(kReserved).value()).value() == wanted);
}

}  // namespace weir::node
