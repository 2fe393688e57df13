/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The part of the contract that explains. Included by abi.h, whose rules hold. */
#ifndef WEIR_ABI_TRACE_H
#define WEIR_ABI_TRACE_H

/* ---- weir_trace: one element, written by the weir_trace_* programs alone ------------------- */

/* The mark of a packet for weir_trace_tc. */
enum weir_trace_edge {
	WEIR_TRACE_UPLINK,
	WEIR_TRACE_POD,
};

enum weir_trace_verdict {
	WEIR_TRACE_PASS = 1,
	WEIR_TRACE_FORWARD,
	WEIR_TRACE_DROP,
	WEIR_TRACE_REJECT,
};

/* One look-up, in the order in which the core made it. */
struct weir_trace_step {
	char map[16];
	__u8 found;
	__u8 key_size;	 /* bytes of key that count */
	__u8 value_size; /* of value, if it was found */
	__u8 zero[5];
	__u8 key[40];
	__u8 value[136]; /* as it was read */
	__u8 copy[136];	 /* given to the core in its place, which may write to it */
};

struct weir_trace_choice {
	struct weir_list list; /* in use; 0 slots: none, or empty */
	__u32 service;	       /* id; 0: none was found */
	__u8 frontend;	       /* enum weir_frontend; 0: none was found */
	__u8 local;	       /* the list is the local one */
	__u8 affinity;	       /* the client had a backend and keeps it */
	__u8 made;	       /* a list was looked for: the packet is not one of a flow */
};

#define WEIR_TRACE_STEPS 128

struct weir_trace {
	__u32 why;    /* enum weir_counter: what would have been counted */
	__u8 verdict; /* enum weir_trace_verdict */
	__u8 hit;     /* of a flow that is there */
	__u8 half;    /* which is half open */
	__u8 zero;
	struct weir_trace_choice choice;
	struct weir_addr saddr; /* with FORWARD: what would be written */
	struct weir_addr daddr;
	__be16 sport;
	__be16 dport;
	__u32 backend; /* index */
	__u32 service; /* id, of the flow or of the choice */
	__u32 flags;   /* enum weir_flow_flag */
	__u32 steps;   /* of which the first WEIR_TRACE_STEPS are kept */
	__u32 zero2;
	struct weir_trace_step step[WEIR_TRACE_STEPS];
};

#endif
