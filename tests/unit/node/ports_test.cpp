// SPDX-License-Identifier: Apache-2.0
#include "node/sysctl.hpp"
#include "support/catch.hpp"

namespace weir::node {
namespace {

using Ports = std::vector<PortRange>;

}  // namespace

TEST_CASE("port lists are read and written as the kernel does") {
  CHECK(parse_ports("").value().empty());
  CHECK(parse_ports("\n").value().empty());
  CHECK(parse_ports("80").value() == Ports{{80, 80}});
  CHECK(parse_ports("80,8000-8010\n").value() == Ports{{80, 80}, {8000, 8010}});
  CHECK(parse_ports("0-65535").value() == Ports{{0, 65535}});
  CHECK(format_ports({}).empty());
  CHECK(format_ports({{80, 80}, {8000, 8010}}) == "80,8000-8010");
}

TEST_CASE("what is no port list is an error that shows the part") {
  for (const auto* text : {"x", "80-", "-80", "80-70", "65536", "80;81", "1-2-3", ",", "+5"}) {
    INFO(text);
    CHECK_FALSE(parse_ports(text));
  }
  CHECK(parse_ports("80,7x,90").error().message() == "ports \"7x\": expected PORT or FIRST-LAST");
}

TEST_CASE("overlapping and adjacent ranges are joined") {
  CHECK(joined({}).empty());
  CHECK(joined({{20, 30}, {10, 15}, {16, 18}, {25, 40}, {22, 23}}) == Ports{{10, 18}, {20, 40}});
  CHECK(joined({{65535, 65535}, {65000, 65534}}) == Ports{{65000, 65535}});
}

TEST_CASE("ports that are in both lists") {
  CHECK(common({{1, 10}}, {{11, 20}}).empty());
  CHECK(common({{1, 10}}, {{10, 20}}) == Ports{{10, 10}});
  CHECK(common({{1, 100}}, {{5, 6}, {90, 200}}) == Ports{{5, 6}, {90, 100}});
}

TEST_CASE("reservation of the source ports") {
  const Ports source{{61000, 65535}, {1024, 29999}};
  const PortRange node_ports{30000, 32767};

  SECTION("nothing to do with the kernel's default range but its top") {
    const auto plan = plan_reservation(source, {32768, 60999}, {}, node_ports);
    CHECK(plan == Reservation{});
  }
  SECTION("a wider range, and what is reserved already stays") {
    const auto plan = plan_reservation(source, {20000, 65535}, {{8080, 8080}}, node_ports);
    CHECK(plan.reserved == Ports{{8080, 8080}, {20000, 29999}, {61000, 65535}});
    CHECK(plan.added == Ports{{20000, 29999}, {61000, 65535}});
    CHECK(plan.contradicts.empty());
  }
  SECTION("only what is missing is added") {
    const auto plan = plan_reservation(
        source, {20000, 65535}, {{61000, 62000}, {64000, 65535}, {20000, 29999}}, node_ports);
    CHECK(plan.added == Ports{{62001, 63999}});
    CHECK(plan.reserved == Ports{{20000, 29999}, {61000, 65535}});
  }
  SECTION("nothing is added the second time") {
    const auto plan =
        plan_reservation(source, {1024, 65535}, {{1024, 29999}, {61000, 65535}}, node_ports);
    CHECK(plan.added.empty());
  }
  SECTION("source ports among the node ports") {
    const auto plan = plan_reservation({{31000, 40000}}, {50000, 60000}, {}, node_ports);
    CHECK(plan.contradicts == Ports{{31000, 32767}});
    CHECK(plan.added.empty());
  }
}

}  // namespace weir::node
