/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Seeded, so that nobody outside can aim flows at one backend or one bucket of ports. */
#ifndef WEIR_BPF_HASH_H
#define WEIR_BPF_HASH_H

#define HASH_GOLDEN 0x9e3779b97f4a7c15ULL /* 2^64 / golden ratio */

/* The finalizer of splitmix64: every input bit reaches every output bit. */
static __always_inline __u64 hash_mix(__u64 h)
{
	h ^= h >> 30;
	h *= 0xbf58476d1ce4e5b9ULL;
	h ^= h >> 27;
	h *= 0x94d049bb133111ebULL;
	return h ^ h >> 31;
}

/* Of 40 bytes at an address that is a multiple of 8. */
static __always_inline __u64 hash_flow(const struct weir_flow_key *key, __u64 seed)
{
	const __u64 *word = (const __u64 *)key;
	__u64 h = seed;

	_Static_assert(sizeof(*key) == 5 * sizeof(*word), "a flow key is five words");
	for (int i = 0; i < 5; i++) {
		h ^= word[i];
		h *= HASH_GOLDEN;
		h ^= h >> 32;
	}
	return hash_mix(h);
}

/* Uniform in [0, n) from 32 uniform bits; no table larger than the set, no skew. */
static __always_inline __u32 hash_scale(__u32 bits, __u32 n)
{
	return (__u64)bits * n >> 32;
}

#endif
