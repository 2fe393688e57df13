// SPDX-License-Identifier: Apache-2.0
// Which of a service's two lists is in force: by frontend, policy, and where the client is.
#include <cstdlib>
#include <map>
#include <set>

#include "bpf/conversation.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

struct Case {
  weir_frontend kind;
  bool pod;  // the client is a pod of this node; otherwise behind the uplink
  std::uint32_t policies;
  bool local;  // the local list is in force
};

const std::vector<Case> kCases{
    {WEIR_FRONTEND_CLUSTER_IP, true, 0, false},
    {WEIR_FRONTEND_CLUSTER_IP, false, 0, false},
    {WEIR_FRONTEND_CLUSTER_IP, true, WEIR_VERSION_INTERNAL_LOCAL, true},
    {WEIR_FRONTEND_CLUSTER_IP, false, WEIR_VERSION_INTERNAL_LOCAL, true},
    {WEIR_FRONTEND_CLUSTER_IP, true, WEIR_VERSION_EXTERNAL_LOCAL, false},
    {WEIR_FRONTEND_CLUSTER_IP, false, WEIR_VERSION_EXTERNAL_LOCAL, false},
    {WEIR_FRONTEND_NODE_PORT, true, 0, false},
    {WEIR_FRONTEND_NODE_PORT, false, 0, false},
    {WEIR_FRONTEND_NODE_PORT, true, WEIR_VERSION_EXTERNAL_LOCAL, false},
    {WEIR_FRONTEND_NODE_PORT, false, WEIR_VERSION_EXTERNAL_LOCAL, true},
    {WEIR_FRONTEND_NODE_PORT, true, WEIR_VERSION_INTERNAL_LOCAL, false},
    {WEIR_FRONTEND_NODE_PORT, false, WEIR_VERSION_INTERNAL_LOCAL, false},
    {WEIR_FRONTEND_LOAD_BALANCER, true, WEIR_VERSION_EXTERNAL_LOCAL, false},
    {WEIR_FRONTEND_LOAD_BALANCER, false, WEIR_VERSION_EXTERNAL_LOCAL, true},
    {WEIR_FRONTEND_LOAD_BALANCER, false, WEIR_VERSION_INTERNAL_LOCAL, false},
    {WEIR_FRONTEND_EXTERNAL_IP, true, WEIR_VERSION_EXTERNAL_LOCAL, false},
    {WEIR_FRONTEND_EXTERNAL_IP, false, WEIR_VERSION_EXTERNAL_LOCAL, true},
    {WEIR_FRONTEND_EXTERNAL_IP, false, WEIR_VERSION_INTERNAL_LOCAL, false},
};

Endpoint address_of(const Case& row, const World& world) {
  switch (row.kind) {
    case WEIR_FRONTEND_CLUSTER_IP:
      return {world.cluster_ip, 80};
    case WEIR_FRONTEND_NODE_PORT:
      return {world.node, 30080};
    default:
      return {world.vip, 443};
  }
}

std::string describe(const Case& row) {
  std::string text = "frontend " + std::to_string(row.kind) + (row.pod ? ", pod" : ", uplink");
  if (row.policies & WEIR_VERSION_INTERNAL_LOCAL) text += ", internal Local";
  if (row.policies & WEIR_VERSION_EXTERNAL_LOCAL) text += ", external Local";
  return text;
}

Ran run(Datapath& dp, const Case& row, const World& world, std::uint16_t port) {
  const auto to = address_of(row, world);
  if (row.pod) {
    const auto request = from_pod(IPPROTO_UDP, {world.pod0, port}, to);
    return dp.run(Hook::kPodIn, Device::kPod0, request.frame());
  }
  const auto request = from_uplink(IPPROTO_UDP, {world.client, port}, to);
  return dp.run(Hook::kUpIn, Device::kUp0, request.frame());
}

Service with_backends(const Case& row, const World& world, std::vector<Backend> backends) {
  return {.proto = IPPROTO_UDP,
          .frontends = {{address_of(row, world), row.kind}},
          .backends = std::move(backends),
          .policies = row.policies};
}

}  // namespace

TEST_CASE("backends come from the list in force, and all of them do",
          "[1.2/external-cluster][1.2/external-local][1.2/external-local-pods]"
          "[1.2/internal-local][1.2/internal-local-external]") {
  for (const auto& row : kCases) {
    in_both_worlds([&](Datapath& dp, const World& world) {
      INFO(describe(row));
      dp.serve(
          with_backends(row, world, {{{world.pod1, 8080}, true}, {{world.remote, 8080}, false}}));
      std::set<std::string> reached;
      for (std::uint16_t port = 2000; port < 2064; ++port) {
        const auto parsed = parse(run(dp, row, world, port).out);
        reached.insert(parsed.value().daddr);
      }
      std::set<std::string> wanted{world.pod1};
      if (!row.local) wanted.insert(world.remote);
      CHECK(reached == wanted);
    });
  }
}

TEST_CASE("endpoints only elsewhere: policy Local drops, and nothing else does",
          "[1.2/internal-local-silence][1.3/drop-local]") {
  for (const auto& row : kCases) {
    in_both_worlds([&](Datapath& dp, const World& world) {
      INFO(describe(row));
      dp.serve(with_backends(row, world, {{{world.remote, 8080}, false}}));
      const auto ran = run(dp, row, world, 2000);
      if (row.local) {
        CHECK(ran.verdict == Verdict::kDrop);
        CHECK(ran.counted == Names{"drop_no_local_endpoint"});
      } else {
        CHECK(ran.verdict == (row.pod ? Verdict::kNext : Verdict::kRedirect));
      }
    });
  }
}

TEST_CASE("no endpoint at all: every frontend answers, whatever the policy", "[1.3/reject]") {
  for (const auto& row : kCases) {
    in_both_worlds([&](Datapath& dp, const World& world) {
      INFO(describe(row));
      dp.serve(with_backends(row, world, {}));
      const auto ran = run(dp, row, world, 2000);
      CHECK(ran.verdict == Verdict::kRedirect);
      CHECK(ran.counted == Names{"answer_unreachable"});
    });
  }
}

TEST_CASE("XDP drops and leaves alone by the same lists") {
  for (const auto& row : kCases) {
    if (row.pod) continue;
    in_both_worlds([&](Datapath& dp, const World& world) {
      INFO(describe(row));
      dp.serve(with_backends(row, world, {{{world.remote, 8080}, false}}));
      dp.allow_xdp_to(Device::kUp0);
      const auto request =
          from_uplink(IPPROTO_UDP, {world.client, 2000}, address_of(row, world)).frame();
      const auto ran = dp.run(Hook::kXdp, Device::kUp0, request);
      CHECK(ran.verdict == (row.local ? Verdict::kDrop : Verdict::kRedirect));
    });
  }
}

TEST_CASE("an equal list is used evenly", "[1.1/cluster-ip-equal-chance]") {
  Datapath dp;
  const Case row{WEIR_FRONTEND_CLUSTER_IP, true, 0, false};
  std::vector<Backend> backends;
  for (std::uint16_t i = 0; i < 4; ++i)
    backends.push_back({{kV4.remote, static_cast<std::uint16_t>(8000 + i)}, false});
  dp.serve(with_backends(row, kV4, backends));
  std::map<std::uint16_t, int> reached;
  constexpr int kFlows = 2000;
  for (std::uint16_t i = 0; i < kFlows; ++i)
    ++reached[parse(run(dp, row, kV4, static_cast<std::uint16_t>(2000 + i)).out).value().dport];
  REQUIRE(reached.size() == 4);
  // Five standard deviations of a binomial of 2000 and 1/4. The seed is fixed.
  for (const auto& [port, flows] : reached) CHECK(std::abs(flows - kFlows / 4) < 97);
}

TEST_CASE("tables that contradict one another drop") {
  in_both_worlds([](Datapath& dp, const World& world) {
    const Case row{WEIR_FRONTEND_CLUSTER_IP, true, 0, false};
    const auto service = with_backends(row, world, {{{world.remote, 8080}, false}});
    const auto served = dp.serve(service);
    dp.publish({.id = served.id, .backends = {0}}, service, 50);  // a slot without backend
    CHECK(run(dp, row, world, 2000).counted == Names{"drop_table"});
    dp.unpublish(served);
    CHECK(run(dp, row, world, 2001).counted == Names{"answer_unreachable"});
  });
}

}  // namespace weir::test
