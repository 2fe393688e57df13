// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/bpf.h>

#include <cstdint>

#include "base/result.hpp"
#include "support/frame.hpp"

namespace weir::test {

// BPF_PROG_TEST_RUN, once. Attaches nothing; devices are looked up in the caller's namespace.

struct TcContext {
  std::uint32_t ifindex{1};  // the device that the program believes to be on
  std::uint32_t ingress_ifindex{};
  std::uint32_t mark{};
  std::uint32_t gso_size{};
  std::uint32_t gso_segs{};
  // Runs with CHECKSUM_COMPLETE, and fails with EBADMSG if the program leaves skb->csum wrong
  // (Linux 6.16; EINVAL before).
  bool checksum_complete{};
};

struct XdpContext {
  // The device must have its receive queues registered, as a veth has while XDP is attached
  // to it. 0: the loopback device.
  std::uint32_t ingress_ifindex{};
};

struct TcRan {
  std::int32_t verdict{};  // TC_ACT_*
  Frame out;
  __sk_buff context{};  // as the program left it: mark, cb, priority
};

struct XdpRan {
  std::uint32_t verdict{};  // XDP_*
  Frame out;
};

Result<TcRan> run_tc(int program, const Frame& in, const TcContext& context = {});
Result<XdpRan> run_xdp(int program, const Frame& in, const XdpContext& context = {});

}  // namespace weir::test
