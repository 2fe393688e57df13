/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose record is it, and is it whole? Nothing here needs a helper. */
#ifndef WEIR_BPF_CHECK_H
#define WEIR_BPF_CHECK_H

#include "hash.h"

/* From saddr to flags, in words of eight bytes and one of four: what check covers. */
#define FLOW_FIXED 6

_Static_assert(offsetof(struct weir_flow, touched) - offsetof(struct weir_flow, saddr) ==
		       FLOW_FIXED * sizeof(__u64) + sizeof(__u32),
	       "check covers all that never changes");

/*
 * What check must be for the key with that hash and the fixed words at saddr.
 * Products and not a chain: they are computed side by side. Whoever wrote a
 * record is not an enemy, so it need not be hard to invert.
 */
static __always_inline __u32 flow_check(__u64 hash, const struct weir_addr *saddr)
{
	const __u64 *word = (const __u64 *)saddr;
	__u64 factor = HASH_GOLDEN;

	for (int i = 0; i < FLOW_FIXED; i++) {
		hash += word[i] * factor;
		factor *= HASH_GOLDEN;
	}
	hash += *(const __u32 *)&word[FLOW_FIXED] * factor;
	return hash >> 32;
}

static __always_inline __u32 way_check(__u32 check, const struct weir_way *way)
{
	const __u64 *word = (const __u64 *)way;
	__u64 sum = (__u64)check << 32 | *(const __u32 *)&word[2];

	_Static_assert(offsetof(struct weir_way, check) == 2 * sizeof(*word) + sizeof(__u32),
		       "all in front of it is hashed");
	sum *= HASH_GOLDEN;
	sum += word[0] * (HASH_GOLDEN * HASH_GOLDEN);
	sum += word[1] * (HASH_GOLDEN * HASH_GOLDEN * HASH_GOLDEN);
	return sum >> 32;
}

#endif
