// SPDX-License-Identifier: Apache-2.0
#include "kernel/grace.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace weir::kernel {

void wait_for_running_programs() {
  // Refused on machines with nohz_full CPUs (kernel/sched/membarrier.c).
  if (::syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0) return;
  constexpr std::chrono::milliseconds kLongerThanAnyProgram{100};
  std::this_thread::sleep_for(kLongerThanAnyProgram);
}

}  // namespace weir::kernel
