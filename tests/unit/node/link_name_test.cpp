// SPDX-License-Identifier: Apache-2.0
#include "kernel/attach.hpp"
#include "support/catch.hpp"

namespace weir::kernel {

TEST_CASE("names of pinned links") {
  for (const auto hook : {Hook::tcx_ingress, Hook::tcx_egress, Hook::xdp, Hook::clsact_ingress,
                          Hook::clsact_egress}) {
    const LinkName name{12, hook};
    CHECK(LinkName::parse(name.to_string()) == name);
  }
  CHECK(LinkName{12, Hook::tcx_ingress}.to_string() == "12-tcx-ingress");
  CHECK(LinkName{4294967295, Hook::xdp}.to_string() == "4294967295-xdp");
}

TEST_CASE("what is no such name") {
  for (const auto* text : {"", "12", "12-", "-xdp", "x-xdp", "12-tcx", "12-xdp2", "4294967296-xdp",
                           "12xdp", "weir_xdp"}) {
    INFO(text);
    CHECK_FALSE(LinkName::parse(text));
  }
}

}  // namespace weir::kernel
