// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::test {

// RFC 1071 over whole ranges. Slow on purpose: it must share no idea with the incremental
// updates (RFC 1624) that it judges.
class Sum {
 public:
  // A range of odd length counts as if a zero byte followed it.
  Sum& add(std::span<const std::uint8_t> data) {
    for (std::size_t i = 0; i < data.size(); i += 2) {
      const std::uint32_t low = i + 1 < data.size() ? data[i + 1] : 0;
      word((std::uint32_t{data[i]} << 8) | low);
    }
    return *this;
  }
  Sum& word(std::uint32_t value) {
    total_ += value;
    total_ = (total_ & 0xffff) + (total_ >> 16);
    return *this;
  }

  [[nodiscard]] std::uint16_t folded() const { return static_cast<std::uint16_t>(total_); }
  // What a header carries: the complement. Adding the carried value makes folded() 0xffff.
  [[nodiscard]] std::uint16_t checksum() const { return static_cast<std::uint16_t>(~total_); }

 private:
  std::uint32_t total_{};
};

}  // namespace weir::test
