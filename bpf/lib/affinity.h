/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sessionAffinity: ClientIP. A client's connections to one service port go to
 * one backend, whichever of its frontends they use, as long as that backend is
 * in the list in use and no pause between them is longer than the timeout.
 */
#ifndef WEIR_BPF_AFFINITY_H
#define WEIR_BPF_AFFINITY_H

#include "choice.h"
#include "tables.h"

struct slot_search {
	__u32 low; /* the index, if it is in the list, is in slots [low, high) */
	__u32 high;
	__u32 backend;
	bool found;
};

static long slot_search_once(__u32 i, struct slot_search *in)
{
	__u32 at = in->low + (in->high - in->low) / 2;
	const struct weir_slot *slot;
	__u32 backend;

	if (in->low >= in->high)
		return 1;
	slot = bpf_map_lookup_elem(&weir_slot, &at);
	if (!slot)
		return 1;
	backend = READ_ONCE(slot->backend);
	in->found = backend == in->backend;
	if (backend < in->backend)
		in->low = at + 1;
	else
		in->high = at;
	return in->found;
}

/*
 * Whether a list has a backend. Its slots are in order of backend index, and as
 * immutable as the version, so this is right whatever is published meanwhile.
 */
static __always_inline bool list_has(const struct weir_list *list, __u32 backend)
{
	struct slot_search in = {
		.low = list->first,
		.high = list->first + list->count,
		.backend = backend,
	};

	/* A callback and not a loop: the verifier looks at it once. */
	bpf_loop(32, slot_search_once, &in, 0);
	return in.found;
}

/* Whether a pause in ticks, which is up to a tick too long, is longer than the timeout. */
static __always_inline bool affinity_over(__u32 pause, __u32 seconds)
{
	return (__s32)pause > 0 && (__u64)(pause - 1) << WEIR_TICK_SHIFT >= seconds * 1000000000ULL;
}

/*
 * The backend that the client has, if it may keep it; or 0. A global function,
 * like the next: verified once and not once for each way to it.
 */
__noinline __u32 affinity_find(const struct choice *to, const struct weir_addr *client)
{
	struct weir_affinity_key key = {};
	const struct weir_affinity *kept;
	__u32 index;

	if (!to || !client)
		return 0;
	key.client = *client;
	key.service = to->service;
	kept = bpf_map_lookup_elem(&weir_affinity, &key);
	if (!kept || affinity_over(now_ticks() - READ_ONCE(kept->used), to->affinity))
		return 0;
	index = READ_ONCE(kept->backend);
	if (!backend_of(index, READ_ONCE(kept->generation)))
		return 0;
	return list_has(&to->list, index) ? index : 0;
}

/* Notes that the client has a new connection to the backend chosen. */
__noinline int affinity_note(const struct choice *to, const struct weir_addr *client,
			     __u32 generation)
{
	struct weir_affinity_key key = {};
	struct weir_affinity *kept, fresh = { .generation = generation };

	if (!to || !client)
		return 0;
	key.client = *client;
	key.service = to->service;
	fresh.backend = to->backend;
	fresh.used = now_ticks();
	kept = bpf_map_lookup_elem(&weir_affinity, &key);
	/* Recycled under us, it is another client's, who keeps its backend a while longer. */
	if (kept && kept->backend == fresh.backend && kept->generation == fresh.generation)
		WRITE_ONCE(kept->used, fresh.used);
	else
		bpf_map_update_elem(&weir_affinity, &key, &fresh, BPF_ANY);
	return 0;
}

#endif
