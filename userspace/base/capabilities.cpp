// SPDX-License-Identifier: Apache-2.0
#include "base/capabilities.hpp"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

namespace weir {

Result<std::uint64_t> effective_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return fail(errno, "read capabilities");
  return std::uint64_t{sets[1].effective} << 32 | sets[0].effective;
}

std::string missing_capabilities(std::uint64_t effective) {
  static constexpr std::array<std::pair<unsigned, std::string_view>, 3> kNeeded{{
      {CAP_BPF, "CAP_BPF"},
      {CAP_NET_ADMIN, "CAP_NET_ADMIN"},
      {CAP_PERFMON, "CAP_PERFMON"},
  }};
  const auto has = [&](unsigned bit) { return (effective >> bit & 1) != 0; };
  std::string missing;
  for (const auto& [bit, name] : kNeeded) {
    // The kernel takes CAP_SYS_ADMIN for both BPF capabilities.
    if (has(bit) || (bit != CAP_NET_ADMIN && has(CAP_SYS_ADMIN))) continue;
    if (!missing.empty()) missing += ", ";
    missing += name;
  }
  return missing;
}

}  // namespace weir
