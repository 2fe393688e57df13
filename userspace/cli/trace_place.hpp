// SPDX-License-Identifier: Apache-2.0
// Where a traced packet would come in: device and program of an edge.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "kernel/pins.hpp"
#include "model/address.hpp"

namespace weir::cli {

enum class Edge : std::uint8_t { uplink, pod, host };

struct TracePlace {
  std::uint32_t ifindex = 1;
  std::string device;   // empty at the host edge
  std::string program;  // "weir_up_in"
  bool xdp = false;     // weir_xdp is in front of it
};

// The device named, or else the one by which this node would answer `from`, or the bridge port
// behind that, or the first of the edge. An error if no program of the edge is there.
Result<TracePlace> find_place(const kernel::Pins& pins, Edge edge, const Address& from,
                              const std::string& device);

}  // namespace weir::cli
