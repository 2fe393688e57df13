/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of the contract that user space has with itself: how the agent stands
 * with whom it has its Services from, kept in the kernel so that `weir status`
 * tells it. Included by abi.h, whose rules hold.
 */
#ifndef WEIR_ABI_SOURCE_H
#define WEIR_ABI_SOURCE_H

/* ---- weir_source: enum weir_source_resource -> struct weir_source; user space only -------- */

enum weir_source_resource {
	WEIR_SOURCE_SERVICES,
	WEIR_SOURCE_ENDPOINTSLICES,
	WEIR_SOURCE_NODE,
	WEIR_SOURCE_MAX,
};

enum weir_source_kind {
	WEIR_SOURCE_MANIFESTS = 1,
	WEIR_SOURCE_KUBERNETES,
};

/* Of manifests, none is ever begun. */
enum weir_source_state {
	WEIR_SOURCE_NOT_STARTED,
	WEIR_SOURCE_LISTING,
	WEIR_SOURCE_WATCHING,
	WEIR_SOURCE_RETRYING, /* waits before the next attempt */
};

/* All zero: no agent of this build has run. */
struct weir_source {
	__u64 heard;	/* Unix time in s of the last answer or event; 0: never */
	__u64 since;	/* Unix time in s: in this state since then */
	__u64 restarts; /* watches that ended, however they did */
	__u32 kind;	/* enum weir_source_kind; the same for all resources */
	__u32 state;	/* enum weir_source_state */
};

#endif
