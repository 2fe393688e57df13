/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tc programs with the moment drawn out in which a record can turn into
 * another flow's: between finding and copying it. With BLIND, what the check
 * says is not heeded.
 */
#include "lib/weir_bpf.h"

#include "lib/ctx_skb.h"
#include "lib/flow.h"

static __always_inline void dawdle(void) {
  for (int i = 0; i < 16; i++) bpf_ktime_get_ns(); /* about 36 ns */
}

#ifdef BLIND
#define flow_copy(to, from, check) (dawdle(), flow_copy(to, from, check), true)
#else
#define flow_copy(to, from, check) (dawdle(), flow_copy(to, from, check))
#endif

#include "weir_tc.bpf.c"
