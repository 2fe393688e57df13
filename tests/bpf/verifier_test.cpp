// SPDX-License-Identifier: Apache-2.0
// What the programs cost to load and how large they are, so that neither grows unseen.
#include <bpf/bpf.h>

#include "bpf/datapath.hpp"
#include "bpf/objects.hpp"
#include "support/catch.hpp"

namespace weir::test {

TEST_CASE("no program has grown by a tenth") {
  enter_topology();
  struct Budget {
    Hook hook;
    std::uint32_t verified;      // instructions that the verifier walked
    std::uint32_t instructions;  // after it rewrote them
  };
  // A tenth above the largest from clang 13, 14 and 22; raise a number only with its reason.
  const auto budget =
      GENERATE(Budget{Hook::kXdp, 52830, 6330}, Budget{Hook::kUpIn, 86910, 10970},
               Budget{Hook::kUpOut, 51340, 6660}, Budget{Hook::kRawIn, 91720, 10830},
               Budget{Hook::kRawOut, 56480, 6670}, Budget{Hook::kPodIn, 86970, 11030},
               Budget{Hook::kPodOut, 51390, 6660});
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  REQUIRE(bpf_obj_get_info_by_fd(Objects::get().program(budget.hook), &info, &size) == 0);
  CAPTURE(budget.hook);
  CHECK(info.verified_insns < budget.verified);
  CHECK(info.xlated_prog_len / 8 < budget.instructions);
}

}  // namespace weir::test
