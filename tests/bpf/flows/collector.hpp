// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "weir/abi.h"

struct weir_expiry_bpf;  // NOLINT(readability-identifier-naming): the skeleton's name

namespace weir::test {

struct Pair {
  weir_flow_key key{};  // of the forward half
  weir_flow forward{};
  weir_flow reply{};
};

// One backend's flow number `number`, seen last at `touched` in both directions.
Pair make_pair(std::uint32_t number, std::uint8_t proto, std::uint32_t touched);
std::uint32_t number_of(const weir_flow_key& key);  // of either half
weir_flow_key reply_key(const Pair& pair);

// Since the last packet, in ticks.
struct Lifetimes {
  std::uint32_t tcp{};
  std::uint32_t half_closed{};  // one FIN seen
  std::uint32_t closing{};      // both, or a RST
  std::uint32_t udp{};
};

// The expiry program over maps of its own, which go with it, and the timer with them.
class Collector {
 public:
  static constexpr std::uint32_t kBackend = 3;

  explicit Collector(std::uint32_t flows);
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  void set_lifetimes(const Lifetimes& ticks);
  void add(const std::vector<Pair>& pairs);  // flows, and their places in the queue
  void add_stale(const weir_flow_key& key, std::uint32_t token);  // a place alone
  void erase(const weir_flow_key& key);
  void arm();

  // Every key in the flow table, of both halves.
  [[nodiscard]] std::vector<weir_flow_key> keys() const;
  [[nodiscard]] weir_backend backend() const;
  [[nodiscard]] weir_state state() const;
  std::uint64_t take_longest();  // ns, of one callback since the last call

 private:
  [[nodiscard]] int map(const std::string& name) const;
  void push(const weir_flow_key& key, std::uint32_t token);
  void write_backend();
  void flush(const std::vector<weir_flow_key>& keys, const std::vector<weir_flow>& values);

  std::unique_ptr<weir_expiry_bpf, void (*)(weir_expiry_bpf*)> object_;
  weir_state* state_{};
};

}  // namespace weir::test
