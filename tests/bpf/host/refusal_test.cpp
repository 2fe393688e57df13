// SPDX-License-Identifier: Apache-2.0
// What a process is refused, what is left alone, and what the programs cost.
#include <netinet/in.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <string>
#include <thread>

#include "bpf/host/node.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

struct Kind {
  int type;
  std::uint8_t proto;
};

Kind any_kind() {
  return GENERATE(Kind{SOCK_STREAM, IPPROTO_TCP}, Kind{SOCK_DGRAM, IPPROTO_UDP});
}

const Net& any_net() {
  return *GENERATE(&kNet4, &kNet6);
}

// By connect(), and by a datagram that names the address.
void check_error(const Net& net, const Kind& kind, const End& to, int error) {
  CAPTURE(to, kind.type);
  CHECK(Socket{net.family, kind.type}.connect(to) == error);
  if (kind.type == SOCK_DGRAM) CHECK(Socket{net.family, kind.type}.send_to(to) == error);
}

std::uint64_t sum_of_host_counters(const Node& node) {
  std::uint64_t sum = 0;
  for (int i = WEIR_forward_host; i <= WEIR_host_unnoted; ++i)
    sum += node.count(static_cast<weir_counter>(i));
  return sum;
}

}  // namespace

TEST_CASE("refused at once", "[1.1/cluster-ip-unknown-port][1.3/reject-connect]") {
  const Net& net = any_net();
  const Kind kind = any_kind();
  Node node;
  const End cluster_ip{net.cluster_ip, kPort};
  const End node_port{net.node, kNodePort};
  node.serve(kind.proto,
             {{cluster_ip, WEIR_FRONTEND_CLUSTER_IP}, {node_port, WEIR_FRONTEND_NODE_PORT}}, {});
  SECTION("no endpoint anywhere") {
    check_error(net, kind, cluster_ip, ECONNREFUSED);
    check_error(net, kind, node_port, ECONNREFUSED);
  }
  SECTION("a port that the address does not have") {
    check_error(net, kind, {net.cluster_ip, 81}, ECONNREFUSED);
  }
  SECTION("a port that it has for the other protocol only") {
    const Kind other =
        kind.type == SOCK_STREAM ? Kind{SOCK_DGRAM, IPPROTO_UDP} : Kind{SOCK_STREAM, IPPROTO_TCP};
    check_error(net, other, cluster_ip, ECONNREFUSED);
  }
  CHECK(node.count(WEIR_answer_host_refused) == sum_of_host_counters(node));
  CHECK(node.peers() + node.stickies() == 0);
}

TEST_CASE("policies: internal Local binds the node, external Local does not",
          "[1.2/internal-local][1.2/internal-local-silence][1.2/external-local-node]") {
  const Net& net = any_net();
  const Kind kind = any_kind();
  Node node;
  const End cluster_ip{net.cluster_ip, kPort};
  const End vip{net.vip, kPort};
  const End node_port{net.node, kNodePort};
  const std::vector<Frontend> frontends{{cluster_ip, WEIR_FRONTEND_CLUSTER_IP},
                                        {vip, WEIR_FRONTEND_LOAD_BALANCER},
                                        {node_port, WEIR_FRONTEND_NODE_PORT}};
  Socket server{net.family, kind.type};
  server.listen_at({net.pod0, kTarget});
  SECTION("endpoints only elsewhere: what silence would end in") {
    node.serve(kind.proto, frontends, {net.pod0}, {}, WEIR_VERSION_INTERNAL_LOCAL);
    check_error(net, kind, cluster_ip, ETIMEDOUT);
    CHECK(node.count(WEIR_drop_host_no_local) == sum_of_host_counters(node));
    check_error(net, kind, vip, 0);
    check_error(net, kind, node_port, 0);
  }
  SECTION("an endpoint here: no other") {
    node.serve(kind.proto, frontends, {net.pod1}, {net.pod0}, WEIR_VERSION_INTERNAL_LOCAL);
    check_error(net, kind, cluster_ip, 0);
    CHECK(node.backend(1).connections == 0);
    CHECK(node.backend(2).connections > 0);
  }
  SECTION("external Local") {
    node.serve(kind.proto, frontends, {net.pod0}, {}, WEIR_VERSION_EXTERNAL_LOCAL);
    for (const auto& to : {cluster_ip, vip, node_port}) check_error(net, kind, to, 0);
  }
}

TEST_CASE("source ranges: a process is let in if an address of its node is",
          "[1.2/source-ranges-node][1.2/source-ranges-pods-and-node]") {
  const Net& net = any_net();
  const Kind kind = any_kind();
  Node node;
  const End cluster_ip{net.cluster_ip, kPort};
  const End vip{net.vip, kPort};
  const auto service = node.serve(
      kind.proto, {{cluster_ip, WEIR_FRONTEND_CLUSTER_IP}, {vip, WEIR_FRONTEND_LOAD_BALANCER}},
      {net.pod0});
  Socket server{net.family, kind.type};
  server.listen_at({net.pod0, kTarget});
  node.bind_ranges(service, false);
  check_error(net, kind, vip, ETIMEDOUT);
  check_error(net, kind, cluster_ip, 0);
  node.bind_ranges(service, true);
  check_error(net, kind, vip, 0);
}

TEST_CASE("left alone") {
  const Net& net = any_net();
  const Kind kind = any_kind();
  Node node;
  const End cluster_ip{net.cluster_ip, kPort};
  node.serve(kind.proto, {{cluster_ip, WEIR_FRONTEND_CLUSTER_IP}}, {net.pod0});
  Socket server{net.family, kind.type};
  server.listen_at({net.pod0, kTarget});

  SECTION("a stranger's address") {
    check_error(net, kind, {net.pod0, kTarget}, 0);
    CHECK(node.count(WEIR_pass_host_stranger) == sum_of_host_counters(node));
  }
  SECTION("an address that only a backend has, or that a service gave up") {
    for (const auto bits : {WEIR_ADDRESS_BACKEND | WEIR_ADDRESS_LOCAL, int{WEIR_ADDRESS_PAST}}) {
      node.set_address(net.pod0, static_cast<std::uint32_t>(bits));
      check_error(net, kind, {net.pod0, kTarget}, 0);
    }
    CHECK(node.count(WEIR_pass_host_stranger) == sum_of_host_counters(node));
  }
  SECTION("a port of the node that is no service's") {
    Socket own{net.family, kind.type};
    own.listen_at({net.node, 22});
    check_error(net, kind, {net.node, 22}, 0);
    CHECK(node.count(WEIR_pass_host_no_service) == sum_of_host_counters(node));
  }
  SECTION("everything, where another namespace is served") {
    node.set_netns(own_netns_cookie() + 1);
    check_error(net, kind, cluster_ip, ENETUNREACH);
    CHECK(sum_of_host_counters(node) == 0);
  }
  SECTION("everything, where the host edge is off") {
    node.set_netns(0);
    check_error(net, kind, cluster_ip, ENETUNREACH);
    CHECK(sum_of_host_counters(node) == 0);
  }
  CHECK(node.peers() + node.stickies() == 0);
}

TEST_CASE("a process of another network namespace in the same cgroup is left alone") {
  const Net& net = any_net();
  const Kind kind = any_kind();
  Node node;
  node.serve(kind.proto, {{{net.cluster_ip, kPort}, WEIR_FRONTEND_CLUSTER_IP}}, {net.pod0});
  Socket server{net.family, kind.type};
  server.listen_at({net.pod0, kTarget});
  int before = -1;
  int there = -1;
  std::thread{[&] {
    Socket own{net.family, kind.type};  // made here, used from there: it stays this node's
    if (::unshare(CLONE_NEWNET) != 0) return;
    before = own.connect({net.cluster_ip, kPort});
    set_up_loopback({net.cluster_ip});
    Socket server_there{net.family, kind.type};
    server_there.listen_at({net.cluster_ip, kPort});
    there = Socket{net.family, kind.type}.connect({net.cluster_ip, kPort});
  }}.join();
  CHECK(before == 0);
  CHECK(there == 0);
  CHECK(sum_of_host_counters(node) == 1);
}

TEST_CASE("tables that contradict each other end the attempt") {
  Node node;
  const End to{kNet4.cluster_ip, kPort};
  node.serve(IPPROTO_TCP, {{to, WEIR_FRONTEND_CLUSTER_IP}}, {kNet4.pod0});
  node.prefer(1, 0);  // a slot of no backend
  CHECK(Socket{AF_INET, SOCK_STREAM}.connect(to) == ETIMEDOUT);
  node.prefer(1, 2);  // a backend of no service
  CHECK(Socket{AF_INET, SOCK_STREAM}.connect(to) == ETIMEDOUT);
  CHECK(node.count(WEIR_drop_host_table) == 2);
}

TEST_CASE("no program of the host edge has grown by a tenth") {
  // A tenth above the largest from clang 13, 14 and 22 on Linux 6.18.
  const std::map<std::string, std::uint32_t> budget{
      {"weir_connect4", 7480}, {"weir_connect6", 8540}, {"weir_sendmsg4", 5610},
      {"weir_sendmsg6", 6570}, {"weir_recvmsg4", 112},  {"weir_recvmsg6", 122},
      {"weir_peername4", 398}, {"weir_peername6", 459}, {"weir_release", 4540},
  };
  const auto verified = verified_instructions();
  CHECK(verified.size() == budget.size());
  for (const auto& [name, count] : verified) {
    CAPTURE(name);
    CHECK(count < budget.at(name));
  }
}

}  // namespace weir::test
