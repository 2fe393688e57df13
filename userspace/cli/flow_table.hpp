// SPDX-License-Identifier: Apache-2.0
// Flows as pairs: one value for the two records that the kernel half keeps of each.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/abi.hpp"
#include "base/result.hpp"
#include "cli/parse.hpp"
#include "kernel/pins.hpp"

namespace weir::cli {

// The two keys say everything about the addresses: forward is client -> frontend, reply is
// backend -> source (the client, or what stands for it after source NAT).
struct Flow {
  weir_flow_key forward{};
  weir_flow_key reply{};
  bool established = false;
  std::uint8_t flags = 0;  // enum weir_flow_flag, without REPLY
  std::uint32_t service = 0;
  std::uint32_t backend = 0;
  std::uint32_t created = 0;  // ticks
  std::uint32_t touched = 0;  // ticks: last packet of either direction
  std::uint64_t packets = 0;  // both directions
  std::uint64_t bytes = 0;
};

struct FlowFilter {
  std::optional<EndFilter> client;
  std::optional<EndFilter> backend;
  std::optional<ServiceFilter> service;
  std::optional<std::uint8_t> protocol;  // IPPROTO_*
  std::optional<bool> established;

  [[nodiscard]] bool empty() const {
    return !client && !backend && !service && !protocol && !established;
  }
};

struct FlowTable {
  std::vector<Flow> flows;  // by client address
  std::map<std::uint32_t, weir_name> names;
  std::uint32_t now = 0;  // ticks
};

// Half-open records past their lifetime are no flows any more and left out.
Result<FlowTable> read_flows(const kernel::Pins& pins, const FlowFilter& filter);

// Removes both records of each and corrects the counts as the kernel half does when a flow ends.
// How many were there to remove.
Result<std::uint64_t> delete_flows(const kernel::Pins& pins, const std::vector<Flow>& flows);

// Of the coarse monotonic clock, as the datapath counts.
std::uint32_t now_ticks();
std::uint64_t ticks_to_seconds(std::uint64_t ticks);

}  // namespace weir::cli
