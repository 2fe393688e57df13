// SPDX-License-Identifier: Apache-2.0
// The datapath itself on the packet that was traced.
#pragma once

#include <cstdint>
#include <string>

#include "bpf/oracle/naive.hpp"
#include "bpf/publish/installation.hpp"

namespace weir::test {

struct Happened {
  naive::Fate fate = naive::Fate::pass;
  std::string to;    // "address:port" in the packet that left, with forward
  std::string from;  // its source address
};

// The client is outside or a pod; the packet is TCP or UDP.
Happened run_datapath(const Installation& weir, const naive::Question& asked, std::uint16_t port);

}  // namespace weir::test
