// SPDX-License-Identifier: Apache-2.0
// Runs the programs that an agent has pinned, and the reference beside them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "packet_frame.hpp"
#include "weir/abi.h"
#include "weir_bench_packet.skel.h"
#include "weir_bench_stages.skel.h"

namespace weir::bench {

struct Ran {
  std::uint32_t ns{};  // of one run, the harness included
  std::uint64_t changed{};
};

class Bench {
 public:
  Bench();

  // Enters the node's network namespace. mac: of its device, which frames are sent to.
  void target(const std::string& netns, const std::string& pins, const std::string& device,
              const std::string& mac);
  void aim(bool v4, const std::string& client, const std::string& frontend, std::uint16_t port);
  void establish(const std::string& program, std::uint32_t flows);
  void list(const std::string& kind, std::uint32_t count);
  Ran run(bool xdp, const std::string& program, std::uint32_t count);
  void load_stages();
  void forget();

 private:
  struct Deleter {
    void operator()(weir_bench_packet_bpf* skeleton) const {
      weir_bench_packet_bpf::destroy(skeleton);
    }
    void operator()(weir_bench_stages_bpf* skeleton) const {
      weir_bench_stages_bpf::destroy(skeleton);
    }
  };

  int program(const std::string& name);
  Bytes through(int program, bool xdp, const Bytes& frame) const;
  void refer(const Tuple& asked, const Bytes& sent) const;
  void establish_one(int program, bool xdp, const Tuple& asked);
  [[nodiscard]] Tuple tuple(std::uint32_t i) const;
  void fill(std::vector<Tuple> packets);

  std::unique_ptr<weir_bench_packet_bpf, Deleter> skeleton_;
  std::unique_ptr<weir_bench_stages_bpf, Deleter> stages_;
  std::map<std::string, int> programs_;  // by path of the pin
  std::string pins_;
  std::uint32_t ifindex_{};
  Aim aim_;
  std::vector<Tuple> established_, replies_;
  std::uint32_t fresh_{};
  std::mt19937 random_{1};  // NOLINT(bugprone-random-generator-seed): the same order each time
};

}  // namespace weir::bench
