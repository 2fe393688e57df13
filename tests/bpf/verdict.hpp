// SPDX-License-Identifier: Apache-2.0
// What became of a packet, in words that hold for XDP and tc.
#pragma once

#include <cstdint>

#include "bpf/datapath.hpp"

namespace weir::test {

Verdict verdict_of_xdp(std::uint32_t verdict);  // XDP_*
Verdict verdict_of_tc(std::int32_t verdict);    // TC_ACT_*

// What tc did with `in`, as if it had left the next hop to the kernel: see Ran::straight.
Ran left_to_kernel(const Frame& in, Ran ran);

}  // namespace weir::test
