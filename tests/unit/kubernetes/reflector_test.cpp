// SPDX-License-Identifier: Apache-2.0
// The protocol of lists and watches, from the requests that go out to the state that comes of the
// answers. What a client has to do is in Kubernetes' API concepts and client-go's reflector.
#include "unit/kubernetes/following.hpp"

namespace weir::test {
namespace {

using kubernetes::Resource;
using kubernetes::WatchState;
using Names = std::set<std::string>;

constexpr const char* kServices = Following::kServices;
constexpr const char* kSlices = Following::kSlices;

TEST_CASE("What is asked for first", "[kubernetes]") {
  Following all;
  REQUIRE(all.server.targets.size() == 3);
  const std::string stream =
      "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&";
  const std::string ours =
      "labelSelector=%21service.kubernetes.io%2Fheadless%2C%21service.kubernetes.io%2F"
      "service-proxy-name&timeoutSeconds=";
  CHECK(all.server.targets[0].starts_with("/api/v1/services" + stream + ours));
  CHECK(all.server.targets[1].starts_with("/apis/discovery.k8s.io/v1/endpointslices" + stream +
                                          ours));
  CHECK(all.server.targets[2].starts_with("/api/v1/nodes" + stream +
                                          "fieldSelector=metadata.name%3Dnode1&timeoutSeconds="));
  const auto seconds =
      std::stoi(all.server.targets[2].substr(all.server.targets[2].rfind('=') + 1));
  CHECK(seconds >= 300);
  CHECK(seconds <= 600);
}

TEST_CASE("A list by a watch is in force as a whole, at its bookmark", "[kubernetes]") {
  Following all;
  all.tell(kServices, event_json("ADDED", service_json("a", 1, "5")));
  all.tell(kServices, bookmark_json("6"));
  CHECK(all.services().empty());
  CHECK_FALSE(all.source->status(Resource::services).synced);
  all.tell(kServices, event_json("ADDED", service_json("b", 2, "7")));
  all.tell(kServices, bookmark_json("9", true));
  CHECK(all.services() == Names{"a", "b"});
  CHECK(all.status().state == WatchState::watching);
  // The same stream goes on.
  all.tell(kServices, event_json("DELETED", service_json("a", 1, "10")));
  CHECK(all.services() == Names{"b"});
  // It ends, and goes on from the last version.
  const auto id = all.request(kServices);
  all.server.end(id);
  CHECK(all.target(all.request(kServices, "watch=1")).find("resourceVersion=10&") !=
        std::string::npos);
}

TEST_CASE("Nobody is told before all three lists are complete", "[kubernetes]") {
  Following all;
  all.tell(kServices, event_json("ADDED", service_json("a", 1, "5")) + bookmark_json("9", true));
  all.tell(kSlices, bookmark_json("9", true));
  all.turn(std::chrono::milliseconds{20});
  CHECK(all.told == 0);
  CHECK_FALSE(all.source->complete());
  all.tell(Following::kNodes, bookmark_json("9", true));  // no such node: that is known then
  all.until([&] { return all.told == 1; });
  CHECK(all.source->complete());
}

TEST_CASE("An old server is listed in pages", "[kubernetes]") {
  Following all;
  all.refuse_stream(kServices);
  auto id = all.request(kServices, "limit=2");
  CHECK(all.target(id).starts_with("/api/v1/services?resourceVersion=0&limit=2&labelSelector="));
  all.server.answer(
      id, 200,
      list_json("20", service_json("a", 1, "5") + "," + service_json("b", 2, "6"), "to/ken=="));
  CHECK(all.services().empty());
  id = all.request(kServices, "continue=");
  CHECK(all.target(id).starts_with("/api/v1/services?limit=2&continue=to%2Fken%3D%3D&label"));
  CHECK(all.target(id).find("resourceVersion") == std::string::npos);
  all.server.answer(id, 200, list_json("20", service_json("c", 3, "7")));
  CHECK(all.services() == Names{"a", "b", "c"});
  id = all.request(kServices, "watch=1");
  CHECK(all.target(id).starts_with(
      "/api/v1/services?watch=1&allowWatchBookmarks=true&resourceVersion=20&labelSelector="));
}

TEST_CASE("A server that takes it for another watch is listed too", "[kubernetes]") {
  Following all;
  const auto id = all.request(kServices, "sendInitialEvents");
  all.server.head(id, 200);
  CHECK(all.request(kServices, "limit=2") != id);
  CHECK_FALSE(all.server.open.contains(id));
}

TEST_CASE("A page that has expired", "[kubernetes]") {
  Following all;
  all.refuse_stream(kServices);
  all.server.answer(all.request(kServices, "limit=2"), 200,
                    list_json("20", service_json("a", 1, "5"), "token"));
  all.server.answer(all.request(kServices, "continue="), 410, status_json(410, "Expired"));
  const auto id = all.request(kServices, "resourceVersion=0");
  CHECK(all.target(id).find("limit") == std::string::npos);
  all.server.answer(id, 200, list_json("21", service_json("b", 2, "6")));
  CHECK(all.services() == Names{"b"});
}

TEST_CASE("Versions: of events, of bookmarks, and never those of a list's items", "[kubernetes]") {
  Following all;
  all.list_all(service_json("a", 1, "99"), "");
  const auto after = [&](const std::string& version) {
    all.server.end(all.request(kServices));
    all.turn();
    return all.target(all.request(kServices, "watch=1")).find("resourceVersion=" + version + "&") !=
           std::string::npos;
  };
  all.tell(kServices, event_json("MODIFIED", service_json("a", 1, "opaque:12")));
  CHECK(after("opaque%3A12"));
  all.tell(kServices, bookmark_json("40"));
  CHECK(after("40"));
  all.tell(kServices, event_json("DELETED", service_json("a", 1, "41")));
  CHECK(after("41"));
  all.tell(kServices, event_json("SOMETHING", service_json("a", 1, "42")) + bookmark_json("43"));
  CHECK(after("43"));
  CHECK(all.services().empty());
}

TEST_CASE("A list takes the place of what was there", "[kubernetes]") {
  Following all;
  all.list_all(service_json("a", 1, "1") + "," + service_json("b", 2, "1"), "");
  all.until([&] { return all.told == 1; });
  CHECK(all.source->take_changes().services.size() == 2);
  all.tell(kServices, event_json("ERROR", status_json(410, "Expired")));
  const auto id = all.request(kServices, "resourceVersion=10");
  CHECK(all.target(id).find("limit") == std::string::npos);
  CHECK(all.services() == Names{"a", "b"});
  all.server.answer(id, 200,
                    list_json("50", service_json("b", 2, "1") + "," + service_json("c", 3, "2")));
  CHECK(all.services() == Names{"b", "c"});
  // What is as before did not change.
  CHECK(all.source->take_changes().services ==
        std::set<ObjectKey>{{"default", "a"}, {"default", "c"}});
}

TEST_CASE("410 as a status, as an event, and of the list itself", "[kubernetes]") {
  Following all;
  all.list_all(service_json("a", 1, "1"), "");
  all.server.answer(all.request(kServices, "watch=1"), 410, status_json(410, "Gone"));
  auto id = all.request(kServices, "resourceVersion=10");
  REQUIRE(all.target(id).find("watch=1") == std::string::npos);
  // Even that is too old: the newest there is.
  all.server.answer(id, 410, status_json(410, "Expired"));
  id = all.request(kServices, "resourceVersion=&");
  all.server.answer(id, 200, list_json("60", ""));
  CHECK(all.services().empty());
}

TEST_CASE("410 is no failure the first time, and one the second in a row", "[kubernetes]") {
  Following all;
  all.list_all(service_json("a", 1, "1"), "");
  const auto failures = [&] { return all.status().failures; };
  const auto before = failures();
  const auto expire = [&](bool event) {
    if (event)
      all.tell(kServices, event_json("ERROR", status_json(410, "Expired")));
    else
      all.server.answer(all.request(kServices, "watch=1"), 410, status_json(410, "Gone"));
    all.server.answer(all.request(kServices, "resourceVersion="), 200, list_json("20", ""));
  };
  expire(true);
  CHECK(failures() == before);
  expire(false);
  CHECK(failures() == before + 1);
  all.tell(kServices, bookmark_json("30"));
  expire(false);
  CHECK(failures() == before + 1);
  expire(true);
  CHECK(failures() == before + 2);
}

TEST_CASE("A server that is behind is asked for what it has", "[kubernetes]") {
  Following all;
  all.list_all(service_json("a", 1, "1"), "");
  all.server.answer(all.request(kServices, "watch=1"), 410, status_json(410, "Gone"));
  all.server.answer(
      all.request(kServices, "resourceVersion=10"), 504,
      status_json(504, "Timeout", R"("causes":[{"reason":"ResourceVersionTooLarge"}])"));
  CHECK(all.target(all.request(kServices, "resourceVersion=&")).find("watch=1") ==
        std::string::npos);
}

TEST_CASE("A server that went back in time is listed from nothing", "[kubernetes]") {
  Following all;
  all.list_all(service_json("a", 1, "1"), "");
  const auto too_large =
      status_json(504, "Timeout", R"("causes":[{"reason":"ResourceVersionTooLarge"}])");
  SECTION("as an event") {
    all.tell(kServices, event_json("ERROR", too_large));
  }
  SECTION("as a status") {
    all.server.answer(all.request(kServices, "watch=1"), 504, too_large);
  }
  const auto id = all.request(kServices, "limit=");
  CHECK(all.target(id).find("resourceVersion=&") != std::string::npos);
  all.server.answer(id, 200, list_json("3", service_json("b", 2, "2")));
  CHECK(all.services() == Names{"b"});
}

TEST_CASE("Failures of a watch go on from where it was, without a list", "[kubernetes]") {
  Following all;
  all.list_all(service_json("a", 1, "1"), "");
  const auto count = [&](std::string_view part) {
    return std::ranges::count_if(all.server.targets, [&](const std::string& target) {
      return target.starts_with(kServices) && target.find(part) != std::string::npos;
    });
  };
  const auto lists = count("limit=");
  const auto fails = [&](const std::function<void(Script::Id)>& how) {
    const auto before = all.status().failures;
    how(all.request(kServices, "watch=1"));
    CHECK(all.status().failures == before + 1);
    CHECK(all.status().state == WatchState::retrying);
    CHECK(all.services() == Names{"a"});
    all.request(kServices, "resourceVersion=10");
  };
  fails([&](Script::Id id) { all.server.end(id, fail("connection refused")); });
  CHECK(all.status().error == "connection refused");
  fails([&](Script::Id id) { all.server.answer(id, 429, "Too many requests"); });
  fails([&](Script::Id id) { all.server.answer(id, 500, "<html>"); });
  fails([&](Script::Id id) { all.server.answer(id, 200, ""); });  // ends at once
  fails([&](Script::Id id) { all.server.answer(id, 200, "rubbish"); });
  all.tell(kServices, bookmark_json("10"));
  CHECK(all.status().error.empty());
  fails([&](Script::Id id) {
    all.server.body(id, R"({"type":"ADDED","obj)");
    all.server.end(id);
  });
  fails([&](Script::Id id) {
    all.server.answer(id, 200, event_json("ERROR", status_json(500, "InternalError")));
  });
  CHECK(count("limit=") == lists);
}

TEST_CASE("A watch that keeps failing is given up for a list", "[kubernetes]") {
  Following all;
  all.list_all(service_json("a", 1, "1"), "");
  for (int i = 0; i < 5; ++i) all.server.answer(all.request(kServices, "watch=1"), 200, "rubbish");
  const auto id = all.request(kServices, "resourceVersion=10");
  CHECK(all.target(id).find("watch=1") == std::string::npos);
}

TEST_CASE("A watch is not given up while nobody can be reached", "[kubernetes]") {
  Following all;
  all.list_all(service_json("a", 1, "1"), "");
  for (int i = 0; i < 12; ++i)
    all.server.end(all.request(kServices, "watch=1"), fail("connection refused"));
  CHECK(all.target(all.request(kServices)).find("watch=1") != std::string::npos);
  CHECK(all.services() == Names{"a"});
}

TEST_CASE("Retry-After is waited for", "[kubernetes]") {
  Following all;
  all.list_all(service_json("a", 1, "1"), "");
  const auto id = all.request(kServices, "watch=1");
  all.server.head(id, 429, std::chrono::seconds{1});
  all.server.end(id);
  const auto begin = std::chrono::steady_clock::now();
  all.request(kServices, "watch=1");
  CHECK(std::chrono::steady_clock::now() - begin > std::chrono::milliseconds{900});
}

TEST_CASE("Lists that fail are asked for again, and nothing of them counts", "[kubernetes]") {
  Following all;
  all.refuse_stream(kServices);
  all.server.answer(all.request(kServices, "limit="), 500, "");
  auto id = all.request(kServices, "limit=");
  all.server.head(id, 200);
  all.server.body(id, R"({"metadata":{},"items":[)" + service_json("gone", 9, "1") + ",");
  all.server.end(id, fail("connection cut"));
  all.server.answer(all.request(kServices, "limit="), 200, "");
  all.server.answer(all.request(kServices, "limit="), 403, status_json(403, "Forbidden"));
  CHECK(all.status().error == "list: status 403: Forbidden happened");
  CHECK_FALSE(all.status().synced);
  all.server.answer(all.request(kServices, "limit="), 200, list_json("3", ""));
  CHECK(all.services().empty());
  CHECK(all.status().synced);
}

TEST_CASE("A list by a watch that breaks is a plain list the next time", "[kubernetes]") {
  Following all;
  auto id = all.request(kServices, "sendInitialEvents");
  all.server.head(id, 200);
  all.server.body(id, event_json("ADDED", service_json("gone", 9, "1")));
  all.server.end(id, fail("connection cut"));
  all.server.answer(all.request(kServices, "limit="), 200,
                    list_json("3", service_json("a", 1, "1")));
  CHECK(all.services() == Names{"a"});
  // And after that, by a watch again.
  all.server.answer(all.request(kServices, "watch=1"), 410, status_json(410, "Gone"));
  CHECK(all.target(all.request(kServices, "sendInitialEvents")).find("resourceVersion=3&") !=
        std::string::npos);
}

TEST_CASE("Slices move a service even if it comes later", "[kubernetes]") {
  Following all;
  all.list_all("", slice_json("a-1", "a", "10.1.0.1", "1"));
  all.source->take_changes();
  all.tell(kServices, event_json("ADDED", service_json("a", 1, "11")));
  CHECK(all.source->take_changes().services == std::set<ObjectKey>{{"default", "a"}});
  // To another service: both have changed.
  all.tell(kSlices, event_json("MODIFIED", slice_json("a-1", "b", "10.1.0.1", "12")));
  const auto changes = all.source->take_changes();
  CHECK(changes.services == std::set<ObjectKey>{{"default", "a"}, {"default", "b"}});
  CHECK(changes.slices == std::set<ObjectKey>{{"default", "a-1"}});
  // The same again is no change.
  all.tell(kSlices, event_json("MODIFIED", slice_json("a-1", "b", "10.1.0.1", "13")));
  CHECK(all.source->take_changes().empty());
}

TEST_CASE("Objects that are not this proxy's, and leave or join", "[kubernetes]") {
  Following all;
  all.list_all(service_json("a", 1, "1"), slice_json("lost", "", "10.1.0.1", "1"));
  CHECK(all.source->state().slices.empty());
  CHECK(all.source->problems().empty());
  all.tell(kServices,
           event_json("MODIFIED", service_json("a", 1, "2", R"(,"type":"ExternalName")")));
  CHECK(all.services().empty());
  all.tell(kServices, event_json("MODIFIED", service_json("a", 1, "3", R"(,"type":"ClusterIP")")));
  CHECK(all.services() == Names{"a"});
}

TEST_CASE("What cannot be served leaves the last good version in force", "[kubernetes]") {
  Following all;
  all.list_all(service_json("a", 1, "1"), "");
  all.tell(kServices,
           event_json("MODIFIED", service_json("a", 1, "2", R"(,"externalIPs":["nowhere"])")));
  CHECK(all.services() == Names{"a"});
  const auto problems = all.source->problems();
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].key == ObjectKey{"default", "a"});
  CHECK(problems[0].uid == "u-a");
  CHECK_THAT(problems[0].text, Catch::Contains("spec.externalIPs[0]: expected"));
  all.tell(kServices, event_json("MODIFIED", service_json("a", 1, "3")));
  CHECK(all.source->problems().empty());
  all.tell(kServices,
           event_json("MODIFIED", service_json("a", 1, "4", R"(,"externalIPs":["nowhere"])")) +
               event_json("DELETED", service_json("a", 1, "5")));
  CHECK(all.source->problems().empty());
  CHECK(all.services().empty());
}

TEST_CASE("When it happened, of slices that changed since the start", "[kubernetes]") {
  Following all;
  const auto triggered = [](const std::string& date) {
    return R"("endpoints.kubernetes.io/last-change-trigger-time":")" + date + "\"";
  };
  all.list_all(service_json("a", 1, "1"),
               slice_json("a-1", "a", "10.1.0.1", "1", triggered("2001-01-01T00:00:00Z")));
  CHECK(all.source->take_triggers().empty());
  const auto told = all.told;
  all.tell(kSlices, event_json("MODIFIED", slice_json("a-1", "a", "10.1.0.2", "2",
                                                      triggered("2101-02-03T04:05:06.25Z"))));
  all.until([&] { return all.told > told; });
  const auto triggers = all.source->take_triggers();
  REQUIRE(triggers.size() == 1);
  CHECK(triggers[0].time_since_epoch() == std::chrono::milliseconds{4136846706250});
}

}  // namespace
}  // namespace weir::test
