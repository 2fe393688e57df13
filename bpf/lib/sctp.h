/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ports of an SCTP packet, and its checksum, which covers them but no
 * address: a CRC32c (RFC 9260, 6.8). A CRC is linear, so what the change of four
 * bytes at the front adds to it follows from the change and from how many bytes
 * come behind: the rest of the packet need not be read.
 */
#ifndef WEIR_BPF_SCTP_H
#define WEIR_BPF_SCTP_H

#include "parse.h"

#define CRC32C 0x82f63b78U /* the polynomial, bit 31 of it first, as all below */

/* a * b modulo the polynomial. */
static __always_inline __u32 crc_multiply(__u32 a, __u32 b)
{
	__u32 product = 0;

	for (int i = 0; i < 32; i++) {
		product ^= b & -(a >> 31);
		a <<= 1;
		b = b >> 1 ^ (CRC32C & -(b & 1));
	}
	return product;
}

/* change * x^(8 * length): what is left of a message that begins with it and goes on with zeros. */
struct crc_shift {
	__u32 rest;
	__u32 power; /* x to the 8 * 2^index */
	__u32 length;
};

static long crc_shift_once(__u32 index, struct crc_shift *s)
{
	if (s->length & 1)
		s->rest = crc_multiply(s->rest, s->power);
	s->power = crc_multiply(s->power, s->power);
	s->length >>= 1;
	return !s->length;
}

static __always_inline __u32 little_endian(__u32 word)
{
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? word : __builtin_bswap32(word);
}

/*
 * Writes both ports, as they are in the packet, and what they change. length: of
 * the SCTP packet. By the helper, which keeps the sum over the whole packet
 * (CHECKSUM_COMPLETE) right; for a device that is to make the CRC (CHECKSUM_PARTIAL)
 * its sender leaves zeros, which stay. A global function, so that it is verified once.
 */
__noinline int rewrite_sctp(struct __sk_buff *skb, __u32 l4, __u32 length, __u32 ports)
{
	__u32 off = l4 + offsetof(struct sctp_header, check), before;
	struct crc_shift shift = { .power = 1U << (31 - 8), .length = length };
	__le32 check;

	if (bpf_skb_load_bytes(skb, l4, &before, sizeof(before)) ||
	    bpf_skb_load_bytes(skb, off, &check, sizeof(check)))
		return -1;
	if (before == ports)
		return 0;
	shift.rest = little_endian(before ^ ports);
	/* A callback and not a loop: the verifier looks at it once. */
	bpf_loop(32, crc_shift_once, &shift, 0);
	if (check) /* zeros are none: RFC 9653, or left to a device */
		check ^= little_endian(shift.rest);
	if (bpf_skb_store_bytes(skb, l4, &ports, sizeof(ports), BPF_F_RECOMPUTE_CSUM))
		return -1;
	return bpf_skb_store_bytes(skb, off, &check, sizeof(check), BPF_F_RECOMPUTE_CSUM);
}

#endif
