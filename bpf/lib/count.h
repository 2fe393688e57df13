/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Named counters. Every early return of the datapath counts something. */
#ifndef WEIR_BPF_COUNT_H
#define WEIR_BPF_COUNT_H

#include "maps.h"

static __always_inline void count(enum weir_counter what)
{
	__u32 key = what;
	__u64 *n = bpf_map_lookup_elem(&weir_counter, &key);

	if (n)
		(*n)++; /* per CPU, and the hooks do not preempt each other */
}

#endif
