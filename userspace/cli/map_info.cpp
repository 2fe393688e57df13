// SPDX-License-Identifier: Apache-2.0
#include "cli/map_info.hpp"

#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "cli/raw_map.hpp"

namespace weir::cli {
namespace {

using kernel::MappedArray;
using Count = Result<std::optional<std::uint64_t>>;

// The kernel tells it per descriptor only: "memlock:\t4096".
std::uint64_t kernel_memory(int fd) {
  std::ifstream file{fmt::format("/proc/self/fdinfo/{}", fd)};
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("memlock:")) return std::strtoull(line.c_str() + 8, nullptr, 10);
  return 0;
}

Count count_backends(const kernel::Pins& pins) {
  const auto array = MappedArray<weir_backend>::open(pins, "weir_backend", false);
  if (!array) return std::unexpected{array.error()};
  std::uint64_t used = 0;
  for (std::uint32_t i = 1; i < array->size(); ++i)
    used += (*array)[i].state != WEIR_BACKEND_FREE ? 1 : 0;
  return used;
}

// Versions that are current, by index.
Result<std::set<std::uint32_t>> current_versions(const kernel::Pins& pins) {
  const auto array = MappedArray<__u32>::open(pins, "weir_current", false);
  if (!array) return std::unexpected{array.error()};
  std::set<std::uint32_t> indexes;
  for (std::uint32_t i = 0; i < array->size(); ++i)
    if ((*array)[i] != 0) indexes.insert((*array)[i]);
  return indexes;
}

Count count_versions(const kernel::Pins& pins) {
  const auto versions = current_versions(pins);
  if (!versions) return std::unexpected{versions.error()};
  return versions->size();
}

// Equal lists share their slots, so each slot is marked and not added up.
Count count_slots(const kernel::Pins& pins) {
  const auto versions = current_versions(pins);
  if (!versions) return std::unexpected{versions.error()};
  const auto array = MappedArray<weir_version>::open(pins, "weir_version", false);
  if (!array) return std::unexpected{array.error()};
  const auto slots = MappedArray<weir_slot>::open(pins, "weir_slot", false);
  if (!slots) return std::unexpected{slots.error()};
  std::vector<bool> used(slots->size());
  for (const auto index : *versions) {
    if (index >= array->size()) continue;
    for (const auto& list : {(*array)[index].cluster, (*array)[index].local})
      for (std::uint64_t i = list.first; i < std::uint64_t{list.first} + list.count; ++i)
        if (i < used.size()) used[i] = true;
  }
  return static_cast<std::uint64_t>(std::ranges::count(used, true));
}

// The kernel half keeps these numbers: a queue cannot be counted, and walking a full table of
// flows takes long.
Count count_by_state(const kernel::Pins& pins, bool queue) {
  const auto state = MappedArray<weir_state>::open(pins, "weir_state", false);
  if (!state) return std::unexpected{state.error()};
  return queue ? (*state)[0].queued : 2 * (*state)[0].flows;
}

Count count_elements(int fd, const kernel::MapInfo& info) {
  switch (info.type) {
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_LRU_HASH:
    case BPF_MAP_TYPE_LPM_TRIE:
    case BPF_MAP_TYPE_DEVMAP_HASH:
      break;
    default:
      return std::nullopt;
  }
  std::uint64_t elements = 0;
  auto done = walk(fd, info, [&](Bytes, Bytes) { ++elements; });
  if (!done) return std::unexpected{std::move(done.error())};
  return elements;
}

Count count_entries(const kernel::Pins& pins, int fd, const kernel::MapInfo& info) {
  if (info.name == "weir_backend") return count_backends(pins);
  if (info.name == "weir_current" || info.name == "weir_version") return count_versions(pins);
  if (info.name == "weir_slot") return count_slots(pins);
  if (info.name == "weir_flow") return count_by_state(pins, false);
  if (info.name == "weir_expiry") return count_by_state(pins, true);
  return count_elements(fd, info);
}

Result<std::vector<std::string>> pinned_names(const kernel::Pins& pins) {
  std::error_code error;
  std::vector<std::string> names;
  std::filesystem::directory_iterator at{pins.maps(), error};
  for (; !error && at != std::filesystem::directory_iterator{}; at.increment(error))
    names.push_back(at->path().filename());
  if (error == std::errc::no_such_file_or_directory)
    return fail(ENOENT, "weir has not run on pin path {}", pins.path());
  if (error) return fail(error.value(), "list {}", pins.maps());
  std::ranges::sort(names);
  return names;
}

}  // namespace

Result<std::vector<PinnedMap>> read_maps(const kernel::Pins& pins) {
  auto names = pinned_names(pins);
  if (!names) return std::unexpected{std::move(names.error())};
  std::vector<PinnedMap> maps;
  for (const auto& name : *names) {
    auto fd = kernel::open_map(pins, name);
    if (!fd) return std::unexpected{std::move(fd.error())};
    auto info = kernel::map_info(fd->get());
    if (!info) return std::unexpected{std::move(info.error())};
    info->name = name;  // the kernel cuts its own at 15 characters
    auto entries = count_entries(pins, fd->get(), *info);
    if (!entries) return std::unexpected{std::move(entries.error())};
    maps.push_back(
        {.info = std::move(*info), .bytes = kernel_memory(fd->get()), .entries = *entries});
  }
  return maps;
}

std::string map_type_text(std::uint32_t type) {
  const char* text = libbpf_bpf_map_type_str(static_cast<bpf_map_type>(type));
  return text ? text : fmt::format("{}", type);
}

}  // namespace weir::cli
