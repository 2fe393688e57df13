// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace weir::test {

// CRC32c (RFC 9260, appendix A), a bit at a time over whole packets. Slow on purpose: it must share
// no idea with the updates by difference that it judges.
class Crc32c {
 public:
  Crc32c& add(std::span<const std::uint8_t> data) {
    for (const auto byte : data) {
      rest_ ^= byte;
      for (int bit = 0; bit < 8; ++bit)
        rest_ = (rest_ & 1U) != 0 ? (rest_ >> 1) ^ kCastagnoli : rest_ >> 1;
    }
    return *this;
  }

  // As literature gives it. SCTP sends the lowest byte first.
  [[nodiscard]] std::uint32_t value() const { return ~rest_; }

 private:
  static constexpr std::uint32_t kCastagnoli = 0x82f63b78;  // the polynomial, lowest bit first
  std::uint32_t rest_{0xffffffff};
};

}  // namespace weir::test
