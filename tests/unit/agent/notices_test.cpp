// SPDX-License-Identifier: Apache-2.0
#include "agent/notices.hpp"

#include <arpa/inet.h>

#include "support/catch.hpp"

namespace weir::test {
namespace {

using kubernetes::Notice;

ServiceIdentity identity(const std::string& text) {
  return {.text = text, .protocol = Protocol::tcp, .family = Family::ipv4};
}

FrontendConflict conflict(const std::string& lost, const std::string& kept) {
  FrontendConflict one{};
  one.key.addr = Address::parse("192.0.2.7")->raw();
  one.key.port = htons(80);
  one.kept = identity(kept);
  one.lost = identity(lost);
  return one;
}

TEST_CASE("Nothing left out is no event", "[agent]") {
  CHECK(agent::notices({}, {}, "node1").empty());
}

TEST_CASE("One event for each Service, whatever it lost", "[agent]") {
  const auto all = agent::notices(
      {conflict("b/two:http", "a/one:http"), conflict("b/two", "a/one")}, {}, "node1");
  REQUIRE(all.size() == 1);
  CHECK(all[0].object == Notice::Object::service);
  CHECK(all[0].ns == "b");
  CHECK(all[0].name == "two");
  CHECK(all[0].reason == "AddressInUse");
  CHECK(all[0].note == "192.0.2.7:80 belongs to a/one:http TCP IPv4 already");
}

TEST_CASE("No room is an event of the node too", "[agent]") {
  const auto all = agent::notices(
      {}, {{identity("b/two:http"), "backends: full"}, {identity("b/three"), "backends: full"}},
      "node1");
  REQUIRE(all.size() == 3);
  CHECK(all[0].object == Notice::Object::node);
  CHECK(all[0].name == "node1");
  CHECK(all[0].reason == "NoRoomForServices");
  CHECK(
      all[0].note ==
      "service ports that are not programmed: 2; the first is b/two:http TCP IPv4: backends: full");
  CHECK(all[1].name == "three");
  CHECK(all[2].name == "two");
  CHECK(all[2].note == "backends: full");
}

TEST_CASE("A health check that cannot be asked has kube-proxy's reason", "[agent]") {
  const auto all = agent::notices({{ObjectKey{"b", "two"}, "listen on 0.0.0.0:31000: in use"}});
  REQUIRE(all.size() == 1);
  CHECK(all[0].name == "two");
  CHECK(all[0].reason == "FailedToStartServiceHealthcheck");
  CHECK(all[0].note == "listen on 0.0.0.0:31000: in use");
}

}  // namespace
}  // namespace weir::test
