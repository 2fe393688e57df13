// SPDX-License-Identifier: Apache-2.0
#include "cli/map_cmd.hpp"

#include <memory>

#include "cli/command.hpp"
#include "cli/decode.hpp"
#include "cli/map_info.hpp"

namespace weir::cli {
namespace {

Listing list_maps(const std::vector<PinnedMap>& maps) {
  Listing listing{
      .columns = {"map", "type", "key_bytes", "value_bytes", "entries", "max_entries", "bytes"},
      .rows = {}};
  for (const auto& map : maps)
    listing.rows.push_back({map.info.name, map_type_text(map.info.type),
                            std::uint64_t{map.info.key_size}, std::uint64_t{map.info.value_size},
                            map.entries ? Cell{*map.entries} : Cell{},
                            std::uint64_t{map.info.max_entries}, map.bytes});
  return listing;
}

}  // namespace

void add_map_commands(CLI::App& app, Shared& shared) {
  auto* group = add_group(app, {.name = "map",
                                .description = "The kernel's tables as they are",
                                .example = "weir map list\nweir map dump weir_service"});
  auto* list = add_command(*group, {.name = "list",
                                    .description = "Every pinned map with its size and fill",
                                    .example = "weir map list"});
  prints(*list, shared, "list maps", [](const kernel::Pins& pins) -> Result<Value> {
    auto maps = read_maps(pins);
    if (!maps) return std::unexpected{std::move(maps.error())};
    return list_maps(*maps);
  });

  auto* dump = add_command(*group, {.name = "dump",
                                    .description = "Every element of one map, decoded",
                                    .example = "weir map dump weir_backend\n"
                                               "weir map dump weir_flow -o json"});
  auto name = std::make_shared<std::string>();
  dump->add_option("map", *name, "Its name, as `weir map list` shows it")
      ->required()
      ->option_text("MAP");
  prints(*dump, shared, "dump map", [name](const kernel::Pins& pins) -> Result<Value> {
    auto listing = dump_map(pins, *name);
    if (!listing) return std::unexpected{std::move(listing.error())};
    return std::move(*listing);
  });
}

}  // namespace weir::cli
