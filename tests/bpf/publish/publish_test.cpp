// SPDX-License-Identifier: Apache-2.0
// No packet sees a mix of two publications, a freed backend or none, while services with several
// frontends are published as fast as reconcile() and the grace period allow.
#include <chrono>

#include "bpf/publish/torn.hpp"
#include "bpf/publish/traffic.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

constexpr std::chrono::seconds kTime{8};
constexpr std::uint32_t kRounds = 100;  // however busy the machine is
constexpr int kTornRounds = 30;
constexpr std::uint64_t kServicePorts = kServices * 4;  // two protocols, two families

Tally torn(const Installation::Execute& execute) {
  Installation installation;
  installation.publish(cluster_at(0));
  Traffic traffic{installation, 0};
  for (int i = 0; i < kTornRounds; ++i) traffic.publish(execute);
  return traffic.stop();
}

TEST_CASE("every packet sees a service port before or after a publication, never in between") {
  Installation installation;
  installation.publish(cluster_at(0));
  Traffic traffic{installation, 0};
  const auto end = std::chrono::steady_clock::now() + kTime;
  while ((std::chrono::steady_clock::now() < end || traffic.round() < kRounds) &&
         traffic.round() < kMaxRound)
    traffic.publish(Installation::execute_all);
  const auto rounds = traffic.round();
  const auto tally = traffic.stop();
  WARN(rounds << " publications of " << kServicePorts << " service ports: " << tally.text());
  CHECK(tally.faults.empty());
  CHECK(tally.packets > 10'000);
  CHECK(tally.again > 1'000);
  // One service has nobody for clients outside in every other round: 3 of 64 packets.
  CHECK(tally.answered > (tally.packets + tally.again) / 10 * 9);
}

TEST_CASE("the checker finds lists and policies of different publications") {
  const auto tally = torn(version_in_place);
  WARN(tally.text());
  CHECK(tally.of(Fault::kMixed) > 0);
  CHECK(tally.of(Fault::kUnanswered) > 0);
}

TEST_CASE("the checker finds slots that are written while they are in use") {
  const auto tally = torn(slots_in_place);
  WARN(tally.text());
  CHECK(tally.of(Fault::kBackwards) > 0);
}

TEST_CASE("the checker finds a version that is published before it is written") {
  const auto tally = torn(published_first);
  WARN(tally.text());
  CHECK(tally.of(Fault::kFreed) > 0);
}

TEST_CASE("the checker finds backend entries that are reused while they are in a list") {
  const auto tally = torn(reused_at_once);
  WARN(tally.text());
  CHECK(tally.of(Fault::kForeign) > 0);
}

TEST_CASE("the checker finds datagrams of flows that nobody told of a change") {
  const auto tally = torn(without_epoch);
  WARN(tally.text());
  CHECK(tally.of(Fault::kFreed) > 0);
}

}  // namespace
}  // namespace weir::test
