// SPDX-License-Identifier: Apache-2.0
#include "cli/drops_cmd.hpp"

#include <memory>

#include "base/abi.hpp"
#include "cli/command.hpp"
#include "cli/raw_map.hpp"

namespace weir::cli {

Result<std::vector<std::uint64_t>> read_counters(const kernel::Pins& pins) {
  auto fd = kernel::open_map(pins, "weir_counter");
  if (!fd) return std::unexpected{std::move(fd.error())};
  auto info = kernel::map_info(fd->get());
  if (!info) return std::unexpected{std::move(info.error())};
  return per_cpu_sums(fd->get(), *info);
}

Listing list_counters(const std::vector<std::uint64_t>& counts, bool all) {
  Listing listing{.columns = {"counter", "count", "meaning"}, .rows = {}};
  for (std::size_t i = 0; i < kCounters.size() && i < counts.size(); ++i)
    if (all || counts[i] != 0)
      listing.rows.push_back(
          {std::string{kCounters[i].name}, counts[i], std::string{kCounters[i].text}});
  return listing;
}

void add_drops_command(CLI::App& app, Shared& shared) {
  auto* drops =
      add_command(app, {.name = "drops",
                        .description = "Counters of every drop, answer and pass-by, by name",
                        .example = "weir drops\nweir drops --all -o json"});
  auto all = std::make_shared<bool>(false);
  drops->add_flag("--all", *all, "Also those that are zero");
  prints(*drops, shared, "show drops", [all](const kernel::Pins& pins) -> Result<Value> {
    auto counts = read_counters(pins);
    if (!counts) return std::unexpected{std::move(counts.error())};
    return list_counters(*counts, *all);
  });
}

}  // namespace weir::cli
