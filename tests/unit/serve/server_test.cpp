// SPDX-License-Identifier: Apache-2.0
// Live servers on loopback, asked by a client that knows nothing of HTTP but what is sent here.
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/log.hpp"
#include "http_client.hpp"
#include "serve/health_server.hpp"

using namespace weir;
using namespace weir::serve;
using namespace std::chrono_literals;
using test::Clock, test::ask, test::dial, test::exchange, test::free_port, test::kGet;
using test::occupy, test::read_all, test::until;

namespace {

// What the server's thread says, but for debug.
class Lines {
 public:
  Lines() {
    log::set_sink([this](log::Level level, std::string_view text) {
      const std::lock_guard lock{mutex_};
      if (level >= log::Level::info) lines_.emplace_back(text);
    });
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  ~Lines() { log::set_sink({}); }
  [[nodiscard]] std::vector<std::string> all() const {
    const std::lock_guard lock{mutex_};
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

Site site(const std::string& name, const char* address, std::uint16_t port) {
  return {name, {Address::parse(address).value(), port}, [name](std::string_view path) {
            return Reply{.status = 200, .headers = {}, .body = name + std::string{path}};
          }};
}

std::unique_ptr<HttpServer> start(const HttpEngine::Limits& limits = {}) {
  auto server = HttpServer::start(limits);
  REQUIRE(server);
  return std::move(*server);
}

std::unique_ptr<HealthServer> start_health(std::optional<ListenAddress> healthz) {
  static Metrics metrics;
  auto server = HealthServer::start({.healthz = healthz, .metrics = {}}, metrics);
  REQUIRE(server);
  return std::move(*server);
}

}  // namespace

TEST_CASE("every method is answered, any path, with the headers that belong to it",
          "[1.2/health-check-answer]") {
  const auto port = free_port();
  const auto server = start_health(std::nullopt);
  server->updated();
  server->serve({{{"shop", "web"}, port, 2}}, {Address::parse("127.0.0.1").value()});
  REQUIRE(until([&] { return static_cast<bool>(dial(port)); }));
  const std::string body =
      "{\n\t\"service\": {\n\t\t\"namespace\": \"shop\",\n\t\t\"name\": \"web\"\n\t},\n"
      "\t\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": true\n}";
  const auto got = ask(port, "/any/path?x=1");
  CHECK(got.head.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(got.head.find("\r\nContent-Type: application/json\r\n") != std::string::npos);
  CHECK(got.head.find("\r\nX-Content-Type-Options: nosniff\r\n") != std::string::npos);
  CHECK(got.head.find("\r\nX-Load-Balancing-Endpoint-Weight: 2\r\n") != std::string::npos);
  CHECK(got.head.find("\r\nContent-Length: " + std::to_string(body.size()) + "\r\n") !=
        std::string::npos);
  CHECK(got.body == body);
  const auto sent = [&](const std::string& request) { return exchange(dial(port).get(), request); };
  const auto head = sent("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(head.status == "200");
  CHECK(head.head.find("Content-Length: " + std::to_string(body.size())) != std::string::npos);
  CHECK(head.body.empty());
  CHECK(sent("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").body == body);
  // One that looks for the answer only after all of a body that takes its time.
  const auto slow = dial(port);
  const std::string headers = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";
  for (const auto& piece : {headers, std::string(30'000, 'x'), std::string(29'999, 'x')}) {
    REQUIRE(send(slow.get(), piece.data(), piece.size(), MSG_NOSIGNAL) > 0);
    std::this_thread::sleep_for(20ms);
  }
  CHECK(exchange(slow.get(), "x").body == body);
  CHECK(sent("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n").body == body);
  CHECK(sent("BREW / HTTP/1.1\r\nHost: a\r\n\r\n").body == body);
  CHECK(sent("GET / HTTP/1.0\r\n\r\n").body == body);
  server->serve({{{"shop", "web"}, port, 0}}, {Address::parse("127.0.0.1").value()});
  CHECK(until([&] { return ask(port).status == "503"; }));
  CHECK(ask(port).head.find("\r\nX-Load-Balancing-Endpoint-Weight: 0\r\n") != std::string::npos);
}

TEST_CASE("rubbish is refused, and those after it are served") {
  const auto port = free_port();
  const auto server = start({.silence_seconds = 1});
  server->serve({site("a", "127.0.0.1", port)});
  REQUIRE(until([&] { return ask(port).status == "200"; }));
  for (const std::string& bad :
       {std::string{"\0\0\0\r\n\r\n", 7}, std::string{"GET\r\n\r\n"},
        "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n",
        "GET /" + std::string(100'000, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n",
        std::string{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}}) {
    const auto before = Clock::now();
    exchange(dial(port).get(), bad);
    CHECK(Clock::now() - before < 5s);
    CHECK(ask(port).status == "200");
  }
}

TEST_CASE("/healthz and /livez, and nothing else there") {
  const auto port = free_port();
  const auto server = start_health(ListenAddress{Address::parse("127.0.0.1").value(), port});
  REQUIRE(until([&] { return ask(port, "/livez").status == "200"; }));
  CHECK(ask(port, "/healthz").status == "200");
  CHECK(ask(port, "/healthz?verbose").status == "200");
  CHECK(ask(port, "/").status == "404");
  CHECK(ask(port, "/healthz/").status == "404");
  CHECK(ask(port, "/healthz").body.find("\"nodeEligible\": true") != std::string::npos);
  server->set_eligible(false);
  CHECK(ask(port, "/healthz").status == "503");
  CHECK(ask(port, "/livez").status == "200");
  server->set_eligible(true);
  CHECK(ask(port, "/healthz").status == "200");
  // A node without tables: the agent is well, and nobody should come here.
  server->set_programmed(false);
  CHECK(ask(port, "/healthz").status == "503");
  CHECK(ask(port, "/healthz").body.find("\"healthy\": false") != std::string::npos);
  CHECK(ask(port, "/livez").status == "200");
  server->set_programmed(true);
  CHECK(ask(port, "/healthz").status == "200");
}

TEST_CASE("checks that nobody can ask are known by their Service") {
  const auto port = free_port();
  const auto thief = occupy(port);
  const auto server = start_health({});
  server->serve({{{"shop", "web"}, port, 1}}, {Address::parse("127.0.0.1").value()});
  REQUIRE(until([&] { return server->unopened().size() == 1; }));
  CHECK(server->unopened().begin()->first == ObjectKey{"shop", "web"});
  CHECK(server->unopened().begin()->second ==
        "listen on 127.0.0.1:" + std::to_string(port) + ": bind: Address already in use");
  server->serve({}, {});
  CHECK(until([&] { return server->unopened().empty(); }));
}

TEST_CASE("answers do not wait for a sync that takes long") {
  const auto port = free_port();
  const auto check_port = free_port();
  const auto server = start_health(ListenAddress{Address::parse("127.0.0.1").value(), port});
  server->updated();
  server->serve({{{"shop", "web"}, check_port, 1}}, {Address::parse("127.0.0.1").value()});
  REQUIRE(until([&] { return ask(check_port).status == "200"; }));
  std::atomic<bool> syncing{true};
  std::atomic<int> good{0};
  std::thread client{[&] {
    while (syncing)
      if (ask(port, "/livez").status == "200" && ask(check_port).status == "200") ++good;
  }};
  server->queued();
  // The agent's thread, which has no time for anybody.
  for (const auto end = Clock::now() + 500ms; Clock::now() < end;) continue;
  const int during = good;
  syncing = false;
  client.join();
  CHECK(during > 5);
}

TEST_CASE("addresses: one of several, all of a family, all of both") {
  const auto port = free_port();
  const auto server = start();
  server->serve({site("one", "127.0.0.1", port), site("two", "127.0.0.2", port)});
  REQUIRE(until([&] { return ask(port).body == "one/"; }));
  CHECK(ask(port, "/x", "127.0.0.2").body == "two/x");
  CHECK(ask(port, "/", "127.0.0.3").status == "refused");
  CHECK(ask(port, "/", "::1").status == "refused");
  server->serve({site("six", "::1", port)});
  REQUIRE(until([&] { return ask(port, "/", "::1").body == "six/"; }));
  CHECK(ask(port).status == "refused");
  for (const auto* any : {"0.0.0.0", "::"}) {
    server->serve({site(any, any, port)});
    REQUIRE(until([&] { return ask(port, "/", "127.0.0.3").body == std::string{any} + "/"; }));
    CHECK(ask(port, "/", "::1").body == std::string{any} + "/");
  }
}

TEST_CASE("a port that changes is closed here and opened there", "[1.2/health-check-port-change]") {
  Lines lines;
  const auto first = free_port();
  auto second = free_port();
  while (second == first) second = free_port();
  const auto server = start();
  server->serve({site("a", "127.0.0.1", first)});
  REQUIRE(until([&] { return ask(first).body == "a/"; }));
  // Open and silent while its service goes: it is nobody's.
  const auto old = dial(first);
  std::this_thread::sleep_for(20ms);
  server->serve({site("a", "127.0.0.1", second)});
  REQUIRE(until([&] { return ask(second).body == "a/"; }));
  CHECK(ask(first).status == "refused");
  CHECK(exchange(old.get(), kGet).status == "closed");
  // Another service takes both ports over in one step.
  server->serve({site("b", "127.0.0.1", second), site("c", "127.0.0.1", first)});
  REQUIRE(until([&] { return ask(first).body == "c/"; }));
  CHECK(ask(second).body == "b/");
  server->serve({});
  REQUIRE(until([&] { return ask(first).status == "refused"; }));
  CHECK(ask(second).status == "refused");
  CHECK(lines.all().empty());
}

TEST_CASE("a port that somebody else has is said once, tried again, and said when it is free",
          "[1.2/health-check-bind-failure]") {
  Lines lines;
  const auto port = free_port();
  auto other = free_port();
  while (other == port) other = free_port();
  auto thief = occupy(port);
  const auto server = start();
  const std::vector<Site> both{site("a", "127.0.0.1", port), site("b", "127.0.0.1", other)};
  for (int i = 0; i < 3; ++i) {
    server->serve(both);
    REQUIRE(until([&] { return ask(other).body == "b/"; }));
    std::this_thread::sleep_for(20ms);
  }
  std::this_thread::sleep_for(1'200ms);  // the timer's own try
  const std::string at = "a: listen on 127.0.0.1:" + std::to_string(port);
  const std::vector<std::string> said{at + ": bind: Address already in use; it is tried again"};
  CHECK(lines.all() == said);
  REQUIRE(server->unopened().size() == 1);
  CHECK(server->unopened()[0].name == "a");
  CHECK(server->unopened()[0].at.port == port);
  CHECK(server->unopened()[0].why == "bind: Address already in use");
  SECTION("with the next sync") {
    thief = UniqueFd{};
    const auto freed = Clock::now();
    server->serve(both);
    REQUIRE(until([&] { return ask(port).body == "a/"; }));
    CHECK(Clock::now() - freed < 500ms);
  }
  SECTION("by itself") {
    thief = UniqueFd{};
    REQUIRE(until([&] { return ask(port).body == "a/"; }));
  }
  CHECK(until([&] { return lines.all().size() == 2; }));
  CHECK(until([&] { return server->unopened().empty(); }));
  CHECK(lines.all().back() == "a: listens on 127.0.0.1:" + std::to_string(port) + " now");
  // Lost and taken again: a new failure is a new line.
  server->serve({both[1]});
  REQUIRE(until([&] { return ask(port).status == "refused"; }));
  thief = occupy(port);
  server->serve(both);
  CHECK(until([&] { return lines.all().size() == 3; }));
}

TEST_CASE("two services that claim one port: the first has it, the other is said") {
  Lines lines;
  const auto port = free_port();
  const auto server = start();
  server->serve({site("b", "127.0.0.1", port), site("a", "127.0.0.1", port)});
  REQUIRE(until([&] { return ask(port).body == "a/"; }));
  CHECK(until([&] { return lines.all().size() == 1; }));
  server->serve({site("b", "127.0.0.1", port)});
  CHECK(until([&] { return ask(port).body == "b/"; }));
}

TEST_CASE("an end closes every socket at once, and the port can be had again at once") {
  Lines lines;
  const auto port = free_port();
  for (int i = 0; i < 3; ++i) {
    auto server = start();
    server->serve({site("a", "127.0.0.1", port)});
    REQUIRE(until([&] { return ask(port).body == "a/"; }));  // leaves a TIME_WAIT here
    const auto open = dial(port);
    REQUIRE(open);
    const auto begin = Clock::now();
    server.reset();
    CHECK(Clock::now() - begin < 500ms);
    CHECK(ask(port).status == "refused");
    CHECK(read_all(open.get()).empty());
  }
  CHECK(lines.all().empty());
}

TEST_CASE("connections are bounded: in number, for each address, and in silence") {
  const auto port = free_port();
  const auto server =
      start({.connections = 4, .connections_of_one_address = 2, .silence_seconds = 1});
  server->serve({site("a", "0.0.0.0", port)});
  REQUIRE(until([&] { return ask(port).body == "a/"; }));
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 2; ++i) idle.push_back(dial(port));
  CHECK(until([&] { return ask(port).status == "closed"; }, 500ms));
  CHECK(ask(port, "/", "::1").body == "a/");  // from another address
  for (int i = 0; i < 2; ++i) idle.push_back(dial(port, "::1"));
  CHECK(until([&] { return ask(port, "/", "::1").status == "closed"; }, 500ms));
  // From a third address: all places are taken.
  CHECK(exchange(dial(port, "127.0.0.1", "127.0.0.9").get(), kGet).status == "closed");
  // Who says nothing loses its place.
  CHECK(until([&] { return ask(port).body == "a/"; }));
  for (const auto& fd : idle) CHECK(read_all(fd.get()).empty());
}

TEST_CASE("many services share one thread") {
  const auto first = free_port();
  const auto threads = [] {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/task"}) {
      static_cast<void>(entry);
      ++count;
    }
    return count;
  };
  const int before = threads();
  const auto server = start();
  std::vector<Site> sites;
  for (std::uint16_t i = 0; i < 1'500; ++i)
    sites.push_back(site("s" + std::to_string(i), ("127.1.0." + std::to_string(i % 250)).c_str(),
                         static_cast<std::uint16_t>(first + (i / 250))));
  server->serve(sites);
  CHECK(until([&] {
    return ask(static_cast<std::uint16_t>(first + 5), "/", "127.1.0.249").body == "s1499/";
  }));
  CHECK(ask(first, "/", "127.1.0.0").body == "s0/");
  CHECK(threads() == before + 1);
}
