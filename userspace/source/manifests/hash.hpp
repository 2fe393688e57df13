// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace weir::manifests {

// FNV-1a, 64 bits, over the parts with a NUL after each. Every node must compute the same number
// today and after an upgrade, on any machine and with any library: std::hash promises none of
// that. Names are short and nobody gains by a collision (they cost a probe), so that a keyed or
// a stronger hash would buy nothing.
constexpr std::uint64_t fnv1a(std::initializer_list<std::string_view> parts) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto eat = [&hash](char c) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  };
  for (const auto part : parts) {
    for (const char c : part) eat(c);
    eat('\0');
  }
  return hash;
}

}  // namespace weir::manifests
