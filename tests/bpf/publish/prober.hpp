// SPDX-License-Identifier: Apache-2.0
// Sends single packets through the ingress programs and says which backend they were given to.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "bpf/publish/installation.hpp"
#include "bpf/publish/scene.hpp"
#include "support/frame.hpp"

namespace weir::test {

struct Outcome {
  bool answered{};                    // it goes to somebody
  std::optional<BackendTag> backend;  // who that is; nullopt: no backend that ever was
  weir_addr addr{};
  std::uint16_t port{};
};

// A packet ready to be sent, again and again: one flow.
struct Flow {
  const Target* target{};
  Bytes frame;
};

// Of one thread. Frames are made once and then only get another source: the checksum is not
// right, and the programs must not care (a router does not look at it either).
class Prober {
 public:
  // Probers of different number never use each other's flows.
  Prober(const Installation& installation, std::uint8_t number);

  [[nodiscard]] const std::vector<Target>& targets() const { return targets_; }
  // A flow that was never there before.
  [[nodiscard]] Flow fresh(std::size_t target);
  Outcome send(const Flow& flow);

 private:
  std::vector<Target> targets_;
  std::vector<Bytes> frames_;  // one a target
  std::array<int, 2> programs_{};
  std::array<std::uint32_t, 2> devices_{};
  std::uint8_t number_;
  std::uint32_t next_{};
  Bytes out_;
};

// Any packet at all, through any program of tc.
Outcome send_raw(int program, std::uint32_t ifindex, const Bytes& frame, const Target& target,
                 Bytes& out);

}  // namespace weir::test
