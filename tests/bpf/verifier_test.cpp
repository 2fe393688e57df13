// SPDX-License-Identifier: Apache-2.0
// What the programs cost to load and how large they are, so that neither grows unseen.
#include <bpf/bpf.h>

#include "bpf/datapath.hpp"
#include "bpf/objects.hpp"
#include "support/catch.hpp"

namespace weir::test {

TEST_CASE("no program has grown by a fifth") {
  enter_topology();
  struct Budget {
    Hook hook;
    std::uint32_t verified;      // instructions that the verifier walked
    std::uint32_t instructions;  // after it rewrote them
  };
  // A fifth above the largest from clang 13, 14 and 22; raise a number only with its reason.
  const auto budget =
      GENERATE(Budget{Hook::kXdp, 50200, 6900}, Budget{Hook::kUpIn, 86200, 11000},
               Budget{Hook::kUpOut, 52400, 6300}, Budget{Hook::kRawIn, 90400, 11000},
               Budget{Hook::kRawOut, 56600, 6300}, Budget{Hook::kPodIn, 86200, 11000},
               Budget{Hook::kPodOut, 52400, 6300});
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  REQUIRE(bpf_obj_get_info_by_fd(Objects::get().program(budget.hook), &info, &size) == 0);
  CAPTURE(budget.hook);
  CHECK(info.verified_insns < budget.verified);
  CHECK(info.xlated_prog_len / 8 < budget.instructions);
}

}  // namespace weir::test
