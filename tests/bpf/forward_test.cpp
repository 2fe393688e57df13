// SPDX-License-Identifier: Apache-2.0
// There and back on every path, complete bytes and counters.
#include <netinet/in.h>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

Names went(const Path& path, Names more) {
  const std::string first = path.xdp()  ? "forward_xdp"
                            : path.sent ? "forward_tc_sent"
                                        : "forward_tc";
  more.insert(more.begin(), first);
  return more;
}

Names came(const Path& path, Names more) {
  if (path.sent) return went(path, std::move(more));
  more.insert(more.begin(), "reply_tc");
  return more;
}

// `test` for each path, family and protocol.
template <class Test>
void on_every_path(const std::vector<Path>& paths, Test test) {
  for (const auto& path : paths) {
    for (const auto* world : {&kV4, &kV6}) {
      for (const std::uint8_t proto : {IPPROTO_TCP, IPPROTO_UDP}) {
        Datapath dp;
        Conversation talk{dp, *world, path, proto};
        INFO(path.name << ", IPv" << world->family << ", "
                       << (proto == IPPROTO_TCP ? "TCP" : "UDP"));
        test(dp, talk, path, proto == IPPROTO_TCP);
      }
    }
  }
}

std::vector<Path> all_paths() {
  auto paths = kTranslatedPaths;
  paths.insert(paths.end(), kSentPaths.begin(), kSentPaths.end());
  return paths;
}

}  // namespace

TEST_CASE("a connection goes to the backend and its replies come from the service") {
  on_every_path(all_paths(), [](Datapath& dp, Conversation& talk, const Path& path, bool tcp) {
    const auto opening = talk.opening();
    const auto first = talk.forward(opening);
    check(first, talk.went(), talk.forwarded(opening).frame(), went(path, {"flow_new"}));
    CHECK(dp.count_flows(talk.half_table()) == 2);

    const auto answer = talk.answer();
    check(talk.reply(answer), talk.came(), talk.translated_back(answer).frame(),
          came(path, tcp ? Names{} : Names{"flow_established"}));
    if (tcp) {
      const auto ack = talk.data().payload("");
      check(talk.forward(ack), talk.went(), talk.forwarded(ack).frame(),
            went(path, {"flow_established"}));
    }
    CHECK(dp.count_flows(talk.half_table()) == 0);
    CHECK(dp.count_flows(FlowTable::kEstablished) == 2);

    for (int i = 0; i < 3; ++i) {
      const auto data = talk.data();
      check(talk.forward(data), talk.went(), talk.forwarded(data).frame(), went(path, {}));
      const auto more = talk.more();
      check(talk.reply(more), talk.came(), talk.translated_back(more).frame(), came(path, {}));
    }
  });
}

}  // namespace weir::test
