/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program that runs long enough to be waited for. */
#include "lib/weir_bpf.h"

#define TURNS (1 << 20) /* of a clock read each: about 40 ms */

volatile __u32 started;
volatile __u32 ended;

static long turn(__u32 i, void* unused) {
  return bpf_ktime_get_ns() == i; /* never: the loop goes on */
}

SEC("tc")
int weir_spin(struct __sk_buff* skb) {
  started = 1;
  bpf_loop(TURNS, turn, NULL, 0);
  ended = 1;
  return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
