// SPDX-License-Identifier: Apache-2.0
// A process of the node and the services that it names, by real sockets.
#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cerrno>
#include <map>
#include <set>

#include "bpf/host/node.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

const Net& any_net() {
  return *GENERATE(&kNet4, &kNet6);
}

std::vector<Frontend> every_frontend(const Net& net) {
  return {{{net.cluster_ip, kPort}, WEIR_FRONTEND_CLUSTER_IP},
          {{net.vip, kPort}, WEIR_FRONTEND_LOAD_BALANCER},
          {{net.node, kNodePort}, WEIR_FRONTEND_NODE_PORT}};
}

// UDP servers at the two pods. pod() says which of them got the next datagram.
class Servers {
 public:
  explicit Servers(const Net& net) {
    for (const auto& ip : {net.pod0, net.pod1})
      sockets_.emplace_back(net.family, SOCK_DGRAM).listen_at({ip, kTarget});
  }
  Socket& operator[](std::size_t index) { return sockets_.at(index); }
  // Answers what is waiting; the index of the pod that was asked, or -1.
  int answer() {
    for (int i = 0; i < 2; ++i) {
      auto& socket = sockets_.at(static_cast<std::size_t>(i));
      if (const auto got = socket.receive_now()) {
        if (socket.send_to(got->from, "pod" + std::to_string(i)) != 0) return -1;
        return i;
      }
    }
    return -1;
  }

 private:
  std::vector<Socket> sockets_;
};

}  // namespace

TEST_CASE("TCP: the backend is reached, and the peer is called as it was asked for") {
  const Net& net = any_net();
  Node node;
  const auto id = node.serve(IPPROTO_TCP, every_frontend(net), {net.pod0});
  Socket server{net.family, SOCK_STREAM};
  server.listen_at({net.pod0, kTarget});
  for (const auto& frontend : every_frontend(net)) {
    Socket client{net.family, SOCK_STREAM};
    CAPTURE(frontend.at);
    REQUIRE(client.connect(frontend.at) == 0);
    Socket accepted = server.accept();
    CHECK(accepted.peer() == client.sent_from());
    CHECK(client.peer() == frontend.at);
  }
  CHECK(node.count(WEIR_forward_host) == 3);
  CHECK(node.stat(id).connections == 3);
  CHECK(node.backend(1).connections == 3);
}

TEST_CASE("connected UDP: answers come from the service, and only from the chosen backend") {
  const Net& net = any_net();
  Node node;
  node.serve(IPPROTO_UDP, every_frontend(net), {net.pod0});
  Servers servers{net};
  for (const auto& frontend : every_frontend(net)) {
    Socket client{net.family, SOCK_DGRAM};
    CAPTURE(frontend.at);
    REQUIRE(client.connect(frontend.at) == 0);
    CHECK(client.peer() == frontend.at);
    REQUIRE(client.send("who") == 0);
    REQUIRE(servers.answer() == 0);
    const auto got = client.receive();
    REQUIRE(got);
    CHECK(got->text == "pod0");
    CHECK(got->from == frontend.at);
    // The same address named once more, on a socket that is connected.
    REQUIRE(client.send_to(frontend.at) == 0);
    CHECK(servers.answer() == 0);
  }
}

TEST_CASE("UDP without a connection: each answer comes from the address that was asked") {
  const Net& net = any_net();
  Node node;
  node.serve(IPPROTO_UDP, {{{net.cluster_ip, kPort}, WEIR_FRONTEND_CLUSTER_IP}}, {net.pod0});
  node.serve(IPPROTO_UDP, {{{net.vip, 53}, WEIR_FRONTEND_LOAD_BALANCER}}, {net.pod1});
  Servers servers{net};
  Socket client{net.family, SOCK_DGRAM};
  for (const auto& to : {End{net.cluster_ip, kPort}, End{net.vip, 53}, End{net.pod1, kTarget}}) {
    REQUIRE(client.send_to(to) == 0);
    CHECK(servers.answer() == (to.ip == net.cluster_ip ? 0 : 1));
    const auto got = client.receive();
    REQUIRE(got);
    // One socket that uses a backend by two names is told one of them.
    CHECK(got->from == (to.ip == net.pod1 ? End{net.vip, 53} : to));
  }
  CHECK(node.count(WEIR_reply_host) == 3);
}

TEST_CASE("node ports on localhost", "[1.1/node-port-localhost]") {
  const Net& net = any_net();
  Node node;
  const End at{net.localhost, kNodePort};
  node.serve(IPPROTO_UDP, {{{net.node, kNodePort}, WEIR_FRONTEND_NODE_PORT}}, {net.pod0});
  Servers servers{net};
  Socket client{net.family, SOCK_DGRAM};

  SECTION("not served there: the process's own affair") {
    REQUIRE(client.connect(at) == 0);
    CHECK(client.send("who") == 0);
    CHECK(servers.answer() == -1);
    CHECK(node.count(WEIR_pass_host_stranger) == 1);
  }
  SECTION("served") {
    node.set_address(net.localhost, WEIR_ADDRESS_LOCALHOST);
    Socket listener{net.family, SOCK_DGRAM};  // the service wins
    listener.listen_at(at);
    REQUIRE(client.send_to(at) == 0);
    CHECK(servers.answer() == 0);
    const auto got = client.receive();
    REQUIRE(got);
    CHECK(got->from == at);
    // A port of no service is the process's own affair here too.
    Socket other{net.family, SOCK_DGRAM};
    other.listen_at({net.localhost, 30081});
    REQUIRE(client.send_to({net.localhost, 30081}) == 0);
    CHECK(other.receive());
    CHECK(node.count(WEIR_pass_host_no_service) == 1);
  }
  SECTION("the unspecified address is localhost, as for the kernel") {
    node.set_address(net.localhost, WEIR_ADDRESS_LOCALHOST);
    REQUIRE(client.connect({net.family == AF_INET ? "0.0.0.0" : "::", kNodePort}) == 0);
    CHECK(client.peer() == at);
  }
}

TEST_CASE("all of 127.0.0.0/8 is localhost, and no more") {
  Node node;
  node.serve(IPPROTO_UDP, {{{kNet4.node, kNodePort}, WEIR_FRONTEND_NODE_PORT}}, {kNet4.pod0});
  node.set_address(kNet4.localhost, WEIR_ADDRESS_LOCALHOST);
  Socket client{AF_INET, SOCK_DGRAM};
  REQUIRE(client.connect({"127.200.3.4", kNodePort}) == 0);
  CHECK(node.count(WEIR_forward_host) == 1);
  CHECK(client.peer() == End{"127.200.3.4", kNodePort});
  REQUIRE(client.connect({kNet4.pod1, kNodePort}) == 0);
  CHECK(node.count(WEIR_forward_host) == 1);
}

TEST_CASE("IPv4 on an IPv6 socket") {
  Node node;
  node.set_address(kNet4.localhost, WEIR_ADDRESS_LOCALHOST);
  const int type = GENERATE(SOCK_STREAM, SOCK_DGRAM);
  const auto proto = static_cast<std::uint8_t>(type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP);
  node.serve(proto, every_frontend(kNet4), {kNet4.pod0});
  Socket server{AF_INET, type};
  server.listen_at({kNet4.pod0, kTarget});
  for (const auto& at :
       {End{"::ffff:" + kNet4.cluster_ip, kPort}, End{"::ffff:" + kNet4.localhost, kNodePort}}) {
    CAPTURE(at);
    Socket client{AF_INET6, type};
    REQUIRE(client.connect(at) == 0);
    CHECK(client.peer() == at);
    if (type == SOCK_STREAM) {
      CHECK(server.accept().peer().ip == kNet4.pod0);
      continue;
    }
    // Both kinds of use of one socket: the other address is named in the datagram.
    Socket free{AF_INET6, type};
    for (auto* socket : {&client, &free}) {
      REQUIRE((socket == &free ? free.send_to(at) : client.send("who")) == 0);
      const auto asked = server.receive();
      REQUIRE(asked);
      REQUIRE(server.send_to(asked->from, "here") == 0);
      const auto got = socket->receive();
      REQUIRE(got);
      CHECK(got->from == at);
    }
  }
}

TEST_CASE("every backend gets its share of connections", "[1.1/cluster-ip-equal-chance]") {
  Node node;
  node.serve(IPPROTO_TCP, {{{kNet4.cluster_ip, kPort}, WEIR_FRONTEND_CLUSTER_IP}},
             {kNet4.pod0, kNet4.pod1});
  Socket first{AF_INET, SOCK_STREAM};
  Socket second{AF_INET, SOCK_STREAM};
  first.listen_at({kNet4.pod0, kTarget});
  second.listen_at({kNet4.pod1, kTarget});
  for (int i = 0; i < 60; ++i) {
    Socket client{AF_INET, SOCK_STREAM};
    REQUIRE(client.connect({kNet4.cluster_ip, kPort}) == 0);
  }
  CHECK(node.backend(1).connections + node.backend(2).connections == 60);
  CHECK(node.backend(1).connections > 5);  // fails once in 10^12 runs
  CHECK(node.backend(2).connections > 5);
}

TEST_CASE("a socket without a connection keeps to its backend") {
  const Net& net = any_net();
  Node node;
  const auto id = node.serve(IPPROTO_UDP, every_frontend(net), {net.pod0, net.pod1});
  const End at{net.cluster_ip, kPort};
  Servers servers{net};
  Socket client{net.family, SOCK_DGRAM};
  node.prefer(id, 1);
  REQUIRE(client.send_to(at) == 0);
  REQUIRE(servers.answer() == 0);
  node.prefer(id, 2);  // what a new choice would be

  SECTION("while that is active") {}
  SECTION("while that terminates") {
    node.set_state(1, WEIR_BACKEND_TERMINATING);
  }
  for (int i = 0; i < 3; ++i) {
    REQUIRE(client.send_to(at) == 0);
    CHECK(servers.answer() == 0);
  }
  CHECK(node.backend(1).connections == 1);

  SECTION("not when it is gone") {
    node.set_state(1, WEIR_BACKEND_GONE);
    REQUIRE(client.send_to(at) == 0);
    CHECK(servers.answer() == 1);
  }
  SECTION("not when its entry is another's") {
    node.recycle(1);
    REQUIRE(client.send_to(at) == 0);
    CHECK(servers.answer() == 1);
  }
  SECTION("not when the address is another service's") {
    node.serve(IPPROTO_UDP, every_frontend(net), {net.pod1});
    REQUIRE(client.send_to(at) == 0);
    CHECK(servers.answer() == 1);
  }
  SECTION("a connection is a new choice, and what is sent along it follows") {
    REQUIRE(client.connect(at) == 0);
    REQUIRE(client.send_to(at) == 0);
    CHECK(servers.answer() == 1);
  }
}

TEST_CASE("a socket that goes straight to a former backend is told so") {
  const Net& net = any_net();
  Node node;
  node.serve(IPPROTO_UDP, {{{net.cluster_ip, kPort}, WEIR_FRONTEND_CLUSTER_IP}}, {net.pod0});
  Socket client{net.family, SOCK_DGRAM};
  REQUIRE(client.connect({net.cluster_ip, kPort}) == 0);
  REQUIRE(client.connect({net.pod0, kTarget}) == 0);
  CHECK(client.peer() == End{net.pod0, kTarget});
  const auto key = socket_key(client.cookie(), IPPROTO_UDP, {net.pod0, kTarget});
  REQUIRE(node.peer(key));
  CHECK(node.peer(key)->backend == 0);  // the agent has no business with it
}

TEST_CASE("nothing is kept of a socket that is closed") {
  const Net& net = any_net();
  Node node;
  constexpr std::uint16_t kServices = 100;
  for (std::uint16_t i = 0; i < kServices; ++i)
    node.serve(IPPROTO_UDP,
               {{{net.cluster_ip, static_cast<std::uint16_t>(1000 + i)}, WEIR_FRONTEND_CLUSTER_IP}},
               {net.pods + std::to_string(i + 1)});
  Socket client{net.family, SOCK_DGRAM};
  Socket bystander{net.family, SOCK_DGRAM};
  REQUIRE(bystander.connect({net.cluster_ip, 1000}) == 0);
  for (std::uint16_t i = 0; i < kServices; ++i)
    for (int again = 0; again < 2; ++again)
      static_cast<void>(client.send_to({net.cluster_ip, static_cast<std::uint16_t>(1000 + i)}));
  CHECK(node.peers() == kServices + 1);
  CHECK(node.stickies() == kServices + 1);

  SECTION("all of it") {
    client.close();
    CHECK(node.peers() == 1);
    CHECK(node.stickies() == 1);
    bystander.close();
    CHECK(node.peers() + node.stickies() == 0);
  }
  SECTION("all of it, though a record in the middle was written again") {
    node.serve(IPPROTO_UDP, {{{net.vip, kPort}, WEIR_FRONTEND_LOAD_BALANCER}}, {net.pods + "50"});
    node.recycle(50);
    static_cast<void>(client.send_to({net.cluster_ip, 1049}));
    static_cast<void>(client.send_to({net.vip, kPort}));
    CHECK(node.peers() == kServices + 1);
    CHECK(node.stickies() == kServices + 2);
    client.close();
    CHECK(node.peers() == 1);
    CHECK(node.stickies() == 1);
  }
  SECTION("up to a link that the table evicted") {
    const End backend{net.pods + "50", kTarget};
    node.erase_peer(socket_key(client.cookie(), IPPROTO_UDP, backend));
    client.close();
    CHECK(node.peers() == 49 + 1);
    CHECK(node.stickies() == 1);
  }
}

TEST_CASE("a record that is not this socket's is none") {
  const Net& net = any_net();
  Node node;
  node.serve(IPPROTO_UDP, {{{net.cluster_ip, kPort}, WEIR_FRONTEND_CLUSTER_IP}}, {net.pod0});
  Socket client{net.family, SOCK_DGRAM};
  REQUIRE(client.connect({net.cluster_ip, kPort}) == 0);
  const auto key = socket_key(client.cookie(), IPPROTO_UDP, {net.pod0, kTarget});
  auto torn = node.peer(key);
  REQUIRE(torn);
  torn->service.port = htons(4711);
  node.set_peer(key, *torn);
  CHECK(client.peer() == End{net.pod0, kTarget});
}

}  // namespace weir::test
