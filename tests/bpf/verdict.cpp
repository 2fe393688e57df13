// SPDX-License-Identifier: Apache-2.0
#include "bpf/verdict.hpp"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <algorithm>
#include <array>

namespace weir::test {
namespace {

using Macs = std::array<Mac, 2>;  // as a frame begins: destination, source

// What leads to this address from here, by topology.cpp.
Macs next_hop(const std::string& ip) {
  for (const auto* world : {&kV4, &kV6}) {
    if (ip == world->remote) return {kNode2Mac, kUp0Mac};
    if (ip == world->far) return {kNode3Mac, kUp1Mac};
  }
  return {kRouterMac, kUp0Mac};
}

}  // namespace

Verdict verdict_of_xdp(std::uint32_t verdict) {
  switch (verdict) {
    case XDP_PASS:
      return Verdict::kNext;
    case XDP_DROP:
      return Verdict::kDrop;
    case XDP_TX:
      return Verdict::kTransmit;
    case XDP_REDIRECT:
      return Verdict::kRedirect;
    default:
      return Verdict::kOther;
  }
}

Verdict verdict_of_tc(std::int32_t verdict) {
  switch (verdict) {
    case TC_ACT_UNSPEC:
      return Verdict::kNext;
    case TC_ACT_SHOT:
      return Verdict::kDrop;
    case TC_ACT_REDIRECT:
      return Verdict::kRedirect;
    default:
      return Verdict::kOther;
  }
}

Ran left_to_kernel(const Frame& in, Ran ran) {
  const auto before = parse(in), parsed = parse(ran.out);
  if (ran.verdict != Verdict::kRedirect || in.link != Link::kEthernet || !before || !parsed)
    return ran;
  if (parsed->ttl + 1 != before->ttl) return ran;  // an answer
  const auto wanted = next_hop(parsed->daddr);
  if (Macs{parsed->dmac, parsed->smac} != wanted) return ran;
  std::copy_n(in.bytes.begin(), sizeof(Macs), ran.out.bytes.begin());
  ran.straight = true;
  return ran;
}

}  // namespace weir::test
