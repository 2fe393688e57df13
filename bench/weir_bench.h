/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the generator and its BPF half agree on. */
#ifndef WEIR_BENCH_H
#define WEIR_BENCH_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>

#define BENCH_MAGIC 0x77656972
#define BENCH_TTL 64
#define BENCH_FRAME 60

/* Flow i comes from port BENCH_PORT + i % BENCH_PORTS of client address i / BENCH_PORTS. */
#define BENCH_PORT 20000
#define BENCH_PORTS 1000

enum bench_count {
  BENCH_ARRIVED,  /* at the far end, translated */
  BENCH_WRONG,    /* there, but not as it should be */
  BENCH_ANSWERED, /* back at the client's side, translated back */
  BENCH_COUNTS,
};

/* The whole frame. Its payload says what it asked for and where it has to arrive. */
struct bench_frame { /* NOLINT(readability-identifier-naming): named as the kernel does */
  struct ethhdr eth;
  struct iphdr ip;
  struct udphdr udp;
  __be32 magic;
  __be32 asked_addr;
  __be32 backend_addr; /* the first; the others follow it */
  __be16 asked_port;
  __be16 backend_port;
  __be16 backends;
} __attribute__((packed));

#ifdef __cplusplus
static_assert(sizeof(bench_frame) == BENCH_FRAME);
#else
_Static_assert(sizeof(struct bench_frame) == BENCH_FRAME, "the shortest Ethernet frame");
#endif

#endif
