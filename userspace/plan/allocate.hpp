// SPDX-License-Identifier: Apache-2.0
// Free elements of the arrays, worked out from those in use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/abi.hpp"

namespace weir {

// Single indexes of [1, limit), lowest first; 0 stands for none everywhere.
class FreeIndexes {
 public:
  // Nothing outside the table counts: neither "none" nor what a smaller table has cut off.
  FreeIndexes(std::uint32_t limit, const std::vector<std::uint32_t>& used);
  [[nodiscard]] std::size_t left() const { return left_; }
  std::uint32_t take();  // only while left() > 0
  void give_back(std::uint32_t index);

 private:
  static constexpr std::uint32_t kBits = 64;
  [[nodiscard]] bool inside(std::uint32_t index) const { return index > 0 && index < limit_; }

  std::uint32_t limit_;
  std::vector<std::uint64_t> used_;  // a bit each
  std::size_t first_ = 0;            // no word before it has a free one
  std::size_t left_ = 0;
};

// Ranges of [0, limit). The smallest hole that fits is taken, so that large ones last.
class FreeRanges {
 public:
  FreeRanges(std::uint32_t limit, std::vector<weir_list> used);  // used ones may overlap
  std::optional<std::uint32_t> take(std::uint32_t count);        // index of the first
  void give_back(std::uint32_t first, std::uint32_t count);

 private:
  void insert(std::uint32_t first, std::uint32_t count);
  void erase(std::uint32_t first, std::uint32_t count);

  std::uint32_t limit_;
  std::map<std::uint32_t, std::uint32_t> holes_;               // first -> count
  std::set<std::pair<std::uint32_t, std::uint32_t>> by_size_;  // count, first
};

}  // namespace weir
