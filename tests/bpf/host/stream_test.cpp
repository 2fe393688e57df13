// SPDX-License-Identifier: Apache-2.0
// What is kept of a TCP socket: one entry, under its cookie, whatever becomes of its connections.
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>

#include "bpf/host/node.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

// One service each at pod0 and at pod1, and one at an address that no route leads to.
class Streams {
 public:
  explicit Streams(const Net& net) : net_{net} {
    serve(first, net.pod0);
    serve(second, net.pod1);
    serve(lost, net.family == AF_INET ? "198.18.0.1" : "2001:db8:dead::1");
  }
  Socket listener(const std::string& pod) {
    Socket server{net_.family, SOCK_STREAM};
    server.listen_at({pod, kTarget});
    return server;
  }
  // From now on nobody answers at this pod: its queue is full.
  void fill(const std::string& pod) {
    full_.emplace(listener(pod));
    need(::listen(full_->fd(), 0) == 0, "listen");
    for (auto& socket : waiting_) need(socket.connect({pod, kTarget}) == 0, "fill a queue");
  }

  Node node;
  const Net& net_;
  End first{net_.cluster_ip, kPort};
  End second{net_.vip, kPort};
  End lost{net_.cluster_ip, kPort + 1};

 private:
  void serve(const End& at, const std::string& pod) {
    node.serve(IPPROTO_TCP, {{at, WEIR_FRONTEND_CLUSTER_IP}}, {pod});
  }
  std::optional<Socket> full_;
  std::array<Socket, 1> waiting_{Socket{net_.family, SOCK_STREAM}};
};

const Net& any_net() {
  return *GENERATE(&kNet4, &kNet6);
}

}  // namespace

TEST_CASE("TCP: one entry while a socket is open, none when it is closed") {
  const Net& net = any_net();
  Streams it{net};
  Socket client{net.family, SOCK_STREAM};

  SECTION("connected") {
    Socket server = it.listener(net.pod0);
    REQUIRE(client.connect(it.first) == 0);
  }
  SECTION("reset by its backend") {
    Socket server = it.listener(net.pod0);
    REQUIRE(client.connect(it.first) == 0);
    server.accept().reset();
    CHECK(client.error() == ECONNRESET);
  }
  SECTION("ended by its backend, and then at this end") {
    Socket server = it.listener(net.pod0);
    REQUIRE(client.connect(it.first) == 0);
    server.accept().close();
    REQUIRE(::shutdown(client.fd(), SHUT_RDWR) == 0);
  }
  SECTION("refused by its backend") {
    CHECK(client.connect(it.first) == ECONNREFUSED);
  }
  SECTION("refused, and then connected to another service") {
    CHECK(client.connect(it.first) == ECONNREFUSED);
    Socket server = it.listener(net.pod1);
    REQUIRE(client.connect(it.second) == 0);
    CHECK(client.peer() == it.second);
  }
  SECTION("disconnected, and then connected to another service") {
    Socket server = it.listener(net.pod0);
    Socket other = it.listener(net.pod1);
    REQUIRE(client.connect(it.first) == 0);
    client.disconnect();
    REQUIRE(client.connect(it.second) == 0);
    CHECK(client.peer() == it.second);
  }
  SECTION("disconnected for good") {
    Socket server = it.listener(net.pod0);
    REQUIRE(client.connect(it.first) == 0);
    client.disconnect();
  }
  SECTION("no way to its backend") {
    CHECK(client.connect(it.lost) == ENETUNREACH);
  }
  SECTION("closed while it is connecting") {
    it.fill(net.pod0);
    client = Socket{net.family, SOCK_STREAM | SOCK_NONBLOCK};
    CHECK(client.connect(it.first) == EINPROGRESS);
    CHECK(client.connect(it.first) == EALREADY);
  }
  SECTION("no answer in time") {
    it.fill(net.pod0);
    const int ms = 1;
    REQUIRE(::setsockopt(client.fd(), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms) == 0);
    CHECK(client.connect(it.first) == ETIMEDOUT);
  }
  SECTION("opened with its first data") {
    Socket server = it.listener(net.pod0);
    REQUIRE(client.open_with(it.first) == 0);
    CHECK(server.accept().receive()->text == "who");
    CHECK(client.peer() == it.first);
  }
  CHECK(it.node.streams() == 1);
  CHECK(it.node.stream(client.cookie()));
  CHECK(it.node.peers() + it.node.stickies() == 0);
  client.close();
  CHECK(it.node.streams() == 0);
}

TEST_CASE("TCP: IPv4 on an IPv6 socket leaves nothing either") {
  Streams it{kNet4};
  Socket client{AF_INET6, SOCK_STREAM};
  const End first{"::ffff:" + it.first.ip, it.first.port};
  CHECK(client.connect(first) == ECONNREFUSED);
  Socket server = it.listener(kNet4.pod0);
  REQUIRE(client.connect(first) == 0);
  CHECK(client.peer() == first);
  CHECK(it.node.streams() == 1);
  client.close();
  CHECK(it.node.streams() == 0);
}

TEST_CASE("TCP: a socket that goes straight to a former backend is told so") {
  const Net& net = any_net();
  Streams it{net};
  Socket client{net.family, SOCK_STREAM};
  std::optional<Socket> server;
  SECTION("which had refused it") {
    REQUIRE(client.connect(it.first) == ECONNREFUSED);
    server.emplace(it.listener(net.pod0));
  }
  SECTION("which it had left") {
    server.emplace(it.listener(net.pod0));
    REQUIRE(client.connect(it.first) == 0);
    client.disconnect();
  }
  REQUIRE(client.connect({net.pod0, kTarget}) == 0);
  CHECK(client.peer() == End{net.pod0, kTarget});
  CHECK(it.node.streams() == 0);
}

TEST_CASE("TCP: what a closed socket frees is its own") {
  const Net& net = any_net();
  Streams it{net};
  Socket server = it.listener(net.pod0);
  Socket client{net.family, SOCK_STREAM};
  REQUIRE(client.connect(it.first) == 0);
  Socket accepted = server.accept();
  Socket{net.family, SOCK_STREAM}.close();
  accepted.close();
  server.close();
  CHECK(it.node.streams() == 1);
  CHECK(client.peer() == it.first);
}

TEST_CASE("TCP: an entry is taken only if it is of this connection") {
  const Net& net = any_net();
  Streams it{net};
  Socket server = it.listener(net.pod0);
  Socket client{net.family, SOCK_STREAM};
  REQUIRE(client.connect(it.first) == 0);
  const auto cookie = client.cookie();
  auto stream = it.node.stream(cookie);
  REQUIRE(stream);
  CHECK(stream->service.addr == to_addr(it.first.ip));
  CHECK(stream->backend.addr == to_addr(net.pod0));

  SECTION("torn") {
    stream->service.port = htons(4711);
    it.node.set_stream(cookie, cookie, *stream);
  }
  SECTION("half of it another's by now, at the same backend") {
    Socket second{net.family, SOCK_STREAM};
    REQUIRE(second.connect(it.first) == 0);
    it.node.set_stream(cookie, cookie, *it.node.stream(second.cookie()));
  }
  SECTION("another's by now") {
    it.node.set_stream(cookie, cookie + WEIR_STREAM_SETS, *stream);
  }
  SECTION("gone") {
    it.node.set_stream(cookie, 0, {});
  }
  CHECK(client.peer() == End{net.pod0, kTarget});
}

TEST_CASE("TCP: a set has room for its ways, and then an entry is taken from another socket") {
  Streams it{kNet4};
  Socket server = it.listener(kNet4.pod0);
  Socket client{AF_INET, SOCK_STREAM};
  const std::size_t taken = GENERATE(0U, 3U, 4U);
  it.node.crowd(client.cookie(), taken);
  REQUIRE(client.connect(it.first) == 0);
  CHECK(client.peer() == it.first);
  CHECK(it.node.streams() == (taken == 4 ? 4 : taken + 1));
  CHECK(it.node.count(WEIR_host_unnoted) == (taken == 4 ? 1 : 0));
  client.close();
  CHECK(it.node.streams() == (taken == 4 ? 3 : taken));
}

TEST_CASE("TCP: an entry of a former connection names no other backend") {
  const Net& net = any_net();
  Streams it{net};
  Socket server = it.listener(net.pod0);
  Socket other = it.listener(net.pod1);
  Socket client{net.family, SOCK_STREAM};
  REQUIRE(client.connect(it.first) == 0);
  client.disconnect();
  it.node.set_netns(0);  // the host edge looks away
  REQUIRE(client.connect({net.pod1, kTarget}) == 0);
  it.node.set_netns(own_netns_cookie());
  REQUIRE(it.node.streams() == 1);
  CHECK(client.peer() == End{net.pod1, kTarget});
}

}  // namespace weir::test
