// SPDX-License-Identifier: Apache-2.0
// Grace returns only when programs that were running have ended: what they read may be reused.
#include <bpf/bpf.h>

#include <array>
#include <thread>

#include "bpf/publish/installation.hpp"
#include "kernel/owned.hpp"
#include "support/catch.hpp"
#include "weir_spin.skel.h"

namespace weir::test {
namespace {

// Runs the program and waits meanwhile; false if it had ended before the wait began, which on a
// busy machine happens and shows nothing.
bool waited(Installation& installation, const weir_spin_bpf& spin) {
  spin.bss->started = 0;
  spin.bss->ended = 0;
  const std::jthread running{[&] {
    const std::array<unsigned char, 64> frame{};
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = frame.data();
    options.data_size_in = frame.size();
    bpf_prog_test_run_opts(bpf_program__fd(spin.progs.weir_spin), &options);
  }};
  while (spin.bss->started == 0) std::this_thread::yield();
  const bool running_yet = spin.bss->ended == 0;
  need(installation.tables().execute({Grace{}}));
  CHECK(spin.bss->ended == 1);
  return running_yet;
}

TEST_CASE("grace waits for a program that is running") {
  constexpr int kTries = 30;
  constexpr int kEnough = 3;
  Installation installation;
  const kernel::OwnedSkeleton<weir_spin_bpf> spin{weir_spin_bpf::open_and_load()};
  REQUIRE(spin);
  int in_time = 0;
  for (int i = 0; i < kTries && in_time < kEnough; ++i)
    in_time += waited(installation, *spin) ? 1 : 0;
  CHECK(in_time == kEnough);
}

}  // namespace
}  // namespace weir::test
