/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of a TCP socket of the node: the service that its backend stands
 * for. It has one connection at a time, so its cookie is enough of a key; and it
 * must be, since the kernel forgets the port of a connection that failed. An
 * array, and no hash table with eviction: short connections write and free an
 * entry each, and every TCP socket that is closed asks for its own.
 */
#ifndef WEIR_BPF_STREAM_H
#define WEIR_BPF_STREAM_H

#include "hash.h"
#include "maps.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_stream_set);
	__uint(max_entries, WEIR_STREAM_SETS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} weir_stream SEC(".maps");

static __always_inline bool end_none(const struct weir_end *end)
{
	return !end->proto;
}

static __always_inline bool end_equal(const struct weir_end *a, const struct weir_end *b)
{
	return addr_equal(&a->addr, &b->addr) && a->port == b->port && a->proto == b->proto;
}

/* On the stack, and so aligned that words can be read. */
#define STREAM_COPY struct weir_stream __attribute__((aligned(8)))

static __always_inline __u32 stream_check(__u64 cookie, const STREAM_COPY *stream)
{
	const __u64 *word = (const __u64 *)stream;
	__u64 h = cookie * HASH_GOLDEN;

	_Static_assert(sizeof(struct weir_stream_set) == 208, "weir_stream_set has no padding");
	_Static_assert(offsetof(struct weir_stream, check) == 5 * sizeof(*word), "whole words");
	for (int i = 0; i < 5; i++)
		h = (h ^ word[i]) * HASH_GOLDEN;
	return h >> 32;
}

static __always_inline struct weir_stream_set *stream_set(__u64 cookie)
{
	__u32 index = cookie & (WEIR_STREAM_SETS - 1);

	return bpf_map_lookup_elem(&weir_stream, &index);
}

/* The way of a socket, or WEIR_STREAM_WAYS if it has none. */
static __always_inline __u32 stream_way(const struct weir_stream_set *set, __u64 cookie)
{
	__u32 way;

	for (way = 0; way < WEIR_STREAM_WAYS; way++)
		if (READ_ONCE(set->cookie[way]) == cookie)
			break;
	return way;
}

/* A way that was free and is the socket's now, or WEIR_STREAM_WAYS. */
static __always_inline __u32 stream_take(struct weir_stream_set *set, __u64 cookie)
{
	__u32 way;

	for (way = 0; way < WEIR_STREAM_WAYS; way++)
		if (!READ_ONCE(set->cookie[way]) &&
		    !__sync_val_compare_and_swap(&set->cookie[way], 0, cookie))
			break;
	return way;
}

/*
 * Notes what the backend of a connection is called, instead of what was known of
 * the socket. False if that took the way of another, whose backend has no name now.
 */
static __always_inline bool stream_put(__u64 cookie, const struct weir_end *service,
				       const struct weir_end *backend)
{
	STREAM_COPY stream = { .service = *service, .backend = *backend };
	struct weir_stream_set *set = stream_set(cookie);
	bool room;
	__u32 way;

	if (!set)
		return false;
	stream.check = stream_check(cookie, &stream);
	way = stream_way(set, cookie);
	if (way == WEIR_STREAM_WAYS)
		way = stream_take(set, cookie);
	room = way < WEIR_STREAM_WAYS;
	if (!room) {
		way = bpf_get_prandom_u32() % WEIR_STREAM_WAYS;
		WRITE_ONCE(set->cookie[way], cookie);
	}
	set->way[way] = stream;
	return room;
}

/* What the process calls the backend that its socket is connected to. */
static __always_inline bool stream_find(__u64 cookie, const struct weir_end *backend,
					struct weir_end *service)
{
	const struct weir_stream_set *set = stream_set(cookie);
	STREAM_COPY stream;
	__u32 way;

	if (!set)
		return false;
	way = stream_way(set, cookie);
	if (way == WEIR_STREAM_WAYS)
		return false;
	stream = set->way[way];
	*service = stream.service;
	return stream.check == stream_check(cookie, &stream) && end_equal(&stream.backend, backend);
}

/* The cookie goes last: until then nobody else writes to the way, unless its set is full. */
static __always_inline void stream_forget(__u64 cookie)
{
	struct weir_stream_set *set = stream_set(cookie);
	__u32 way;

	if (!set)
		return;
	way = stream_way(set, cookie);
	if (way == WEIR_STREAM_WAYS)
		return;
	set->way[way] = (struct weir_stream){};
	__sync_val_compare_and_swap(&set->cookie[way], cookie, 0);
}

#endif
