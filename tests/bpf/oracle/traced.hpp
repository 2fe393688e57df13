// SPDX-License-Identifier: Apache-2.0
// A trace in the model's terms.
#pragma once

#include <cstdint>
#include <string>

#include "bpf/oracle/naive.hpp"
#include "bpf/publish/installation.hpp"
#include "kernel/pins.hpp"
#include "kernel/trace.hpp"

namespace weir::test {

struct Traced {
  naive::Answer answer;    // backends: all candidates; `here` of those
  std::string backend;     // "address:port", with forward
  std::string source_nat;  // empty: the client's own address
};

// port: the client's.
Traced trace(kernel::Tracer& tracer, const kernel::Pins& pins, const naive::Question& asked,
             std::uint16_t port);

// The node as the planner is told of it.
NodeView view_of(const naive::Node& node);

// Nobody is under way who could see what is taken away.
void without_grace(kernel::Tables& tables, const ProgrammedTables& before, const Reconciled& next);

}  // namespace weir::test
