// SPDX-License-Identifier: Apache-2.0
// Who the server is and who asks: authorities, names and certificates, good, wrong and renewed.
#include <csignal>

#include "server.hpp"

using namespace weir;
using namespace weir::kubernetes;
using namespace std::chrono_literals;
using test::Bed, test::Folder, test::make_authority, test::make_certificate, test::Probe;
using test::Server;

namespace {

bool holds(const std::string& text, const std::string& part) {
  UNSCOPED_INFO(text);
  return text.find(part) != std::string::npos;
}

std::vector<std::string> identity(const Folder& folder, const std::string& name) {
  return {"--certificate", folder.file(name + ".crt"), "--key", folder.file(name + ".key")};
}

std::vector<std::string> asking(std::vector<std::string> options, const Folder& folder,
                                const std::string& authority) {
  options.insert(options.end(), {"--client-ca", folder.file(authority + ".crt")});
  return options;
}

std::string url(const Server& server, const std::string& host = "127.0.0.1") {
  return "https://" + host + ":" + std::to_string(server.port());
}

struct Tls : Bed {
  Tls() {
    make_authority(folder, "ca");
    make_certificate(folder, "server", "ca");
    config.ca.file = folder.write("bundle", folder.read("ca.crt"));
  }
  void log_in_as(const std::string& name) {
    config.certificate.file = folder.write("client.crt", folder.read(name + ".crt"));
    config.key.file = folder.write("client.key", folder.read(name + ".key"));
  }
};

}  // namespace

TEST_CASE("a server with the right certificate", "[kubernetes-tls]") {
  Tls bed;
  const Server server{identity(bed.folder, "server")};
  bed.open(url(server));
  CHECK(bed.ask("/hello") == "hello");
  CHECK(bed.ask("/connection") == "1");
  CHECK(bed.ask("/connection") == "1");
  CHECK(bed.ask("/cut") == "GET " + url(server) + "/cut: cut in the middle of the body");
  CHECK(bed.lines.count("status 200, HTTP/1, 5 bytes") == 1);

  // One that does not answer holds up no other, also where the server says nothing of HTTP/2.
  Probe mute{*bed.loop};
  bed.get("/mute", mute, 3s);
  CHECK(bed.ask("/hello") == "hello");
}

TEST_CASE("the authority is the cluster's, and no other", "[kubernetes-tls]") {
  Tls bed;
  const Server server{identity(bed.folder, "server")};
  const std::string name = "GET " + url(server) + "/hello: ";
  SECTION("another's") {
    make_authority(bed.folder, "other");
    bed.config.ca.file = bed.folder.file("other.crt");
    bed.open(url(server));
    CHECK(holds(bed.ask("/hello"), name + "SSL certificate problem: "));
  }
  SECTION("the system's") {
    bed.config.ca = {};
    bed.open(url(server));
    CHECK(holds(bed.ask("/hello"), name + "SSL certificate problem: "));
  }
  SECTION("not asked for") {
    bed.config.ca = {};
    bed.config.insecure_skip_tls_verify = true;
    bed.open(url(server));
    CHECK(bed.ask("/hello") == "hello");
  }
}

TEST_CASE("the certificate's name", "[kubernetes-tls]") {
  Tls bed;
  make_certificate(bed.folder, "named", "ca", "DNS:kubernetes.default");
  const Server server{identity(bed.folder, "named")};
  bed.open(url(server));
  CHECK(holds(bed.ask("/hello"), "/hello: SSL: no alternative certificate subject name matches"));
  bed.config.tls_server_name = "kubernetes.default";
  bed.open(url(server));
  const std::string seen = bed.ask("/seen");
  CHECK(holds(seen, R"("Host": "127.0.0.1:)" + std::to_string(server.port())));
  bed.config.tls_server_name = "kubernetes.other";
  bed.open(url(server));
  // Errors name the address that was asked.
  CHECK(holds(bed.ask("/hello"), "GET " + url(server) + "/hello: SSL: no alternative"));
}

TEST_CASE("an expired certificate", "[kubernetes-tls]") {
  Tls bed;
  make_certificate(bed.folder, "expired", "ca", "IP:127.0.0.1", -1);
  const Server server{identity(bed.folder, "expired")};
  bed.open(url(server));
  CHECK(holds(bed.ask("/hello"), "SSL certificate problem: certificate has expired"));
}

TEST_CASE("the cluster's authority is renewed", "[kubernetes-tls]") {
  Tls bed;
  make_authority(bed.folder, "next");
  make_certificate(bed.folder, "renewed", "next");
  auto server = std::make_unique<Server>(identity(bed.folder, "server"));
  const auto port = server->port();
  bed.open(url(*server));
  CHECK(bed.ask("/hello") == "hello");
  const auto restart = [&](const std::string& name) {
    server.reset();
    server = std::make_unique<Server>(identity(bed.folder, name), port);
  };
  SECTION("both in the bundle first: no request fails") {
    bed.folder.write("bundle", bed.folder.read("ca.crt") + bed.folder.read("next.crt"));
    Bed::age(61s);
    CHECK(bed.ask("/hello") == "hello");
    CHECK(bed.lines.count("kubernetes: certificates changed: new connections") == 1);
    restart("renewed");
    CHECK(bed.ask("/hello") == "hello");
  }
  SECTION("at once: the request that fails is the last") {
    bed.folder.write("bundle", bed.folder.read("next.crt"));
    restart("renewed");
    CHECK(holds(bed.ask("/hello"), "SSL certificate problem: "));
    CHECK(bed.ask("/hello") == "hello");
  }
  SECTION("the old one is not trusted any more, on no kept connection either") {
    bed.folder.write("bundle", bed.folder.read("next.crt"));
    CHECK(bed.ask("/connection") == "1");
    Bed::age(61s);
    CHECK(holds(bed.ask("/hello"), "SSL certificate problem: "));
  }
}

TEST_CASE("a client's certificate", "[kubernetes-tls]") {
  Tls bed;
  make_certificate(bed.folder, "agent", "ca", "DNS:agent");
  make_certificate(bed.folder, "heir", "ca", "DNS:heir");
  const Server server{asking(identity(bed.folder, "server"), bed.folder, "ca")};

  SECTION("none") {
    bed.open(url(server));
    const std::string got = bed.ask("/hello");
    CHECK(holds(got, "GET " + url(server) + "/hello: "));
    // TLS 1.3 may tell after the handshake, when the server has gone already.
    CHECK((holds(got, "certificate required") || holds(got, "another client certificate")));
  }
  SECTION("renewed: new requests show the new one, the open one goes on") {
    bed.log_in_as("agent");
    bed.open(url(server));
    CHECK(bed.ask("/peer") == "agent");
    Probe watch{*bed.loop};
    bed.get("/pieces?n=10&gap=0.1", watch);
    bed.run_for(100ms);
    bed.log_in_as("heir");
    CHECK(bed.ask("/peer") == "agent");
    Bed::age(61s);
    CHECK(bed.ask("/peer") == "heir");
    REQUIRE(bed.wait({&watch}));
    CHECK(watch.trouble() == "none");
    CHECK(bed.ask("/peer") == "heir");
  }
  SECTION("expired, then renewed") {
    make_certificate(bed.folder, "expired", "ca", "DNS:agent", -1);
    bed.log_in_as("expired");
    bed.open(url(server));
    const std::string got = bed.ask("/peer");
    CHECK((holds(got, "expired") || holds(got, "another client certificate")));
    bed.log_in_as("heir");
    CHECK(bed.ask("/peer") == "heir");
  }
  SECTION("without a file of its own") {
    bed.config.certificate.text = Secret{bed.folder.read("agent.crt")};
    bed.config.key.text = Secret{bed.folder.read("agent.key")};
    bed.config.ca = {"", Secret{bed.folder.read("ca.crt")}};
    bed.open(url(server));
    CHECK(bed.ask("/peer") == "agent");
  }
  SECTION("with another's key") {
    bed.log_in_as("agent");
    bed.config.key.file = bed.folder.file("heir.key");
    bed.open(url(server));
    CHECK(holds(bed.ask("/peer"), "/peer: "));
    CHECK_FALSE(holds(bed.ask("/peer"), "PRIVATE"));
  }
}

TEST_CASE("a server that speaks no TLS", "[kubernetes-tls]") {
  Tls bed;
  const Server server;
  bed.open(url(server));
  CHECK(holds(bed.ask("/hello"), "GET " + url(server) + "/hello: "));
}

TEST_CASE("a server that only takes connections: 10 s, and the loop goes on",
          "[kubernetes-tls][slow]") {
  Tls bed;
  const Server server{identity(bed.folder, "server")};
  bed.open(url(server));
  server.signal(SIGSTOP);
  Probe probe{*bed.loop};
  const auto start = std::chrono::steady_clock::now();
  bed.get("/hello", probe);
  REQUIRE(bed.wait({&probe}, 13));
  CHECK(std::chrono::steady_clock::now() - start > 9s);
  CHECK(probe.trouble() == "GET " + url(server) + "/hello: no connection within 10 s");
  server.signal(SIGCONT);
  CHECK(bed.ask("/hello") == "hello");
}
