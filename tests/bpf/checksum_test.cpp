// SPDX-License-Identifier: Apache-2.0
// Incremental checksums against sums over the whole packet.
#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

Path path_of(const char* name) {
  for (const auto& path : all_paths())
    if (std::string_view{path.name} == name) return path;
  FAIL("no path " << name);
  return kSentPaths.front();
}

// Every client port once, on a path; how many packets came out wrong.
int sweep(const Path& path, const World& world, std::uint8_t proto) {
  Datapath dp;
  const Conversation talk{dp, world, path, proto};
  const auto opening = talk.opening();
  int wrong = 0;
  for (std::uint32_t port = 1; port <= 0xffff; ++port) {
    const auto sent = opening.from_port(static_cast<std::uint16_t>(port));
    const auto ran = dp.run_uncounted(path.forward, path.device, sent.frame());
    auto wanted = talk.forwarded(sent);
    // A source-NATed packet has the port that was drawn; otherwise the client's own.
    const auto parsed = parse(ran.out);
    if (!parsed) return -1;
    wanted = wanted.from_port(path.sent ? parsed->sport : static_cast<std::uint16_t>(port));
    if (ran.out == wanted.frame()) continue;
    if (wrong++ == 0) WARN(difference(ran.out, wanted.frame()));
  }
  return wrong;
}

}  // namespace

// An end-around carry shows in a few sums out of 65536, and so does a UDP checksum that comes to
// zero: try them all.
TEST_CASE("checksums hold for every client port") {
  // At tc the kernel's helper does the transport checksum; XDP's is weir's own, for both families.
  CHECK(sweep(path_of("uplink to a pod here"), kV4, IPPROTO_UDP) == 0);
  CHECK(sweep(path_of("uplink and back by XDP"), kV4, IPPROTO_UDP) == 0);
  CHECK(sweep(path_of("uplink and back by XDP"), kV6, IPPROTO_TCP) == 0);
}

TEST_CASE("UDP without a checksum stays without") {
  on_every(all_paths(), [](Datapath&, Conversation& talk) {
    if (talk.tcp() || !talk.v4()) return;
    const auto request = talk.opening().no_check();
    const auto ran = talk.forward(request);
    check_bytes(ran, talk.went(), talk.forwarded(request).frame());
    const auto reply = talk.answer().no_check();
    check_bytes(talk.reply(reply), talk.came(), talk.translated_back(reply).frame());
  });
}

TEST_CASE("a UDP checksum that comes to zero is sent as ones, and ones are no zero") {
  on_every(all_paths(), [](Datapath&, Conversation& talk) {
    if (talk.tcp()) return;
    talk.forward(talk.opening());  // draws the source port
    // The payload that makes the translated packet's sum come to zero, in the original packet.
    const auto plain = talk.opening().payload("??three");
    const auto wanted = talk.forwarded(plain).check_of_zero();
    const auto word = wanted.frame().bytes.at(wanted.l4_offset() + 8) * 256 +
                      wanted.frame().bytes.at(wanted.l4_offset() + 9);
    std::string payload{"??three"};
    payload[0] = static_cast<char>(word >> 8);
    payload[1] = static_cast<char>(word);
    const auto ran = talk.forward(plain.payload(payload));
    REQUIRE(wanted.frame().bytes.at(wanted.l4_offset() + 6) == 0xff);
    check_bytes(ran, talk.went(), wanted.frame());

    const auto ones = plain.check_of_zero();
    const auto sent = ones.frame();
    std::string same{"??three"};
    same[0] = static_cast<char>(sent.bytes.at(ones.l4_offset() + 8));
    same[1] = static_cast<char>(sent.bytes.at(ones.l4_offset() + 9));
    check_bytes(talk.forward(ones), talk.went(), talk.forwarded(plain.payload(same)).frame());
  });
}

TEST_CASE("a packet damaged in transit stays damaged, by as much") {
  on_every(all_paths(), [](Datapath&, Conversation& talk) {
    for (const auto by : std::vector<std::uint16_t>{1, 0x100, 0x1234, 0xfffe}) {
      const auto request = talk.opening().wrong_check(by);
      const auto ran = talk.forward(request);
      check_bytes(ran, talk.went(), talk.forwarded(request).frame());
    }
  });
}

TEST_CASE("the sum that a NIC computed over the whole packet stays right") {
  on_every(tc_paths(), [](Datapath& dp, Conversation& talk) {
    const auto& path = talk.path();
    if (path.raw()) return;  // a test run takes the sum from behind an Ethernet header
    talk.forward(talk.opening());
    for (const std::size_t size : {20U, 21U, 1000U}) {
      const auto data = talk.opening().payload(size).flags(kSyn | kAck);
      const auto there = dp.run_complete(path.forward, path.device, data.frame());
      if (!there) {
        WARN("this kernel has no test runs with CHECKSUM_COMPLETE");
        return;
      }
      check_bytes(*there, talk.went(), talk.forwarded(data).frame());
      const auto more = talk.answer().payload(size);
      const auto back = dp.run_complete(path.reply, path.reply_device, more.frame());
      check_bytes(back.value(), talk.came(), talk.translated_back(more).frame());
    }
  });
}

}  // namespace weir::test
