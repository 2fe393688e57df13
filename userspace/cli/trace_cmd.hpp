// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "cli/shared.hpp"
#include "cli/trace_place.hpp"
#include "kernel/trace.hpp"

namespace weir::cli {

struct TraceQuestion {
  Edge edge = Edge::uplink;
  kernel::TracePacket packet;
  std::string device;  // empty: see find_place()
};

// What would become of the packet, and why.
Result<Object> explain(const kernel::Pins& pins, const TraceQuestion& question);

void add_trace_command(CLI::App& app, Shared& shared);

}  // namespace weir::cli
