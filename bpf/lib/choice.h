/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a choice is made from and what comes of it. */
#ifndef WEIR_BPF_CHOICE_H
#define WEIR_BPF_CHOICE_H

/* Where a packet's client is. */
enum edge {
	EDGE_UPLINK,
	EDGE_POD,
	EDGE_HOST, /* a process of the node itself */
};

struct choice {
	struct weir_list list;
	__u32 service;
	__u32 backend;	/* index */
	__u32 affinity; /* s, see struct weir_version */
	__u8 frontend;	/* enum weir_frontend */
	bool local;	/* the list is the local one */
	bool kept;	/* the client had this backend: affinity */
	bool again;	/* the one to avoid, for want of another */
};

#ifndef CHOICE_MADE
#define CHOICE_MADE(choice) /* bpf/lib/trace.h takes it down here */
#endif

#define CHOSEN WEIR_COUNTER_MAX

#endif
