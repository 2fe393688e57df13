// SPDX-License-Identifier: Apache-2.0
#include "plan/gone.hpp"

#include <algorithm>
#include <variant>

namespace weir {

std::vector<GoneBackend> gone_backends(const std::vector<Operation>& operations,
                                       const ProgrammedTables& after, Protocol protocol) {
  std::vector<GoneBackend> gone;
  for (const auto& operation : operations) {
    const auto* change = std::get_if<SetBackendState>(&operation);
    if (change == nullptr || change->state != WEIR_BACKEND_GONE) continue;
    const auto backend = after.backends.find(change->index);
    if (backend == after.backends.end() || backend->second.service->protocol != protocol) continue;
    gone.push_back({change->index, backend->second.generation});
  }
  std::ranges::sort(gone);
  return gone;
}

}  // namespace weir
