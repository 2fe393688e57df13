/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tc programs with the moments drawn out in which a record can turn into
 * another flow's: while it is copied, and before it is written to. With BLIND,
 * what the check says is not heeded.
 */
#include "lib/weir_bpf.h"

static __always_inline void dawdle(void) {
  for (int i = 0; i < 16; i++) bpf_ktime_get_ns(); /* about 36 ns */
}

#define FLOW_PAUSE() dawdle()

#include "lib/ctx_skb.h"
#include "lib/flow.h"

#ifdef BLIND
#define flow_copy(to, from, hash) (flow_copy(to, from, hash), true)
#endif

#include "weir_tc.bpf.c"
