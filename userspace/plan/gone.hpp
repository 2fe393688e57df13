// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "plan/reconcile.hpp"

namespace weir {

// A backend entry that a publication took away.
struct GoneBackend {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;
  friend auto operator<=>(const GoneBackend&, const GoneBackend&) = default;
};

// Of one protocol, sorted. `after`: the tables that the operations lead to.
std::vector<GoneBackend> gone_backends(const std::vector<Operation>& operations,
                                       const ProgrammedTables& after, Protocol protocol);

}  // namespace weir
