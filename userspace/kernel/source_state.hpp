// SPDX-License-Identifier: Apache-2.0
// weir_source: how the agent stands with the API, for `weir status`, which needs no agent.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "kernel/map.hpp"

namespace weir::kernel {

// What the pinned map holds, by enum weir_source_resource. Nothing: tables of an agent that did
// not have it yet.
using SourceStates = std::array<weir_source, WEIR_SOURCE_MAX>;
Result<std::optional<SourceStates>> read_source_states(const Pins& pins);

// The agent's side. One thread.
class SourceState {
 public:
  // All resources are not started, and nothing was heard.
  static Result<SourceState> open(const Pins& pins, weir_source_kind kind);

  // What has just happened to a resource: the state that it is in now, again or anew, and whether
  // the API server said something. To leave WATCHING is a restart. Cheap enough for every event.
  void note(weir_source_resource resource, weir_source_state state, bool heard);

 private:
  explicit SourceState(MappedArray<weir_source> map) : map_{std::move(map)} {}

  MappedArray<weir_source> map_;
};

}  // namespace weir::kernel
