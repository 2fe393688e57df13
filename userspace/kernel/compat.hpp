// SPDX-License-Identifier: Apache-2.0
// What the oldest supported headers (Linux 6.1, libbpf 1.1) do not have yet. Values and layouts
// are the kernel's user ABI: include/uapi/linux/bpf.h of Linux 6.6.
#pragma once

#include <linux/bpf.h>

#include <cstdint>

namespace weir::kernel {

inline constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);  // BPF_TCX_INGRESS
inline constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);   // BPF_TCX_EGRESS
inline constexpr std::uint32_t kLinkTypeXdp = 6;                       // BPF_LINK_TYPE_XDP
inline constexpr std::uint32_t kLinkTypeTcx = 11;                      // BPF_LINK_TYPE_TCX
inline constexpr std::uint32_t kBefore = 1U << 3;  // BPF_F_BEFORE; with nothing named: first
inline constexpr std::uint32_t kAfter = 1U << 4;   // BPF_F_AFTER; with nothing named: last

// struct bpf_link_info, as far as it is the same for links of type XDP and tcx.
struct DeviceLinkInfo {
  std::uint32_t type = 0;
  std::uint32_t id = 0;
  std::uint32_t prog_id = 0;
  std::uint32_t pad = 0;
  std::uint32_t ifindex = 0;      // 0: the device is gone
  std::uint32_t attach_type = 0;  // tcx only
};

// union bpf_attr for BPF_PROG_QUERY.
struct QueryAttr {
  std::uint32_t target_ifindex = 0;
  std::uint32_t attach_type = 0;
  std::uint32_t query_flags = 0;
  std::uint32_t attach_flags = 0;
  std::uint64_t prog_ids = 0;  // address of an array of u32
  std::uint32_t count = 0;     // in: room; out: filled
  std::uint32_t pad = 0;
  std::uint64_t prog_attach_flags = 0;
  std::uint64_t link_ids = 0;  // address of an array of u32
  std::uint64_t link_attach_flags = 0;
  std::uint64_t revision = 0;
};
static_assert(sizeof(QueryAttr) == 64);

}  // namespace weir::kernel
