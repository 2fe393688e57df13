// SPDX-License-Identifier: Apache-2.0
// The client and a server in the clear on loopback: bodies, ends, silence, calls within calls.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <algorithm>

#include "server.hpp"

using namespace weir;
using namespace weir::kubernetes;
using namespace std::chrono_literals;
using test::Bed, test::Probe, test::Server;

namespace {

std::string url(std::uint16_t port) {
  return "http://127.0.0.1:" + std::to_string(port);
}

bool holds(const std::string& text, const std::string& part) {
  UNSCOPED_INFO(text);
  return text.find(part) != std::string::npos;
}

struct Plain : Bed {
  Plain() { open(url(server.port())); }
  Server server;
};

}  // namespace

TEST_CASE("what a request says", "[kubernetes-client]") {
  Plain bed;
  const std::string seen = bed.ask("/api/v1/seen?limit=500&x=%2F");
  CHECK(holds(seen, R"("method": "GET")"));
  CHECK(holds(seen, R"("path": "/api/v1/seen?limit=500&x=%2F")"));
  CHECK(holds(seen, R"("Accept": "application/json")"));
  CHECK(holds(seen, R"("Accept-Encoding": "gzip")"));
  CHECK(holds(seen, R"("User-Agent": "weir/)"));
  utsname machine{};
  ::uname(&machine);
  if (std::string_view{machine.machine} == "x86_64") CHECK(holds(seen, " (linux/amd64)\""));
  CHECK_FALSE(holds(seen, "Authorization"));

  Probe probe{*bed.loop};
  bed.client->send({.method = "POST",
                    .target = "/seen",
                    .content_type = "application/json",
                    .body = std::string(2'000, 'x')},
                   probe);
  REQUIRE(bed.wait({&probe}));
  CHECK(probe.trouble() == "none");
  CHECK(holds(probe.text, R"("method": "POST")"));
  CHECK(holds(probe.text, R"("Content-Type": "application/json")"));
  CHECK(holds(probe.text, "\"body\": \"" + std::string(2'000, 'x') + "\""));
  CHECK_FALSE(holds(probe.text, "Expect"));
}

TEST_CASE("a server's path comes first; a password is sent", "[kubernetes-client]") {
  Bed bed;
  const Server server;
  bed.config.username = "me";
  bed.config.password = Secret{"sesame"};
  bed.open(url(server.port()) + "/clusters/a");
  CHECK(holds(bed.ask("/seen"), R"("path": "/clusters/a/seen")"));
  CHECK(bed.ask("/login?wanted=Basic+bWU6c2VzYW1l") == "welcome");
}

TEST_CASE("pieces arrive as they come", "[kubernetes-client]") {
  Plain bed;
  Probe probe{*bed.loop};
  bed.get("/pieces?n=3&gap=0.2", probe);
  bed.run_for(300ms);
  CHECK(probe.heads == 1);
  CHECK(probe.text == "piece 0\npiece 1\n");
  REQUIRE(bed.wait({&probe}));
  CHECK(probe.text == "piece 0\npiece 1\npiece 2\n");
  CHECK(probe.trouble() == "none");
}

TEST_CASE("statuses, Retry-After, redirects and early heads", "[kubernetes-client]") {
  Plain bed;
  const auto head = [&](const std::string& target) {
    Probe probe{*bed.loop};
    bed.get(target, probe);
    REQUIRE(bed.wait({&probe}));
    CHECK(probe.trouble() == "none");
    CHECK(probe.heads == 1);
    return probe.last;
  };
  CHECK(head("/hello").status == 200);
  CHECK_FALSE(head("/hello").retry_after);
  CHECK(head("/busy").status == 429);
  CHECK(head("/busy").retry_after == 7s);
  CHECK(head("/busy?after=0").retry_after == 0s);
  CHECK_FALSE(head("/busy?after=Wed,+21+Oct+2026+07:28:00+GMT").retry_after);
  CHECK(head("/moved").status == 302);
  CHECK(bed.ask("/moved").empty());  // not what it leads to
  CHECK(head("/early").status == 200);
  CHECK_FALSE(head("/early").retry_after);  // that was the other head's
}

TEST_CASE("silence before the head and within the body", "[kubernetes-client]") {
  Plain bed;
  Probe mute{*bed.loop};
  Probe stalled{*bed.loop};
  Probe drip{*bed.loop};
  const auto start = std::chrono::steady_clock::now();
  bed.get("/mute", mute, 1s);
  bed.get("/stall", stalled, 1s);
  bed.get("/pieces?n=8&gap=0.3", drip, 1s);
  REQUIRE(bed.wait({&mute, &stalled}));
  const auto took = std::chrono::steady_clock::now() - start;
  CHECK(took > 990ms);
  CHECK(took < 1900ms);
  CHECK(mute.trouble() ==
        "GET " + bed.client->server().text() + "/mute: nothing came for 1 s: Connection timed out");
  CHECK(stalled.trouble() == "GET " + bed.client->server().text() +
                                 "/stall: nothing came for 1 s: Connection timed out");
  CHECK(stalled.text == "some");
  REQUIRE(bed.wait({&drip}));  // never silent for that long
  CHECK(drip.trouble() == "none");
}

TEST_CASE("a limit for the whole", "[kubernetes-client]") {
  Plain bed;
  Probe probe{*bed.loop};
  bed.client->send({.target = "/pieces?n=20&gap=0.2", .content_type = {}, .body = {}, .whole = 1s},
                   probe);
  REQUIRE(bed.wait({&probe}));
  CHECK(probe.trouble() == "GET " + bed.client->server().text() +
                               "/pieces: not done within 1 s: Connection timed out");
  CHECK(probe.pieces >= 4);
}

TEST_CASE("the kernel notices a dead peer", "[kubernetes-client]") {
  Plain bed;
  CHECK(bed.ask("/hello") == "hello");
  const auto option = [](int fd, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    ::getsockopt(fd, level, name, &value, &length);
    return value;
  };
  int found = 0;
  for (int fd = 3; fd < 256; ++fd) {
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0) continue;
    if (ntohs(peer.sin_port) != bed.server.port()) continue;
    ++found;
    CHECK(option(fd, SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(option(fd, IPPROTO_TCP, TCP_KEEPIDLE) +
              option(fd, IPPROTO_TCP, TCP_KEEPINTVL) * option(fd, IPPROTO_TCP, TCP_KEEPCNT) ==
          30);
    CHECK(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) == 30'000);
  }
  CHECK(found == 1);
}

TEST_CASE("what was silent is not asked again on its connection", "[kubernetes-client]") {
  Plain bed;
  const std::string first = bed.ask("/connection");
  CHECK(bed.ask("/connection") == first);  // kept alive
  Probe mute{*bed.loop};
  bed.get("/mute", mute, 1s);
  REQUIRE(bed.wait({&mute}));
  CHECK(bed.ask("/connection") != first);
}

TEST_CASE("a connection that is cut", "[kubernetes-client]") {
  Plain bed;
  const std::string name = "GET " + bed.client->server().text();
  CHECK(bed.ask("/cut") == name + "/cut: cut in the middle of the body");
  CHECK(holds(bed.ask("/cut-chunked"), name + "/cut-chunked: "));
  CHECK(holds(bed.ask("/cut-head"), name + "/cut-head: Empty reply from server"));
  CHECK(bed.ask("/hello") == "hello");
}

TEST_CASE("refused, and a server that restarts", "[kubernetes-client]") {
  Bed bed;
  const auto port = test::free_port();
  bed.open(url(port));
  Probe several[3] = {Probe{*bed.loop}, Probe{*bed.loop}, Probe{*bed.loop}};
  for (auto& probe : several) bed.get("/api/v1/services?limit=500", probe);
  REQUIRE(bed.wait({&several[0], &several[1], &several[2]}));
  for (const auto& probe : several)
    CHECK(probe.trouble() == "GET " + url(port) + "/api/v1/services: Connection refused");
  for (int i = 0; i < 3; ++i) {
    const Server server{{}, port};
    CHECK(bed.ask("/hello") == "hello");  // on no dead connection
  }
  CHECK(holds(bed.ask("/hello"), "Connection refused"));
}

TEST_CASE("a name that cannot be resolved holds nothing up", "[kubernetes-client]") {
  Bed bed;
  bed.open("http://weir.invalid:8080");
  Probe probe{*bed.loop};
  bed.get("/hello", probe);
  const auto start = std::chrono::steady_clock::now();
  bed.run_for(20ms);
  CHECK(std::chrono::steady_clock::now() - start < 500ms);
  REQUIRE(bed.wait({&probe}));
  CHECK(probe.trouble() ==
        "GET http://weir.invalid:8080/hello: Could not resolve host: weir.invalid");
}

TEST_CASE("gzip", "[kubernetes-client]") {
  Plain bed;
  Probe probe{*bed.loop};
  bed.get("/gzip", probe);
  REQUIRE(bed.wait({&probe}));
  CHECK(probe.trouble() == "none");
  CHECK(probe.size == std::size_t{3} << 20);
  CHECK(probe.text.starts_with("0123456789abcdef0123"));
  CHECK(probe.pieces > 20);
  CHECK(holds(bed.ask("/garbled"), "/garbled: "));
}

TEST_CASE("100 MB need no memory", "[kubernetes-client]") {
  Plain bed;
  const std::size_t before = test::heap();
  std::size_t most = before;
  Probe probe{*bed.loop};
  probe.on_body = [&] {
    if (probe.pieces % 16 == 0) most = std::max(most, test::heap());
    return true;
  };
  bed.get("/big?mb=100", probe);
  REQUIRE(bed.wait({&probe}, 60));
  CHECK(probe.trouble() == "none");
  CHECK(probe.size == std::size_t{100} << 20);
  CHECK(most - before < std::size_t{1} << 20);
}

TEST_CASE("cancelled", "[kubernetes-client]") {
  Plain bed;
  Probe probe{*bed.loop};
  Transport::Id id = 0;
  const auto cancel = [&] { bed.client->cancel(id); };
  SECTION("before it is sent") {
    id = bed.get("/pieces?n=3&gap=0", probe);
    cancel();
    bed.run_for(100ms);
    CHECK(probe.heads == 0);
  }
  SECTION("while nothing comes") {
    id = bed.get("/mute", probe, 1s);
    bed.run_for(100ms);
    cancel();
    bed.run_for(1200ms);
    CHECK(probe.heads == 0);
  }
  SECTION("in head()") {
    probe.on_head = cancel;
    id = bed.get("/pieces?n=3&gap=0", probe);
    bed.run_for(200ms);
    CHECK(probe.heads == 1);
    CHECK(probe.pieces == 0);
  }
  SECTION("in body()") {
    probe.on_body = [&] {
      cancel();
      return true;
    };
    id = bed.get("/pieces?n=3&gap=0.01", probe);
    bed.run_for(200ms);
    CHECK(probe.pieces == 1);
  }
  SECTION("by a refused body()") {
    probe.on_body = [] { return false; };
    id = bed.get("/pieces?n=3&gap=0.01", probe);
    bed.run_for(200ms);
    CHECK(probe.pieces == 1);
    cancel();  // over already
  }
  SECTION("in end(), which is none") {
    Probe other{*bed.loop};
    other.on_end = [&] { bed.client->cancel(id); };
    id = bed.get("/hello", other);
    REQUIRE(bed.wait({&other}));
    CHECK(other.trouble() == "none");
  }
  CHECK(probe.ends == 0);
  cancel();
  CHECK(bed.ask("/hello") == "hello");
}

TEST_CASE("sent from within every call", "[kubernetes-client]") {
  Plain bed;
  Probe first{*bed.loop};
  Probe from_head{*bed.loop};
  Probe from_body{*bed.loop};
  Probe from_end{*bed.loop};
  bool within = false;
  const auto send = [&](Probe& probe) {
    within = true;
    bed.get("/hello", probe);
    within = false;
  };
  for (Probe* probe : {&from_head, &from_body, &from_end})
    probe->on_head = [&] { CHECK_FALSE(within); };
  first.on_head = [&] { send(from_head); };
  first.on_body = [&] {
    if (first.pieces == 1) send(from_body);
    return true;
  };
  first.on_end = [&] { send(from_end); };
  bed.get("/pieces?n=2&gap=0.05", first);
  REQUIRE(bed.wait({&first, &from_head, &from_body, &from_end}));
  for (const Probe* probe : {&from_head, &from_body, &from_end}) {
    CHECK(probe->trouble() == "none");
    CHECK(probe->text == "hello");
  }
}

TEST_CASE("a client goes with requests open", "[kubernetes-client]") {
  Plain bed;
  Probe mute{*bed.loop};
  Probe drip{*bed.loop};
  Probe unsent{*bed.loop};
  bed.get("/mute", mute);
  bed.get("/pieces?n=50&gap=0.02", drip);
  bed.run_for(200ms);
  CHECK(drip.pieces > 0);
  const auto pieces = drip.pieces;
  bed.get("/hello", unsent);
  bed.client.reset();
  bed.run_for(200ms);
  CHECK(mute.ends + drip.ends + unsent.ends == 0);
  CHECK(drip.pieces == pieces);
  bed.open(url(bed.server.port()));
  CHECK(bed.ask("/hello") == "hello");
}

TEST_CASE("a token is renewed after a 401", "[kubernetes-client]") {
  Bed bed;
  const Server server;
  bed.config.token.file = bed.folder.write("token", "old");
  bed.open(url(server.port()));
  CHECK(bed.ask("/login?wanted=Bearer+old") == "welcome");
  bed.folder.write("token", "new");
  CHECK(bed.ask("/login?wanted=Bearer+old") == "welcome");  // not a minute yet
  CHECK(bed.ask("/login?wanted=Bearer+new") == "who?");
  CHECK(bed.ask("/login?wanted=Bearer+new") == "welcome");
  bed.folder.write("token", "newer");
  Bed::age(61s);
  CHECK(bed.ask("/login?wanted=Bearer+newer") == "welcome");
  for (const auto& line : bed.lines.others) CHECK_FALSE(holds(line, "newer"));
}

TEST_CASE("no token in the clear to another host, whoever made the configuration",
          "[kubernetes-client]") {
  Bed bed;
  bed.config.origin = "test";
  bed.config.token.text = Secret{"t"};
  bed.config.server = Url::parse("http://192.0.2.1").value();
  const auto made = Client::make(*bed.loop, bed.config);
  REQUIRE_FALSE(made);
  CHECK(
      made.error().message() ==
      "test: a token or password would be sent in the clear to http://192.0.2.1:80: use https://");
}

TEST_CASE("by a proxy", "[kubernetes-client]") {
  Bed bed;
  const Server proxy;
  bed.config.proxy = Secret{url(proxy.port())};
  bed.open("http://weir.invalid");
  // The proxy is asked for the whole address.
  CHECK(holds(bed.ask("/seen"), R"("path": "http://weir.invalid/seen")"));
  bed.config.proxy = Secret{url(test::free_port())};
  bed.open("http://weir.invalid");
  CHECK(bed.ask("/hello") == "GET http://weir.invalid:80/hello: proxy: Connection refused");
}
