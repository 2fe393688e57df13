/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flow records: find, copy, mirror, count, delete. A flow is a pair of records,
 * each the mirror image of the other; it lives in a half-open table until both
 * sides are known to be real, then in weir_flow, which never evicts.
 */
#ifndef WEIR_BPF_FLOW_H
#define WEIR_BPF_FLOW_H

#include "check.h"
#include "count.h"
#include "csum.h"
#include "parse.h"
#include "tables.h"

/* The first word of a record: all that is swapped in one. */
union flow_head {
	struct {
		__u32 check;
		__u32 epoch : 24;
		__u32 seen : 8;
	};
	__u64 word;
};

/*
 * What a hit needs of a record, copied out and then checked: the record may
 * turn into another flow's at any moment.
 */
struct action {
	union flow_head head;
	struct weir_addr saddr; /* from here to the way as in struct weir_flow */
	struct weir_addr daddr;
	__be16 sport;
	__be16 dport;
	__u16 addr_diff;
	__u16 port_diff;
	__u32 backend;
	__u32 generation;
	__u32 service : 24;
	__u32 flags : 8;
	__u32 touched;
	struct weir_way way;
	__u32 syn_ack;
	__u32 token;
} __attribute__((aligned(8)));

_Static_assert(offsetof(struct action, way) == offsetof(struct weir_flow, way),
	       "copied as one piece");

struct found {
	struct weir_flow *record;
	bool half; /* in a half-open table */
};

/* Space for what does not fit on the stack; no program runs inside another on one CPU. */
struct scratch {
	/*
	 * Key of the packet at hand: Linux 6.1 takes no key out of what a global
	 * function was given.
	 */
	struct weir_flow_key key;
	struct weir_flow_key peer;  /* key of the other half */
	struct weir_flow_key other; /* of a half that is in the way */
	struct weir_flow one;
	struct weir_flow two;
	struct bpf_fib_lookup fib;
	struct weir_expiry expiry;
	struct weir_fragment_key datagram __attribute__((aligned(8)));
	__u32 zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct scratch);
	__uint(max_entries, 1);
} weir_scratch SEC(".maps");

static __always_inline struct scratch *scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_scratch, &zero);
}

static __always_inline struct weir_flow *half_find(const struct weir_flow_key *key)
{
	/* Two calls and not one on a chosen pointer: the verifier wants to know the map. */
	if (key->proto == NEXT_TCP)
		return bpf_map_lookup_elem(&weir_half_tcp, key);
	return bpf_map_lookup_elem(&weir_half_udp, key);
}

static __always_inline long half_put(const struct weir_flow_key *key, const struct weir_flow *value,
				     __u64 flags)
{
	if (key->proto == NEXT_TCP)
		return bpf_map_update_elem(&weir_half_tcp, key, value, flags);
	return bpf_map_update_elem(&weir_half_udp, key, value, flags);
}

static __always_inline void half_delete(const struct weir_flow_key *key)
{
	if (key->proto == NEXT_TCP)
		bpf_map_delete_elem(&weir_half_tcp, key);
	else
		bpf_map_delete_elem(&weir_half_udp, key);
}

static __always_inline struct found flow_find(const struct weir_flow_key *key)
{
	struct found found = { .record = bpf_map_lookup_elem(&weir_flow, key) };

	if (!found.record) {
		found.record = half_find(key);
		found.half = true;
	}
	return found;
}

#ifndef FLOW_PAUSE
#define FLOW_PAUSE() /* a test draws these moments out */
#endif

static __always_inline void flow_take(struct action *to, const struct weir_flow *from)
{
	to->head.word = READ_ONCE(*(const __u64 *)from);
	to->saddr = from->saddr;
	to->daddr = from->daddr;
	FLOW_PAUSE();
	__builtin_memcpy(&to->sport, &from->sport,
			 offsetof(struct weir_flow, packets) - offsetof(struct weir_flow, sport));
	to->syn_ack = from->syn_ack;
	to->token = from->token;
}

/* False if the record was, or has become, even in part, that of another flow. */
static __always_inline bool flow_copy(struct action *to, const struct weir_flow *from, __u64 hash)
{
	flow_take(to, from);
	barrier(); /* what is checked is the copy, not what is there by then */
	if (to->head.check != flow_check(hash, &to->saddr))
		return false;
	if (to->way.check != way_check(to->head.check, &to->way))
		__builtin_memset(&to->way, 0, sizeof(to->way));
	return true;
}

/* The same of a whole record, which need not be there. */
static __always_inline bool flow_copy_whole(struct weir_flow *to, const struct weir_flow *from,
					    __u64 hash)
{
	if (!from)
		return false;
	*to = *from;
	barrier(); /* as above */
	return to->check == flow_check(hash, &to->saddr);
}

/*
 * Writes epoch and seen, and only into the record that was copied. Lost if
 * another CPU was faster; the next packet sees to it.
 */
static __always_inline void flow_swap(struct weir_flow *record, struct action *act, __u32 epoch,
				      __u8 seen)
{
	union flow_head after = { { .check = act->head.check, .epoch = epoch, .seen = seen } };

	FLOW_PAUSE();
	__sync_val_compare_and_swap((__u64 *)record, act->head.word, after.word);
	act->head = after;
}

/* The key under which the other half of (key, rewritten to `to`) is kept. */
static __always_inline void flow_peer_key(struct weir_flow_key *peer,
					  const struct weir_flow_key *key, const struct action *to)
{
	*peer = (struct weir_flow_key){
		.saddr = to->daddr,
		.daddr = to->saddr,
		.sport = to->dport,
		.dport = to->sport,
		.proto = key->proto,
	};
}

static __always_inline void flow_peer_key_of(struct weir_flow_key *peer,
					     const struct weir_flow_key *key,
					     const struct weir_flow *record)
{
	*peer = (struct weir_flow_key){
		.saddr = record->daddr,
		.daddr = record->saddr,
		.sport = record->dport,
		.dport = record->sport,
		.proto = key->proto,
	};
}

/* What the record at key adds to the packet, from what it writes. */
static __always_inline void flow_set_diffs(const struct weir_flow_key *key,
					   struct weir_flow *record)
{
	record->addr_diff = csum_fold(csum_diff_addr(&key->saddr, &record->saddr) +
				      csum_diff_addr(&key->daddr, &record->daddr));
	record->port_diff = csum_fold(csum_diff_port(key->sport, record->sport) +
				      csum_diff_port(key->dport, record->dport));
}

/*
 * The other half of `record`, which is kept under `key`: everything that a half
 * says follows from its peer, so one lost half can always be made again. Where
 * to send is left open; the first packet looks it up.
 */
static __always_inline void flow_mirror(const struct weir_flow_key *key,
					const struct weir_flow *record,
					const struct weir_flow_key *peer_key,
					struct weir_flow *peer, __u64 seed)
{
	__builtin_memset(peer, 0, sizeof(*peer));
	peer->epoch = record->epoch;
	peer->saddr = key->daddr;
	peer->daddr = key->saddr;
	peer->sport = key->dport;
	peer->dport = key->sport;
	peer->addr_diff = ~record->addr_diff;
	peer->port_diff = ~record->port_diff;
	peer->touched = record->touched;
	peer->flags = record->flags ^ WEIR_FLOW_REPLY;
	peer->seen = record->seen & (WEIR_SEEN_SYN | WEIR_SEEN_SYN_ACK);
	peer->syn_ack = record->syn_ack;
	peer->token = record->token;
	peer->backend = record->backend;
	peer->generation = record->generation;
	peer->service = record->service;
	peer->created = record->created;
	peer->check = flow_check(hash_flow(peer_key, seed), &peer->saddr);
}

/* Hands what a record has counted since the last time on to its backend and its service. */
static __always_inline void flow_settle(struct weir_flow *record, __u32 backend_index,
					__u32 generation, __u32 service)
{
	struct weir_backend *backend = backend_of(backend_index, generation);
	__u64 packets = record->packets - record->counted_packets;
	__u64 bytes = record->bytes - record->counted_bytes;
	struct weir_stat *stat;

	if (!packets)
		return;
	record->counted_packets += packets;
	record->counted_bytes += bytes;
	if (backend) {
		__sync_fetch_and_add(&backend->packets, packets);
		__sync_fetch_and_add(&backend->bytes, bytes);
	}
	stat = bpf_map_lookup_elem(&weir_stat, &service);
	if (stat) {
		__sync_fetch_and_add(&stat->packets, packets);
		__sync_fetch_and_add(&stat->bytes, bytes);
	}
}

/* One packet of this direction was handled. Not atomic: one flow is mostly on one CPU. */
static __always_inline void flow_account(struct weir_flow *record, __u32 bytes)
{
	record->packets++;
	record->bytes += bytes;
}

/* Ends an established pair. Its element of weir_expiry dies by its token. */
static __always_inline void flow_delete(const struct weir_flow_key *key,
					const struct weir_flow_key *peer, __u32 backend_index,
					__u32 generation, __u32 flags)
{
	struct weir_state *st = state();
	struct weir_backend *backend;

	/* Who takes the forward half away counts; the other of two who try finds nothing. */
	if (bpf_map_delete_elem(&weir_flow, flags & WEIR_FLOW_REPLY ? peer : key))
		return;
	bpf_map_delete_elem(&weir_flow, flags & WEIR_FLOW_REPLY ? key : peer);
	backend = backend_of(backend_index, generation);
	if (backend)
		__sync_fetch_and_add(&backend->live, -1);
	if (!st)
		return;
	__sync_fetch_and_add(&st->flows, -1);
	if (flags & WEIR_FLOW_DIRECT)
		__sync_fetch_and_add(&st->direct_flows, -1);
}

#endif
