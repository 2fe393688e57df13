// SPDX-License-Identifier: Apache-2.0
#include "bpf/publish/traffic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <random>
#include <sstream>
#include <utility>

#include "support/one_cpu.hpp"

namespace weir::test {
namespace {

constexpr std::size_t kExamples = 5;
constexpr std::size_t kRemembered = 64;  // flows of datagrams that are gone on with
constexpr unsigned kAgainEvery = 4;

// A service port: what one word publishes.
std::size_t port_of(const Target& target) {
  return target.service * 4U + (target.protocol == Protocol::udp ? 2U : 0U) +
         (target.family == Family::ipv6 ? 1U : 0U);
}

}  // namespace

std::string_view to_string(Fault fault) {
  switch (fault) {
    case Fault::kUnanswered:
      return "unanswered";
    case Fault::kForeign:
      return "foreign";
    case Fault::kFreed:
      return "freed";
    case Fault::kEarly:
      return "early";
    case Fault::kMixed:
      return "mixed";
    case Fault::kBackwards:
      return "backwards";
  }
  return "?";
}

std::optional<Fault> judge(const Target& target, const Outcome& outcome, Window window) {
  if (!outcome.answered) {
    for (auto round = window.from; round <= window.to; ++round)
      if (!who_answers(target, round)) return std::nullopt;
    return Fault::kUnanswered;
  }
  if (!outcome.backend || outcome.backend->service != target.service) return Fault::kForeign;
  if (outcome.backend->round < window.from) return Fault::kFreed;
  if (outcome.backend->round > window.to) return Fault::kEarly;
  if (who_answers(target, outcome.backend->round) != outcome.backend->list) return Fault::kMixed;
  return std::nullopt;
}

void Tally::note(Fault fault, const Target& target, const Outcome& outcome, Window window) {
  ++faults[fault];
  if (examples.size() >= kExamples) return;
  std::ostringstream line;
  line << to_string(fault) << ": " << target << ", rounds " << window.from << " to " << window.to
       << ", got ";
  if (outcome.answered)
    line << endpoint_text(Address{outcome.addr}, outcome.port);
  else
    line << "nothing";
  examples.push_back(line.str());
}

void Tally::add(const Tally& other) {
  packets += other.packets;
  again += other.again;
  answered += other.answered;
  for (const auto& [fault, count] : other.faults) faults[fault] += count;
  examples.insert(examples.end(), other.examples.begin(), other.examples.end());
}

std::uint64_t Tally::of(Fault fault) const {
  const auto found = faults.find(fault);
  return found == faults.end() ? 0 : found->second;
}

std::string Tally::text() const {
  std::string text =
      fmt::format("{} new flows, {} further datagrams, {} answered", packets, again, answered);
  for (const auto& [fault, count] : faults) text += fmt::format(", {} {}", count, to_string(fault));
  for (const auto& example : examples) text += "\n  " + example;
  return text;
}

// What one thread does and remembers.
class Traffic::Client {
 public:
  Client(const Traffic& traffic, unsigned cpu, Tally& tally)
      : traffic_{traffic},
        prober_{traffic.installation_, static_cast<std::uint8_t>(16 + cpu)},
        random_{cpu + 1},
        tally_{tally} {}

  void step() {
    if (straddling_ && traffic_.done_ == traffic_.begun_)
      return again(*std::exchange(straddling_, std::nullopt));
    if (flows_.size() == kRemembered && random_() % kAgainEvery == 0)
      return again(flows_.at(random_() % kRemembered));
    fresh();
  }

 private:
  void fresh() {
    Flow flow = prober_.fresh(random_() % prober_.targets().size());
    const auto [outcome, window] = send(flow);
    ++tally_.packets;
    auto fault = judge(*flow.target, outcome, window);
    if (outcome.backend && !fault) {
      auto& latest = seen_.at(port_of(*flow.target));
      if (outcome.backend->round < latest) fault = Fault::kBackwards;
      latest = std::max(latest, outcome.backend->round);
    }
    if (fault) tally_.note(*fault, *flow.target, outcome, window);
    if (flow.target->protocol != Protocol::udp) return;
    if (window.from != window.to) straddling_ = flow;
    flows_.push_back(std::move(flow));
    if (flows_.size() > kRemembered) flows_.pop_front();
  }

  void again(const Flow& flow) {
    const auto [outcome, window] = send(flow);
    ++tally_.again;
    if (const auto fault = judge(*flow.target, outcome, window))
      tally_.note(*fault, *flow.target, outcome, window);
  }

  std::pair<Outcome, Window> send(const Flow& flow) {
    const std::uint32_t from = traffic_.done_;
    const auto outcome = prober_.send(flow);
    if (outcome.answered) ++tally_.answered;
    return {outcome, {.from = from, .to = traffic_.begun_}};
  }

  const Traffic& traffic_;
  Prober prober_;
  std::minstd_rand random_;
  Tally& tally_;
  std::array<std::uint32_t, std::size_t{kServices} * 4> seen_{};  // latest round of a service port
  std::deque<Flow> flows_;                                        // of datagrams, to go on with
  // Opened while a round was published. Its next datagram, as soon as that is done, must not go
  // to a backend that left meanwhile.
  std::optional<Flow> straddling_;
};

Traffic::Traffic(Installation& installation, std::uint32_t round)
    : installation_{installation},
      begun_{round},
      done_{round},
      tallies_(std::max(2U, std::thread::hardware_concurrency())) {
  for (unsigned cpu = 0; cpu < tallies_.size(); ++cpu)
    threads_.emplace_back([this, cpu](const std::stop_token& stop) {
      const OneCpu here{cpu};
      Client client{*this, cpu, tallies_.at(cpu)};
      while (!stop.stop_requested()) client.step();
    });
}

Tally Traffic::stop() {
  threads_.clear();  // asks each to stop, and waits
  Tally all;
  for (const auto& tally : tallies_) all.add(tally);
  return all;
}

void Traffic::publish(const Installation::Execute& execute) {
  const std::uint32_t round = begun_ + 1;
  begun_ = round;
  installation_.publish(
      cluster_at(round),
      [&](kernel::Tables& tables, const ProgrammedTables& before, const Reconciled& next) {
        auto writes = next;
        const bool grace =
            !writes.operations.empty() && std::holds_alternative<Grace>(writes.operations.back());
        if (grace) writes.operations.pop_back();
        execute(tables, before, writes);
        done_ = round;
        if (grace) need(tables.execute({Grace{}}));
      });
}

}  // namespace weir::test
