// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace weir::kernel {

// Returns when every BPF program that was running at the call has ended, so that what it may have
// read can be reused. About 8 ms (membarrier(2), MEMBARRIER_CMD_GLOBAL: an RCU grace period); where
// the kernel refuses that, a delay far longer than any program runs.
void wait_for_running_programs();

}  // namespace weir::kernel
