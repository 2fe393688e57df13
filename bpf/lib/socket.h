/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of a UDP socket of the node: which service each backend stands
 * for, and which backend it keeps to. (Of a TCP socket: stream.h.) Everything is
 * on the stack: the programs that use this run in their process's context and
 * may be interrupted, by a softirq or by another process's program, on the CPU
 * that they run on.
 *
 * The kernel holds the socket's lock around all of them but release, which
 * nobody else can be there for, so a chain has one writer at a time.
 */
#ifndef WEIR_BPF_SOCKET_H
#define WEIR_BPF_SOCKET_H

#include "hash.h"
#include "maps.h"
#include "stream.h"

/* LRU, so that a chain that lost a link, and with it its tail, is no leak for good. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct weir_socket_key);
	__type(value, struct weir_peer);
	__uint(max_entries, WEIR_MAX_SOCKETS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} weir_peer SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct weir_socket_key);
	__type(value, struct weir_sticky);
	__uint(max_entries, WEIR_MAX_SOCKETS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} weir_sticky SEC(".maps");

/* Only UDP sockets that have used a service have one. The kernel frees it with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__type(key, int);
	__type(value, struct weir_socket);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} weir_socket SEC(".maps");

#define CHECK_WORDS(type) (offsetof(struct type, check) / sizeof(__u32))

/* What check must be for this key and the words of the record in front of it. */
static __always_inline __u32 socket_check(const struct weir_socket_key *key, const void *record,
					  __u32 words)
{
	const __u64 *k = (const __u64 *)key;
	const __u32 *word = record;
	__u64 h = 0;

	_Static_assert(sizeof(*key) == 4 * sizeof(*k), "a socket's key is four words");
	for (int i = 0; i < 4; i++)
		h = (h ^ k[i]) * HASH_GOLDEN;
	for (__u32 i = 0; i < words; i++)
		h = (h ^ word[i]) * HASH_GOLDEN;
	return h >> 32;
}

/* Copies a record out. False if there is none, or it became another's meanwhile. */
static __always_inline bool peer_find(const struct weir_socket_key *key, struct weir_peer *to)
{
	const struct weir_peer *found = bpf_map_lookup_elem(&weir_peer, key);

	if (!found)
		return false;
	*to = *found;
	return to->check == socket_check(key, to, CHECK_WORDS(weir_peer));
}

static __always_inline bool sticky_find(const struct weir_socket_key *key, struct weir_sticky *to)
{
	const struct weir_sticky *found = bpf_map_lookup_elem(&weir_sticky, key);

	if (!found)
		return false;
	*to = *found;
	return to->check == socket_check(key, to, CHECK_WORDS(weir_sticky));
}

/* Notes what the backend at key->end is called; next and check are filled in here. */
static __always_inline long peer_put(struct weir_socket *socket, const struct weir_socket_key *key,
				     struct weir_peer *peer)
{
	struct weir_peer old;
	bool known = peer_find(key, &old);
	long failed;

	if (known && end_equal(&old.service, &peer->service) && old.backend == peer->backend &&
	    old.generation == peer->generation)
		return 0;
	peer->next = known ? old.next : socket->peer;
	peer->check = socket_check(key, peer, CHECK_WORDS(weir_peer));
	failed = bpf_map_update_elem(&weir_peer, key, peer, BPF_ANY);
	if (!failed && !known)
		socket->peer = key->end;
	return failed;
}

static __always_inline long sticky_put(struct weir_socket *socket,
				       const struct weir_socket_key *key,
				       struct weir_sticky *sticky)
{
	struct weir_sticky old;
	bool known = sticky_find(key, &old);
	long failed;

	if (known && old.backend == sticky->backend && old.generation == sticky->generation &&
	    old.service == sticky->service)
		return 0;
	sticky->next = known ? old.next : socket->sticky;
	sticky->check = socket_check(key, sticky, CHECK_WORDS(weir_sticky));
	failed = bpf_map_update_elem(&weir_sticky, key, sticky, BPF_ANY);
	if (!failed && !known)
		socket->sticky = key->end;
	return failed;
}

/* One link of each chain; 1 ends the walk. */
struct closing {
	struct weir_socket_key peer;
	struct weir_socket_key sticky;
};

static long close_one(__u32 index, struct closing *c)
{
	struct weir_sticky sticky = {};
	struct weir_peer peer = {};

	if (end_none(&c->peer.end) && end_none(&c->sticky.end))
		return 1;
	if (!end_none(&c->peer.end)) {
		if (!peer_find(&c->peer, &peer))
			peer.next = (struct weir_end){};
		bpf_map_delete_elem(&weir_peer, &c->peer);
		c->peer.end = peer.next;
	}
	if (!end_none(&c->sticky.end)) {
		if (!sticky_find(&c->sticky, &sticky))
			sticky.next = (struct weir_end){};
		bpf_map_delete_elem(&weir_sticky, &c->sticky);
		c->sticky.end = sticky.next;
	}
	return 0;
}

/* Frees all that is known of a socket. */
static __always_inline void socket_forget(const struct weir_socket *socket, __u64 cookie)
{
	struct closing closing = {
		.peer = { .cookie = cookie, .end = socket->peer },
		.sticky = { .cookie = cookie, .end = socket->sticky },
	};

	bpf_loop(WEIR_MAX_SOCKETS, close_one, &closing, 0);
}

#endif
