// SPDX-License-Identifier: Apache-2.0
// Free elements of the arrays, worked out from those in use. What is given out by one of these is
// never something that was in use when it was made.
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
  FreeIndexes(std::uint32_t limit, std::vector<std::uint32_t> used);
  [[nodiscard]] std::size_t left() const { return left_; }
  std::uint32_t take();  // only while left() > 0

 private:
  std::vector<std::uint32_t> used_;  // sorted
  std::size_t passed_ = 0;           // of used_, those below next_
  std::uint32_t next_ = 1;
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

  std::map<std::uint32_t, std::uint32_t> holes_;               // first -> count
  std::set<std::pair<std::uint32_t, std::uint32_t>> by_size_;  // count, first
};

}  // namespace weir
