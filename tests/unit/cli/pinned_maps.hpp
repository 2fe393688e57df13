// SPDX-License-Identifier: Apache-2.0
// The maps of the ABI, made without any program and pinned where the commands look for them.
#pragma once

#include <bpf/bpf.h>

#include <string>
#include <vector>

#include "kernel/map.hpp"
#include "kernel/pins.hpp"
#include "support/catch.hpp"

namespace weir::test {

inline constexpr std::uint32_t kEntries = 64;

// In mount and network namespaces of this process alone, on a bpf file system of its own: nothing
// of it is left, however the test ends. Skips the whole test where that is not permitted.
class PinnedMaps {
 public:
  explicit PinnedMaps(std::uint32_t entries = kEntries);
  PinnedMaps(const PinnedMaps&) = delete;
  PinnedMaps& operator=(const PinnedMaps&) = delete;
  ~PinnedMaps();

  [[nodiscard]] const kernel::Pins& pins() const { return pins_; }

  template <class Key, class Value>
  void put(const std::string& map, const Key& key, const Value& value) {
    auto opened = kernel::Map<Key, Value>::open(pins_, map);
    REQUIRE(opened);
    REQUIRE(opened->put(key, value));
  }

  template <class Key, class Value>
  std::optional<Value> get(const std::string& map, const Key& key) {
    auto opened = kernel::Map<Key, Value>::open(pins_, map);
    REQUIRE(opened);
    auto found = opened->find(key);
    REQUIRE(found);
    return *found;
  }

  // What an array holds; writes through it are seen by the commands.
  template <class Value>
  kernel::MappedArray<Value> array(const std::string& map) {
    auto opened = kernel::MappedArray<Value>::open(pins_, map, true);
    REQUIRE(opened);
    return std::move(*opened);
  }

  // The value on each CPU.
  void put_counter(std::uint32_t index, const std::vector<std::uint64_t>& of_cpu);

 private:
  kernel::Pins pins_;
};

weir_addr address(const std::string& text);

// A command line, on these maps.
std::vector<std::string> command(const PinnedMaps& maps, std::vector<std::string> words);

}  // namespace weir::test
