// SPDX-License-Identifier: Apache-2.0
#include "cli/source_status.hpp"

#include <ctime>

#include "cli/text.hpp"
#include "kernel/source_state.hpp"

namespace weir::cli {
namespace {

// Seconds from then until now; nothing: it never was.
Cell age(std::uint64_t then) {
  Cell seconds;
  if (then == 0) return seconds;
  const auto now = static_cast<std::uint64_t>(std::time(nullptr));
  seconds = now > then ? now - then : std::uint64_t{0};
  return seconds;
}

Cell date(std::uint64_t then) {
  Cell unix_time;
  if (then != 0) unix_time = then;
  return unix_time;
}

}  // namespace

Result<Value> describe_source(const kernel::Pins& pins) {
  const auto states = kernel::read_source_states(pins);
  if (!states) return std::unexpected{states.error()};
  if (!*states || (**states)[0].kind == 0) return Cell{};
  const bool api = (**states)[0].kind == WEIR_SOURCE_KUBERNETES;
  Object object;
  object.add("kind", Cell{source_kind_text((**states)[0].kind)});
  Listing listing{.columns = {"resource", "state", "since", "seconds", "last_heard",
                              "last_heard_seconds_ago", "restarts"},
                  .rows = {}};
  for (std::uint32_t i = 0; api && i < WEIR_SOURCE_MAX; ++i) {
    const auto& one = (**states).at(i);
    listing.rows.push_back({source_resource_text(i), source_state_text(one.state), date(one.since),
                            age(one.since), date(one.heard), age(one.heard),
                            std::uint64_t{one.restarts}});
  }
  object.add("resources", std::move(listing));
  return object;
}

}  // namespace weir::cli
