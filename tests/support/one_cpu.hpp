// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>
#include <sched.h>

namespace weir::test {

// The calling thread on one CPU while this lives: a program that it runs then sees one value of
// each map that has one per CPU. Where the CPU may not be used, the thread runs where it ran.
class OneCpu {
 public:
  explicit OneCpu(unsigned cpu = static_cast<unsigned>(sched_getcpu())) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_getaffinity_np(pthread_self(), sizeof before_, &before_);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
  }
  OneCpu(const OneCpu&) = delete;
  OneCpu& operator=(const OneCpu&) = delete;
  ~OneCpu() { pthread_setaffinity_np(pthread_self(), sizeof before_, &before_); }

 private:
  cpu_set_t before_{};
};

}  // namespace weir::test
