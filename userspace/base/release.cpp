// SPDX-License-Identifier: Apache-2.0
#include "base/release.hpp"

#include <charconv>

namespace weir {

std::optional<KernelRelease> parse_kernel_release(std::string_view text) {
  KernelRelease release;
  const char* begin = text.data();
  const char* end = begin + text.size();
  const auto major = std::from_chars(begin, end, release.major);
  if (major.ec != std::errc{} || major.ptr == end || *major.ptr != '.') return std::nullopt;
  const auto minor = std::from_chars(major.ptr + 1, end, release.minor);
  if (minor.ec != std::errc{}) return std::nullopt;
  return release;
}

}  // namespace weir
