// SPDX-License-Identifier: Apache-2.0
// What is posted, how often, and what a refusal does. The server is a script.
#include "source/kubernetes/events.hpp"

#include <rapidjson/document.h>

#include <memory>

#include "folder.hpp"
#include "script.hpp"

using namespace weir;
using namespace weir::kubernetes;
using namespace std::chrono_literals;

namespace {

Notice notice(const std::string& name, const std::string& note = "no room") {
  Notice made;
  made.ns = "shop";
  made.name = name;
  made.reason = "NoRoom";
  made.note = note;
  return made;
}

struct Posts {
  explicit Posts(const Events::Pace& pace = {.burst = 25,
                                             .refill = std::chrono::minutes{1},
                                             .retry = std::chrono::minutes{1},
                                             .attempts = 12})
      : loop{EventLoop::make().value()},
        events{std::make_unique<Events>(*loop, script, "node1", pace)} {}

  // Answers whatever is open, one after the other, with this status; the notes that were posted.
  std::vector<std::string> answer(int status = 201) {
    std::vector<std::string> notes;
    while (!script.open.empty()) {
      notes.push_back(note());
      script.answer(script.open.begin()->first, status, "{}");
    }
    return notes;
  }
  [[nodiscard]] std::string note() const {
    rapidjson::Document document;
    document.Parse(script.open.begin()->second.request.body.c_str());
    return document["note"].GetString();
  }
  void run_for(std::chrono::milliseconds time) {
    REQUIRE(loop->after(1, time, [this] { loop->stop(); }));
    REQUIRE(loop->run());
  }

  std::unique_ptr<EventLoop> loop;
  test::Script script;
  test::Lines lines;
  std::unique_ptr<Events> events;
};

using Notes = std::vector<std::string>;

}  // namespace

TEST_CASE("an event's fields", "[kubernetes-events]") {
  Posts posts;
  Notice web = notice("web", "no \"room\"\n\xc3\xa4");
  web.uid = "1234";
  const auto before = std::chrono::system_clock::now();
  posts.events->report({web});
  const auto& request = posts.script.open.at(1).request;
  CHECK(request.method == "POST");
  CHECK(request.target == "/apis/events.k8s.io/v1/namespaces/shop/events");
  CHECK(request.content_type == "application/json");
  rapidjson::Document event;
  event.Parse(request.body.c_str());
  REQUIRE(event.IsObject());
  const auto text = [](const rapidjson::Value& in, const char* name) {
    return in.HasMember(name) ? in[name].GetString() : "missing";
  };
  CHECK(text(event, "apiVersion") == std::string{"events.k8s.io/v1"});
  CHECK(text(event, "kind") == std::string{"Event"});
  CHECK(text(event, "reportingController") == std::string{"weir"});
  CHECK(text(event, "reportingInstance") == std::string{"node1"});
  CHECK(text(event, "action") == std::string{"Programming"});
  CHECK(text(event, "reason") == std::string{"NoRoom"});
  CHECK(text(event, "type") == std::string{"Warning"});
  CHECK(text(event, "note") == web.note);
  CHECK(text(event["metadata"], "namespace") == std::string{"shop"});
  const std::string name = text(event["metadata"], "name");
  REQUIRE(name.starts_with("web."));
  const auto stamp = std::stoll(name.substr(4), nullptr, 16);
  CHECK(stamp >= std::chrono::nanoseconds{before.time_since_epoch()}.count());
  CHECK(stamp < std::chrono::nanoseconds{(before + 10s).time_since_epoch()}.count());
  const auto& regarding = event["regarding"];
  CHECK(text(regarding, "apiVersion") == std::string{"v1"});
  CHECK(text(regarding, "kind") == std::string{"Service"});
  CHECK(text(regarding, "namespace") == std::string{"shop"});
  CHECK(text(regarding, "name") == std::string{"web"});
  CHECK(text(regarding, "uid") == std::string{"1234"});
}

TEST_CASE("an event on the node, and one that is too long", "[kubernetes-events]") {
  Notice about;
  about.object = Notice::Object::node;
  about.name = "node1";
  about.reason = "PortTaken";
  about.type = Notice::Type::normal;
  const auto time = std::chrono::system_clock::from_time_t(1'769'860'800) + 1'020us;
  CHECK(event_json(about, "node1", time) ==
        R"({"apiVersion":"events.k8s.io/v1","kind":"Event",)"
        R"("metadata":{"name":"node1.188fcf053df31060","namespace":"default"},)"
        R"("eventTime":"2026-01-31T12:00:00.001020Z","reportingController":"weir",)"
        R"("reportingInstance":"node1","action":"Programming","reason":"PortTaken",)"
        R"("type":"Normal","regarding":{"apiVersion":"v1","kind":"Node","name":"node1",)"
        R"("uid":"node1"},"note":""})");

  about.name = std::string(230, 'n') + "." + std::string(22, 'n');
  for (int i = 0; i < 513; ++i) about.note += "\xc3\xa4";
  rapidjson::Document event;
  event.Parse(event_json(about, std::string(200, 'n'), time).c_str());
  CHECK(std::string{event["metadata"]["name"].GetString()}.size() <= 253);
  CHECK(std::string{event["reportingInstance"].GetString()}.size() == 128);
  CHECK(std::string{event["note"].GetString()}.size() == 1'024);
  about.note.insert(0, "x");
  event.Parse(event_json(about, "n", time).c_str());
  CHECK(std::string{event["note"].GetString()}.size() == 1'023);
}

TEST_CASE("once for as long as it lasts", "[kubernetes-events]") {
  Posts posts;
  posts.events->report({notice("a", "1"), notice("b", "2"), notice("a", "1")});
  CHECK(posts.script.open.size() == 1);  // one after the other
  CHECK(posts.answer() == Notes{"1", "2"});
  Notice known = notice("b", "2");
  known.uid = "known by now";
  posts.events->report({known, notice("a", "1")});
  CHECK(posts.script.open.empty());
  posts.events->report({notice("a", "1"), notice("b", "other")});
  CHECK(posts.answer() == Notes{"other"});
  posts.events->report({});
  CHECK(posts.script.open.empty());
  posts.events->report({notice("a", "1")});  // wrong again
  CHECK(posts.answer() == Notes{"1"});
}

TEST_CASE("25 at once, then one at a time", "[kubernetes-events]") {
  Posts posts{{.burst = 25, .refill = 100ms, .retry = 1min, .attempts = 12}};
  std::vector<Notice> many;
  for (int i = 0; i < 30; ++i) many.push_back(notice("s", std::to_string(i)));
  posts.events->report(many);
  CHECK(posts.answer().size() == 25);
  many.erase(many.begin() + 25);  // gone before its turn
  posts.events->report(many);
  CHECK(posts.script.open.empty());
  posts.run_for(150ms);
  CHECK(posts.answer() == Notes{"26"});
  posts.run_for(100ms);
  CHECK(posts.answer() == Notes{"27"});
}

TEST_CASE("more than it can know", "[kubernetes-events]") {
  Posts posts{{.burst = 5'000, .refill = 1min, .retry = 1min, .attempts = 12}};
  std::vector<Notice> many;
  for (int i = 0; i < 1'100; ++i) many.push_back(notice("s", std::to_string(i)));
  posts.events->report(many);
  CHECK(posts.answer().size() == 1'000);
  many.erase(many.begin(), many.begin() + 200);
  posts.events->report(many);
  CHECK(posts.answer().size() == 100);
}

TEST_CASE("not allowed is one line", "[kubernetes-events]") {
  Posts posts;
  posts.events->report({notice("a", "1"), notice("a", "2"), notice("a", "3")});
  CHECK(posts.answer(403) == Notes{"1", "2", "3"});
  posts.events->report({notice("a", "4")});
  CHECK(posts.answer(403) == Notes{"4"});
  CHECK(posts.lines.warnings ==
        Notes{"kubernetes: events cannot be posted: the API server does not allow it (403)"});
}

TEST_CASE("a server that is ill is asked again, a few times", "[kubernetes-events]") {
  Posts posts{{.burst = 25, .refill = 1min, .retry = 50ms, .attempts = 3}};
  posts.events->report({notice("a", "1"), notice("a", "2")});
  SECTION("then it is well") {
    CHECK(posts.answer(500) == Notes{"1"});
    posts.run_for(20ms);
    CHECK(posts.script.open.empty());
    posts.run_for(60ms);
    CHECK(posts.answer() == Notes{"1", "2"});
  }
  SECTION("no connection, until it is given up") {
    for (int i = 0; i < 3; ++i) {
      REQUIRE(posts.script.open.size() == 1);
      CHECK(posts.note() == "1");
      posts.script.end(posts.script.open.begin()->first, fail("cut"));
      if (i < 2) posts.run_for(80ms);
    }
    CHECK(posts.answer() == Notes{"2"});
  }
  SECTION("it says when") {
    const auto id = posts.script.open.begin()->first;
    posts.script.head(id, 429, 1s);
    posts.script.end(id);
    posts.run_for(200ms);
    CHECK(posts.script.open.empty());
    posts.run_for(900ms);
    CHECK(posts.answer() == Notes{"1", "2"});
  }
  SECTION("what is gone meanwhile is not") {
    posts.events->report({notice("a", "2")});
    CHECK(posts.answer(500) == Notes{"1", "2"});
    posts.run_for(80ms);
    CHECK(posts.answer() == Notes{"2"});
  }
  CHECK(posts.lines.warnings.empty());
}

TEST_CASE("events end with a request open", "[kubernetes-events]") {
  Posts posts;
  posts.events->report({notice("a")});
  CHECK(posts.script.open.size() == 1);
  posts.events.reset();
  CHECK(posts.script.open.empty());
}
