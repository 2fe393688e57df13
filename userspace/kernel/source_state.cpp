// SPDX-License-Identifier: Apache-2.0
#include "kernel/source_state.hpp"

#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <ctime>

namespace weir::kernel {
namespace {

constexpr const char* kMap = "weir_source";

std::uint64_t unix_now() {
  return static_cast<std::uint64_t>(std::time(nullptr));
}

// The tool reads at any time: each number is whole, and they need not be of one moment.
template <class T>
void store(T& at, T value) {
  std::atomic_ref<T>{at}.store(value, std::memory_order_relaxed);
}

}  // namespace

Result<std::optional<SourceStates>> read_source_states(const Pins& pins) {
  struct stat info{};
  if (stat(pins.map(kMap).c_str(), &info) != 0 && errno == ENOENT) return std::nullopt;
  const auto map = MappedArray<weir_source>::open(pins, kMap, false);
  if (!map) return std::unexpected{map.error()};
  SourceStates states{};
  for (std::uint32_t i = 0; i < states.size() && i < map->size(); ++i) states.at(i) = (*map)[i];
  return states;
}

Result<SourceState> SourceState::open(const Pins& pins, weir_source_kind kind) {
  auto map = MappedArray<weir_source>::open(pins, kMap, true);
  if (!map) return std::unexpected{std::move(map.error())};
  if (map->size() < WEIR_SOURCE_MAX)
    return fail("map {} has another layout ({} entries)", kMap, map->size());
  for (std::uint32_t i = 0; i < WEIR_SOURCE_MAX; ++i)
    (*map)[i] = weir_source{.heard = 0,
                            .since = unix_now(),
                            .restarts = 0,
                            .kind = static_cast<__u32>(kind),
                            .state = WEIR_SOURCE_NOT_STARTED};
  return SourceState{std::move(*map)};
}

void SourceState::note(weir_source_resource resource, weir_source_state state, bool heard) {
  auto& at = map_[resource];
  const auto now = unix_now();
  if (heard && at.heard != now) store<__u64>(at.heard, now);
  if (at.state == static_cast<__u32>(state)) return;
  if (at.state == WEIR_SOURCE_WATCHING) store<__u64>(at.restarts, at.restarts + 1);
  store<__u64>(at.since, now);
  store<__u32>(at.state, state);
}

}  // namespace weir::kernel
