/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Part of abi.h: what is kept of a datagram in fragments. */
#ifndef WEIR_ABI_FRAGMENT_H
#define WEIR_ABI_FRAGMENT_H

/* ---- weir_fragment: struct weir_fragment_key -> struct weir_fragment ----------------------- */

/* What names a datagram among those of its two ends, as a hook sees them before translation. */
struct weir_fragment_key {
	struct weir_addr saddr;
	struct weir_addr daddr;
	__be32 id;
	__u8 proto; /* IPPROTO_*; 0 for IPv6, where it is no part of the name (RFC 8200, 4.5) */
	__u8 zero[3];
};

/*
 * What only the first fragment says. Written by every first fragment: ids are
 * used again. check, of what is before it and of the key, tells a record that
 * became another datagram's under its reader.
 */
struct weir_fragment {
	__be16 sport;
	__be16 dport;
	__u8 proto; /* IPPROTO_* */
	__u8 zero[3];
	__u32 check;
	__u32 seen; /* ticks */
};

#endif
