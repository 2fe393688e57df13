// SPDX-License-Identifier: Apache-2.0
#include "plan/allocate.hpp"

#include <algorithm>
#include <iterator>

namespace weir {

FreeIndexes::FreeIndexes(std::uint32_t limit, std::vector<std::uint32_t> used)
    : used_{std::move(used)} {
  // Nothing outside the table counts: neither "none" nor what a smaller table has cut off.
  std::erase_if(used_, [limit](std::uint32_t index) { return index == 0 || index >= limit; });
  std::ranges::sort(used_);
  const auto rest = std::ranges::unique(used_);
  used_.erase(rest.begin(), rest.end());
  left_ = limit == 0 ? 0 : limit - 1 - used_.size();
}

std::uint32_t FreeIndexes::take() {
  while (passed_ < used_.size() && used_[passed_] == next_) {
    ++passed_;
    ++next_;
  }
  --left_;
  return next_++;
}

FreeRanges::FreeRanges(std::uint32_t limit, std::vector<weir_list> used) {
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
