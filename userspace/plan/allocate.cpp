// SPDX-License-Identifier: Apache-2.0
#include "plan/allocate.hpp"

#include <algorithm>
#include <bit>
#include <iterator>

namespace weir {

FreeIndexes::FreeIndexes(std::uint32_t limit, const std::vector<std::uint32_t>& used)
    : limit_{limit}, used_(limit / kBits + 1, 0), left_{limit == 0 ? 0 : limit - 1} {
  for (const auto index : used) {
    auto& word = used_[inside(index) ? index / kBits : 0];
    const auto bit = std::uint64_t{1} << index % kBits;
    if (!inside(index) || (word & bit) != 0) continue;
    word |= bit;
    --left_;
  }
  used_[0] |= 1;
}

std::uint32_t FreeIndexes::take() {
  while (used_[first_] == ~std::uint64_t{0}) ++first_;
  const auto bit = static_cast<std::uint32_t>(std::countr_one(used_[first_]));
  used_[first_] |= std::uint64_t{1} << bit;
  --left_;
  return static_cast<std::uint32_t>(first_) * kBits + bit;
}

void FreeIndexes::give_back(std::uint32_t index) {
  if (!inside(index)) return;
  used_[index / kBits] &= ~(std::uint64_t{1} << index % kBits);
  first_ = std::min<std::size_t>(first_, index / kBits);
  ++left_;
}

FreeRanges::FreeRanges(std::uint32_t limit, std::vector<weir_list> used) : limit_{limit} {
  std::ranges::sort(used, {}, &weir_list::first);
  std::uint32_t end = 0;  // of what is in use so far
  for (const auto& range : used) {
    if (range.count == 0) continue;
    if (range.first > end) insert(end, range.first - end);
    end = std::max(end, range.first + range.count);
  }
  if (end < limit) insert(end, limit - end);
}

std::optional<std::uint32_t> FreeRanges::take(std::uint32_t count) {
  const auto hole = by_size_.lower_bound({count, 0});
  if (count == 0 || hole == by_size_.end()) return std::nullopt;
  const auto [size, first] = *hole;
  erase(first, size);
  if (size > count) insert(first + count, size - count);
  return first;
}

void FreeRanges::give_back(std::uint32_t first, std::uint32_t count) {
  if (first >= limit_) return;
  count = std::min(count, limit_ - first);
  const auto above = holes_.lower_bound(first);
  const auto below = above == holes_.begin() ? holes_.end() : std::prev(above);
  const auto next =
      above == holes_.end() ? std::pair{0U, 0U} : std::pair{above->first, above->second};
  const auto before =
      below == holes_.end() ? std::pair{0U, 0U} : std::pair{below->first, below->second};
  if (next.second > 0 && first + count == next.first) {
    erase(next.first, next.second);
    count += next.second;
  }
  if (before.second > 0 && before.first + before.second == first) {
    erase(before.first, before.second);
    first = before.first;
    count += before.second;
  }
  insert(first, count);
}

void FreeRanges::insert(std::uint32_t first, std::uint32_t count) {
  holes_.emplace(first, count);
  by_size_.emplace(count, first);
}

void FreeRanges::erase(std::uint32_t first, std::uint32_t count) {
  holes_.erase(first);
  by_size_.erase({count, first});
}

}  // namespace weir
