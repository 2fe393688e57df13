// SPDX-License-Identifier: Apache-2.0
#include "plan/tables.hpp"

#include <fmt/format.h>

namespace weir {

std::string ServiceIdentity::to_string() const {
  return fmt::format("{} {} {}", text, weir::to_string(protocol), weir::to_string(family));
}

weir_range_key range_key(std::uint32_t id, const Cidr& range) {
  return {.prefix = 32 + range.mapped_length(), .set = id, .addr = range.base.raw()};
}

std::optional<Cidr> range_of(const weir_range_key& key) {
  const Address base{key.addr};
  const std::uint32_t skipped = 32 + (base.family() == Family::ipv4 ? 96U : 0U);
  if (key.prefix < skipped || key.prefix > 160) return std::nullopt;
  return Cidr{base, static_cast<std::uint8_t>(key.prefix - skipped)};
}

}  // namespace weir
