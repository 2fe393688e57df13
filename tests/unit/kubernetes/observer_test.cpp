// SPDX-License-Identifier: Apache-2.0
// What metrics and status are told of the way it goes with the API.
#include "unit/kubernetes/following.hpp"

namespace weir::test {
namespace {

constexpr const char* kServices = Following::kServices;

TEST_CASE("An observer hears of states, lists, bytes and why a watch ended", "[kubernetes]") {
  using kubernetes::WatchEnd;
  Following all;
  all.list_all(service_json("a", 1, "1"), "");
  CHECK(all.observer.of_services == std::vector<std::string>{"listing", "listed"});
  all.observer.of_services.clear();
  all.observer.ends.clear();
  all.observer.bytes = 0;
  all.tell(kServices, bookmark_json("11"));
  CHECK(all.observer.bytes == bookmark_json("11").size());
  all.server.end(all.request(kServices, "watch=1"));  // with an event: in its time
  const auto ends = [&](int status, std::string_view body, const Result<>& how) {
    const auto id = all.request(kServices, "watch=1");
    if (status != 0) all.server.head(id, status);
    if (all.server.open.contains(id) && (body.empty() || all.server.body(id, body)))
      all.server.end(id, how);
  };
  ends(0, "", fail(ECONNREFUSED, "GET"));
  ends(200, "", fail(ETIMEDOUT, "GET"));
  ends(200, "rubbish", {});
  ends(429, "", {});
  ends(503, "", {});
  ends(410, "", {});
  CHECK(all.observer.ends == std::vector<WatchEnd>{WatchEnd::ended, WatchEnd::connection,
                                                   WatchEnd::silent, WatchEnd::content,
                                                   WatchEnd::throttled, WatchEnd::status,
                                                   WatchEnd::expired});
  CHECK(std::vector<std::string>(all.observer.of_services.begin(),
                                 all.observer.of_services.begin() + 6) ==
        std::vector<std::string>{"watching", "restarted", "restarted", "retrying", "watching",
                                 "restarted"});
}

}  // namespace
}  // namespace weir::test
