/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flow records: find, copy, mirror, count, delete. A flow is a pair of records,
 * each the mirror image of the other; it lives in a half-open table until both
 * sides are known to be real, then in weir_flow, which never evicts.
 */
#ifndef WEIR_BPF_FLOW_H
#define WEIR_BPF_FLOW_H

#include "count.h"
#include "csum.h"
#include "hash.h"
#include "parse.h"
#include "tables.h"

/*
 * What a hit needs of a record, copied out before the check is read a second
 * time: the record may turn into another flow's at any moment.
 */
struct action {
	struct weir_addr saddr; /* saddr and daddr together, as IPv6 has them */
	struct weir_addr daddr;
	__be16 sport;
	__be16 dport;
	__u16 addr_diff;
	__u16 port_diff;
	__u32 epoch;
	__u32 touched;
	__u32 backend;
	__u32 generation;
	__u32 service;
	__u32 ifindex;
	__u32 syn_ack;
	__u32 token;
	__u16 mtu;
	__u8 flags;
	__u8 seen;
	__u8 dmac[6];
	__u8 smac[6];
};

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
	struct weir_flow_key peer; /* key of the other half */
	struct weir_flow one;
	struct weir_flow two;
	struct bpf_fib_lookup fib;
	struct weir_expiry expiry;
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

/* False if the record was, or has become, that of another flow. */
static __always_inline bool flow_copy(struct action *to, const struct weir_flow *from, __u32 check)
{
	to->saddr = from->saddr;
	to->daddr = from->daddr;
	to->sport = from->sport;
	to->dport = from->dport;
	to->addr_diff = from->addr_diff;
	to->port_diff = from->port_diff;
	to->epoch = from->epoch;
	to->touched = from->touched;
	to->backend = from->backend;
	to->generation = from->generation;
	to->service = from->service;
	to->ifindex = from->ifindex;
	to->syn_ack = from->syn_ack;
	to->token = from->token;
	to->mtu = from->mtu;
	to->flags = from->flags;
	to->seen = from->seen;
	__builtin_memcpy(to->dmac, from->dmac, sizeof(to->dmac));
	__builtin_memcpy(to->smac, from->smac, sizeof(to->smac));
	barrier();
	return READ_ONCE(from->check) == check;
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
	peer->check = hash_flow(peer_key, seed);
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
}

/* The entry of a record's backend, or NULL if it is another's by now. */
static __always_inline struct weir_backend *flow_backend(__u32 index, __u32 generation)
{
	struct weir_backend *backend;

	if (!index)
		return NULL;
	backend = bpf_map_lookup_elem(&weir_backend, &index);
	return backend && READ_ONCE(backend->generation) == generation ? backend : NULL;
}

/* Hands what a record has counted since the last time on to its backend and its service. */
static __always_inline void flow_settle(struct weir_flow *record, __u32 backend_index,
					__u32 generation, __u32 service)
{
	struct weir_backend *backend = flow_backend(backend_index, generation);
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
					__u32 generation, __u8 flags)
{
	struct weir_state *st = state();
	struct weir_backend *backend;

	/* Who takes the forward half away counts; the other of two who try finds nothing. */
	if (bpf_map_delete_elem(&weir_flow, flags & WEIR_FLOW_REPLY ? peer : key))
		return;
	bpf_map_delete_elem(&weir_flow, flags & WEIR_FLOW_REPLY ? key : peer);
	backend = flow_backend(backend_index, generation);
	if (backend)
		__sync_fetch_and_add(&backend->live, -1);
	if (!st)
		return;
	__sync_fetch_and_add(&st->flows, -1);
	if (flags & WEIR_FLOW_DIRECT)
		__sync_fetch_and_add(&st->direct_flows, -1);
}

#endif
