// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <optional>
#include <string_view>

namespace weir {

struct KernelRelease {
  unsigned major{};
  unsigned minor{};

  auto operator<=>(const KernelRelease&) const = default;
};

inline constexpr KernelRelease kOldestKernel{.major = 6, .minor = 1};  // with what bpf/ needs

// As uname(2) gives it: "6.1.0-18-amd64". nullopt: not two numbers and a dot at the front.
std::optional<KernelRelease> parse_kernel_release(std::string_view text);

}  // namespace weir
