// SPDX-License-Identifier: Apache-2.0
// Planner, reconciler, tables and the datapath's core, as `weir trace` runs it, against a model
// that knows none of them.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "bpf/oracle/datapath_run.hpp"
#include "bpf/oracle/random_cluster.hpp"
#include "bpf/oracle/traced.hpp"
#include "bpf/publish/installation.hpp"
#include "bpf/topology.hpp"
#include "kernel/trace.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

constexpr unsigned kStates = 10'000;
constexpr unsigned kQuestions = 6;  // of each state

// Whom the backend sees: the client, unless it could not answer it, or is the client.
std::string source_nat(const naive::Question& asked, const naive::Answer& answer,
                       const std::string& backend) {
  const bool v4 = asked.to.family() == Family::ipv4;
  const auto& world = v4 ? kV4 : kV6;
  const bool itself = backend.find(asked.client.to_string()) != std::string::npos;
  const bool nat = asked.from == naive::From::outside ? !answer.here.contains(backend)
                   : asked.from == naive::From::pod   ? itself
                                                      : false;
  return nat ? world.node : "";
}

// As if some backends had connections: what is taken away stays in the tables for their sake.
void drift_flows(const kernel::Pins& pins, unsigned state) {
  auto backends = need(kernel::MappedArray<weir_backend>::open(pins, "weir_backend", true));
  for (std::uint32_t i = 1; i < backends.size(); ++i) {
    auto& backend = backends[i];
    if (backend.state == WEIR_BACKEND_FREE) continue;
    const bool talks = backend.state != WEIR_BACKEND_GONE && (i + state) % 5 == 0;
    backend.live = talks || (backend.live > 0 && (i + state) % 3 != 0) ? 1 : 0;
  }
}

}  // namespace

TEST_CASE("random clusters: planner, tables and trace agree with a naive model") {
  const auto node = this_node();
  auto told = settings();
  told.service_blocks = node.cluster_ip_blocks;
  Installation weir{told};
  auto tracer = need(kernel::Tracer::open(weir.pins()));
  RandomCluster random{20261125};
  std::map<naive::Fate, unsigned> fates;
  std::set<std::string> answers;  // which kinds of them: frontend, edge, list, fate
  std::uint16_t port = 1024;      // of the client: another flow each time
  for (unsigned state = 0; state < kStates; ++state) {
    const auto& cluster = random.next();
    if (state % 50 < 40) drift_flows(weir.pins(), state);
    weir.publish(plan(cluster, view_of(node)), without_grace);
    for (unsigned i = 0; i < kQuestions; ++i) {
      const auto asked = random.question();
      const auto expected = naive::decide(cluster, node, asked);
      if (!expected) continue;
      const auto said = trace(tracer, weir.pins(), asked, ++port);
      INFO("state " << state << ": " << asked);
      REQUIRE(said.answer == *expected);
      if (expected->fate == naive::Fate::forward) {
        REQUIRE(expected->backends.contains(said.backend));
        REQUIRE(said.source_nat == source_nat(asked, *expected, said.backend));
      }
      if (i < 2 && asked.from != naive::From::host && asked.protocol != Protocol::sctp) {
        const auto happened = run_datapath(weir, asked, port);
        // So many refusals at once reach the limit of answers.
        const bool limited =
            expected->fate == naive::Fate::reject && happened.fate == naive::Fate::drop;
        REQUIRE((limited || happened.fate == expected->fate));
        REQUIRE((happened.fate != naive::Fate::forward ||
                 (happened.to == said.backend &&
                  (said.source_nat.empty() || happened.from == said.source_nat))));
      }
      ++fates[expected->fate];
      answers.insert(fmt::format("{} {} {} {}", expected->frontend, static_cast<int>(asked.from),
                                 expected->list, static_cast<int>(expected->fate)));
    }
  }
  // All that there is was asked for, and often.
  for (const auto fate :
       {naive::Fate::pass, naive::Fate::forward, naive::Fate::drop, naive::Fate::reject})
    CHECK(fates[fate] > kStates / 10);
  CHECK(answers.size() == 54);
}

}  // namespace weir::test
