// SPDX-License-Identifier: Apache-2.0
// HTTP/2, against nghttpd, which speaks nothing else over TLS and tells what it gets.
#include <algorithm>
#include <csignal>
#include <thread>

#include "server.hpp"

using namespace weir;
using namespace weir::kubernetes;
using namespace std::chrono_literals;
using test::Bed, test::make_authority, test::make_certificate, test::Probe, test::Process;

namespace {

struct Http2 : Bed {
  Http2() : port{test::free_port()} {
    make_authority(folder, "ca");
    make_certificate(folder, "server", "ca");
    config.ca.file = folder.file("ca.crt");
    std::filesystem::create_directory(folder.file("www"));
    folder.write("www/hello", "hello");
    // Its own log is how the number of connections is known; a file, so that it never blocks.
    start();
    open("https://127.0.0.1:" + std::to_string(port));
  }
  void start() {
    server.reset();
    const std::string command = "exec nghttpd --address=127.0.0.1 --no-content-length -v -d " +
                                folder.file("www") + " " + std::to_string(port) + " " +
                                folder.file("server.key") + " " + folder.file("server.crt") +
                                " >>" + folder.file("log") + " 2>&1";
    server = std::make_unique<Process>(std::vector<std::string>{"/bin/sh", "-c", command});
    while (folder.read("log").find("listen 127.0.0.1") == std::string::npos)
      std::this_thread::sleep_for(10ms);
  }
  // How often the server's log says so.
  [[nodiscard]] std::size_t said(const std::string& part) const {
    const std::string log = folder.read("log");
    std::size_t n = 0;
    for (auto at = log.find(part); at != std::string::npos; at = log.find(part, at + 1)) ++n;
    return n;
  }
  // Makes a file to be asked for.
  void big(int megabytes) const {
    const std::string piece(std::size_t{1} << 20, 'x');
    std::ofstream file{folder.file("www/big"), std::ios::binary};
    for (int i = 0; i < megabytes; ++i) file << piece;
  }

  std::uint16_t port;
  std::unique_ptr<Process> server;
};

}  // namespace

TEST_CASE("requests are streams of one connection", "[kubernetes-http2]") {
  Http2 bed;
  std::vector<std::unique_ptr<Probe>> probes;
  std::vector<const Probe*> all;
  for (int i = 0; i < 8; ++i) {
    all.push_back(probes.emplace_back(std::make_unique<Probe>(*bed.loop)).get());
    bed.get("/hello", *probes.back());
  }
  REQUIRE(bed.wait(all));
  for (const auto& probe : probes) {
    CHECK(probe->trouble() == "none");
    CHECK(probe->text == "hello");
    CHECK(probe->last.status == 200);
  }
  CHECK(bed.ask("/hello") == "hello");
  CHECK(bed.lines.count("status 200, HTTP/2, 5 bytes") == 9);
  CHECK(bed.said("[id=1] [") > 0);
  CHECK(bed.said("[id=2] [") == 0);
  CHECK(bed.said(":method: GET") == 9);
}

TEST_CASE("a stream that is cancelled takes no other with it", "[kubernetes-http2]") {
  Http2 bed;
  bed.big(64);
  Probe big{*bed.loop};
  Probe other{*bed.loop};
  bed.get("/big", big);
  bed.get("/big", other);
  int left = 3;
  big.on_body = [&] { return --left > 0; };
  REQUIRE(bed.wait({&other}, 30));
  CHECK(big.ends == 0);
  CHECK(big.pieces == 3);
  CHECK(other.trouble() == "none");
  CHECK(other.size == std::size_t{64} << 20);
  CHECK(bed.said("recv RST_STREAM") == 1);

  Probe third{*bed.loop};
  third.on_head = [&] { bed.loop->stop(); };
  const auto id = bed.get("/big", third);
  REQUIRE(bed.loop->run());
  bed.client->cancel(id);
  CHECK(bed.ask("/hello") == "hello");
  CHECK(third.ends == 0);
  CHECK(bed.said("[id=2] [") == 0);
}

TEST_CASE("100 MB by HTTP/2 need no memory", "[kubernetes-http2]") {
  Http2 bed;
  bed.big(100);
  Probe probe{*bed.loop};
  const std::size_t before = test::heap();
  std::size_t most = before;
  probe.on_body = [&] {
    if (probe.pieces % 16 == 0) most = std::max(most, test::heap());
    return true;
  };
  bed.get("/big", probe);
  REQUIRE(bed.wait({&probe}, 60));
  CHECK(probe.trouble() == "none");
  CHECK(probe.size == std::size_t{100} << 20);
  CHECK(most - before < std::size_t{2} << 20);
}

TEST_CASE("an HTTP/2 server that dies and comes back", "[kubernetes-http2]") {
  Http2 bed;
  bed.big(64);
  CHECK(bed.ask("/hello") == "hello");
  Probe probe{*bed.loop};
  probe.on_body = [&] {
    bed.server.reset();
    return true;
  };
  bed.get("/big", probe);
  REQUIRE(bed.wait({&probe}));
  INFO(probe.trouble());
  CHECK(probe.trouble().starts_with("GET " + bed.client->server().text() + "/big: "));
  CHECK(bed.ask("/hello").ends_with(": Connection refused"));
  bed.folder.write("log", "");
  bed.start();
  CHECK(bed.ask("/hello") == "hello");
}

TEST_CASE("an HTTP/2 server that no longer answers", "[kubernetes-http2]") {
  Http2 bed;
  CHECK(bed.ask("/hello") == "hello");
  bed.server->signal(SIGSTOP);
  Probe probe{*bed.loop};
  bed.get("/hello", probe, 1s);
  REQUIRE(bed.wait({&probe}));
  CHECK(probe.trouble().ends_with("/hello: nothing came for 1 s: Connection timed out"));
  bed.server->signal(SIGCONT);
  CHECK(bed.ask("/hello") == "hello");
  CHECK(bed.said("[id=2] [") > 0);  // not on the connection that was silent
}
