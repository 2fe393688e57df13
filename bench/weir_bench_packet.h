/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the packet bench and its BPF half agree on. */
#ifndef WEIR_BENCH_PACKET_H
#define WEIR_BENCH_PACKET_H

#include <linux/types.h>

#define BENCH_PACKETS 262144 /* of one list; a power of two */
#define BENCH_HEADERS 62     /* bytes of the longest headers: Ethernet, IPv6, UDP */

/* What differs from packet to packet. Sums are whole, so that nothing is computed on the way. */
struct bench_packet { /* NOLINT(readability-identifier-naming): named as the kernel does */
  __be32 saddr;       /* IPv6: the last word of it */
  __be16 sport;
  __be16 dport;
  __be32 daddr;
  __sum16 ip_check; /* IPv4 */
  __sum16 l4_check;
};

/* The reference's tables, IPv4: no more than a NAT needs. */
struct ref_key { /* NOLINT(readability-identifier-naming): likewise */
  __be32 saddr;
  __be32 daddr;
  __be16 sport;
  __be16 dport;
};

struct ref_flow { /* NOLINT(readability-identifier-naming): likewise */
  __be32 saddr;
  __be32 daddr;
  __be16 sport;
  __be16 dport;
  __u16 ip_diff; /* one's complement sums of what the rewrite adds, the TTL's step included */
  __u16 l4_diff;
  __u8 dmac[6];
  __u8 smac[6];
  __u32 ifindex;
};

#endif
