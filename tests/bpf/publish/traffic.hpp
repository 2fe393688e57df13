// SPDX-License-Identifier: Apache-2.0
// New flows from every CPU while rounds are published, each packet judged by the rounds that were
// in force between the moment it was sent and the moment it was answered.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "bpf/publish/installation.hpp"
#include "bpf/publish/prober.hpp"

namespace weir::test {

enum class Fault : std::uint8_t {
  kUnanswered,  // although every round in question has somebody
  kForeign,     // another service's backend, or half of one entry and half of another
  kFreed,       // of a round that was over before the packet was sent
  kEarly,       // of a round that had not begun
  kMixed,       // right round, wrong list: policy of one state, lists of another
  kBackwards,   // the service port was in a later round already, for the same client
};

std::string_view to_string(Fault fault);

// Rounds in question: the last that was complete before the packet, the last begun after it.
struct Window {
  std::uint32_t from{};
  std::uint32_t to{};
};

std::optional<Fault> judge(const Target& target, const Outcome& outcome, Window window);

struct Tally {
  std::uint64_t packets{};  // of new flows
  std::uint64_t again{};    // further datagrams of flows
  std::uint64_t answered{};
  std::map<Fault, std::uint64_t> faults;
  std::vector<std::string> examples;

  void note(Fault fault, const Target& target, const Outcome& outcome, Window window);
  void add(const Tally& other);
  [[nodiscard]] std::uint64_t of(Fault fault) const;
  [[nodiscard]] std::string text() const;
};

// Runs while it lives. Round 0 is published before, the others by publish().
class Traffic {
 public:
  Traffic(Installation& installation, std::uint32_t round);
  Tally stop();

  // One round more. `execute` carries out everything but the last grace, so that the packets
  // sent from then on are held to the new round, while those in flight may still see the old.
  void publish(const Installation::Execute& execute);
  [[nodiscard]] std::uint32_t round() const { return begun_; }

 private:
  class Client;

  Installation& installation_;
  std::atomic<std::uint32_t> begun_;
  std::atomic<std::uint32_t> done_;
  std::vector<Tally> tallies_;
  std::vector<std::jthread> threads_;
};

}  // namespace weir::test
