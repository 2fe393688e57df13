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
	bool again;	/* the one to avoid, for want of another */
};

/* What is not needed to go on: bpf/lib/trace.h takes it down. */
#ifndef NOTE_SERVICE
#define NOTE_SERVICE(service)
#define NOTE_LIST(chosen, is_local)
#define NOTE_KEPT(index) /* of the backend that the client has by affinity, or 0 */
#endif

#define CHOSEN WEIR_COUNTER_MAX

#endif
