// SPDX-License-Identifier: Apache-2.0
// The fields of the API's answers that weir reads. Whatever else they hold is passed over as it
// comes and never stored: managedFields alone are more than half of most objects.
#pragma once

#include <span>
#include <string_view>

namespace weir::kubernetes {

struct Wanted {
  std::string_view name;            // ending in '*': all that begin so
  std::span<const Wanted> members;  // of the map or the list of maps; none: all there is
  [[nodiscard]] bool all() const { return members.empty(); }
};

// The field of `members` with that name, or null.
const Wanted* find(std::span<const Wanted> members, std::string_view name);

// Of any of these documents: a Service, EndpointSlice or Node; a list of them; a watch event; a
// Status.
std::span<const Wanted> wanted_fields();

}  // namespace weir::kubernetes
