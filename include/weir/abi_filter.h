/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Part of abi.h: what is in front of the tables, so that most packets need not ask them. */
#ifndef WEIR_ABI_FILTER_H
#define WEIR_ABI_FILTER_H

/* ---- weir_filter: word -> eight slots of bits ---------------------------------------------- */

/*
 * A slot has the bits (enum weir_address_bit) of all addresses whose slot it is,
 * and may have more: what is not in it is in weir_address for none of them. A
 * mebibyte, whatever the number of addresses.
 */
#define WEIR_FILTER_WORDS 131072

/*
 * The slot of an address: its byte is slot % 8 of word slot / 8, counted from
 * the least significant. Not seeded: who finds addresses of one slot makes
 * their packets ask weir_address, and no more.
 */
static inline __attribute__((always_inline)) __u64 weir_filter_slot(const struct weir_addr *addr)
{
	__u64 high = addr->word[0], low = addr->word[2];

	high = high << 32 | addr->word[1];
	low = low << 32 | addr->word[3];
	return (high * 0x9e3779b97f4a7c15ULL + low) * 0xbf58476d1ce4e5b9ULL >> 44 & 0xfffff;
}

/* ---- weir_port: word -> 64 ports ------------------------------------------------------------ */

/*
 * Bit port % 64 of word port / 64, in host order: a node port, or one that
 * source NAT may use. A packet to one of the node's own addresses and to
 * another port is the node's own traffic. Bits are set and never taken away:
 * flows outlive what they came by.
 */
#define WEIR_PORT_WORDS 1024

#ifdef __cplusplus
static_assert(WEIR_FILTER_WORDS * 8 == 1 << 20, "a slot has 20 bits");
#else
_Static_assert(WEIR_FILTER_WORDS * 8 == 1 << 20, "a slot has 20 bits");
#endif

#endif
