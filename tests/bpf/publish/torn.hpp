// SPDX-License-Identifier: Apache-2.0
// Publications as they must not be: what the checker has to find.
#pragma once

#include "bpf/publish/installation.hpp"

namespace weir::test {

// The new lists are written into the version that is published, and then the new policies.
void version_in_place(kernel::Tables& tables, const ProgrammedTables& before,
                      const Reconciled& next);
// The new backends are written into the slots that are published, one after another.
void slots_in_place(kernel::Tables& tables, const ProgrammedTables& before, const Reconciled& next);
// Published before the slots, the version and the backends are there.
void published_first(kernel::Tables& tables, const ProgrammedTables& before,
                     const Reconciled& next);
// Backends that are in lists are given to other services at once.
void reused_at_once(kernel::Tables& tables, const ProgrammedTables& before, const Reconciled& next);
// The epoch stays as it was, so flows are never told that their backend left.
void without_epoch(kernel::Tables& tables, const ProgrammedTables& before, const Reconciled& next);

}  // namespace weir::test
