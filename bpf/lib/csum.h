/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef WEIR_BPF_CSUM_H
#define WEIR_BPF_CSUM_H

/* One's complement sum folded to 16 bits. Takes a sum of fewer than 2^16 32-bit words. */
static __always_inline __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16); /* below 2^17 + 2^16 */
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Adds diff, the folded sum of what a change added (RFC 1624, equation 3). */
static __always_inline __sum16 csum_add_diff(__sum16 check, __u32 diff)
{
	__u32 sum = (__u16)~check + diff;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* What it adds to put `to` where `from` was. */
static __always_inline __u64 csum_diff_addr(const struct weir_addr *from,
					    const struct weir_addr *to)
{
	__u64 sum = 0;

	for (int i = 0; i < 4; i++)
		sum += (__u64)to->word[i] + (__u32)~from->word[i];
	return sum;
}

static __always_inline __u64 csum_diff_port(__be16 from, __be16 to)
{
	return (__u64)to + (__u16)~from;
}

#endif
