/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Half-open flows. They live in LRU tables of their own, so that a flood of
 * SYNs, blind ACKs or datagrams can push out only its like. A pair moves to
 * weir_flow when both sides are known to be real: TCP when the client has
 * acknowledged the backend's SYN-ACK with the right number, UDP at the first
 * reply.
 */
#ifndef WEIR_BPF_HALF_H
#define WEIR_BPF_HALF_H

#include "flow.h"

/* What to do with a packet that hit a half-open record. */
enum half_fate {
	HALF_GO_ON,
	HALF_NOT_OURS, /* of a connection that is not ours, on the same tuple */
	HALF_REPICK,   /* the backend did not answer: take another */
};

/* Both halves into s->one (of key) and s->two (of s->peer). False: recycled under us. */
static __noinline bool half_collect(struct scratch *s, const struct weir_flow_key *key, __u64 hash,
				    const struct weir_flow *record, __u64 seed)
{
	if (!flow_copy_whole(&s->one, record, hash))
		return false;
	flow_peer_key_of(&s->peer, key, &s->one);
	if (!flow_copy_whole(&s->two, half_find(&s->peer), hash_flow(&s->peer, seed)))
		flow_mirror(key, &s->one, &s->peer, &s->two, seed);
	return true;
}

/* Puts the lost half of a pair back: the table may have evicted either. */
static __always_inline void half_repair(struct scratch *s, const struct weir_flow_key *key,
					__u64 hash, const struct action *act,
					const struct weir_flow *record, __u64 seed)
{
	flow_peer_key(&s->peer, key, act);
	if (half_find(&s->peer) || !half_collect(s, key, hash, record, seed))
		return;
	if (!half_put(&s->peer, &s->two, BPF_NOEXIST))
		count(WEIR_flow_repaired);
}

/*
 * The new pair's place in the queue of weir_expiry. Their number is bounded
 * here, below the queue's size, so that what the collector puts back finds room.
 */
static __always_inline long flow_push(struct scratch *s, const struct weir_flow_key *forward,
				      __u32 token, const struct weir_config *cfg)
{
	struct weir_state *st = state();

	if (!st)
		return -1;
	s->expiry.key = *forward;
	s->expiry.token = token;
	if (__sync_fetch_and_add(&st->queued, 1) < cfg->max_flows &&
	    !bpf_map_push_elem(&weir_expiry, &s->expiry, 0))
		return 0;
	__sync_fetch_and_add(&st->queued, -1);
	return -1;
}

static __always_inline void flow_count_new(const struct weir_flow *flow)
{
	struct weir_backend *backend = backend_of(flow->backend, flow->generation);
	__u32 service = flow->service;
	struct weir_stat *stat = bpf_map_lookup_elem(&weir_stat, &service);
	struct weir_state *st = state();

	if (backend) {
		__sync_fetch_and_add(&backend->live, 1);
		__sync_fetch_and_add(&backend->connections, 1);
	}
	if (stat && service)
		__sync_fetch_and_add(&stat->connections, 1);
	if (st) {
		__sync_fetch_and_add(&st->flows, 1);
		if (flow->flags & WEIR_FLOW_DIRECT)
			__sync_fetch_and_add(&st->direct_flows, 1);
	}
	count(WEIR_flow_established);
}

/*
 * Moves a pair, one half of which is `record` at `key`, to weir_flow. The reply
 * half goes first: it is the reservation of the tuple, so of two CPUs that try
 * one gets through. The half-open records go last, so that the tuple is never
 * free in between. On failure the pair stays half open and works on.
 */
static __always_inline void half_promote(struct scratch *s, const struct weir_flow_key *key,
					 __u64 hash, const struct weir_flow *record,
					 const struct weir_config *cfg)
{
	const struct weir_flow_key *forward, *reply;
	struct weir_flow *f, *r;
	__u32 token;

	if (!half_collect(s, key, hash, record, cfg->seed))
		return;
	if (s->one.flags & WEIR_FLOW_REPLY) {
		reply = key;
		r = &s->one;
		forward = &s->peer;
		f = &s->two;
	} else {
		reply = &s->peer;
		r = &s->two;
		forward = key;
		f = &s->one;
	}
	token = bpf_get_prandom_u32();
	f->token = token;
	r->token = token;
	if (bpf_map_update_elem(&weir_flow, reply, r, BPF_NOEXIST)) {
		if (!bpf_map_lookup_elem(&weir_flow, reply))
			count(WEIR_flow_full);
		return;
	}
	if (bpf_map_update_elem(&weir_flow, forward, f, BPF_NOEXIST)) {
		bpf_map_delete_elem(&weir_flow, reply);
		count(WEIR_flow_full);
		return;
	}
	if (flow_push(s, forward, token, cfg)) {
		bpf_map_delete_elem(&weir_flow, forward);
		bpf_map_delete_elem(&weir_flow, reply);
		count(WEIR_flow_full);
		return;
	}
	flow_count_new(f);
	half_delete(key);
	half_delete(&s->peer);
}

/* The backend answered the handshake: remember what the client must acknowledge. */
static __always_inline void half_answered(struct scratch *s, const struct weir_flow_key *key,
					  const struct packet *p, struct action *act,
					  struct weir_flow *record, __u64 seed)
{
	struct weir_flow *forward;
	struct action other;

	/* The number before the flag that says it is there. */
	record->token = p->seq + 1;
	barrier();
	flow_swap(record, act, act->head.epoch, act->head.seen | WEIR_SEEN_SYN_ACK);
	flow_peer_key(&s->peer, key, act);
	forward = half_find(&s->peer);
	if (!forward || !flow_copy(&other, forward, hash_flow(&s->peer, seed)))
		return;
	forward->token = p->seq + 1;
	barrier();
	flow_swap(forward, &other, other.head.epoch, other.head.seen | WEIR_SEEN_SYN_ACK);
}

static __always_inline enum half_fate half_tcp_reply(struct scratch *s, const struct packet *p,
						     __u64 hash, struct action *act,
						     struct weir_flow *record,
						     const struct weir_config *cfg)
{
	bool known = act->head.seen & WEIR_SEEN_SYN;

	if (act->head.seen & WEIR_SEEN_SYN_ACK && !(p->tcp & TCP_SYN))
		return HALF_GO_ON;
	/*
	 * Only what answers this handshake is a reply of it. Anything else on
	 * the tuple belongs to a connection that goes to the backend directly.
	 */
	if (known && (!(p->tcp & TCP_ACK) || p->ack != act->syn_ack))
		return HALF_NOT_OURS;
	half_repair(s, &s->key, hash, act, record, cfg->seed);
	if (known && (p->tcp & (TCP_SYN | TCP_ACK | TCP_RST)) == (TCP_SYN | TCP_ACK))
		half_answered(s, &s->key, p, act, record, cfg->seed);
	return HALF_GO_ON;
}

static __always_inline enum half_fate half_tcp_forward(struct scratch *s, const struct packet *p,
						       __u64 hash, struct action *act,
						       struct weir_flow *record,
						       const struct weir_config *cfg)
{
	bool acked = act->head.seen & WEIR_SEEN_ACK;

	if (tcp_opens(p)) {
		/* The very packet that XDP has just chosen a backend for is no retransmission. */
		if (!CTX_IS_XDP && act->head.seen & WEIR_SEEN_XDP) {
			flow_swap(record, act, act->head.epoch, act->head.seen & ~WEIR_SEEN_XDP);
			return HALF_GO_ON;
		}
		return act->head.seen & WEIR_SEEN_SYN_ACK ? HALF_GO_ON : HALF_REPICK;
	}
	if (act->head.seen & WEIR_SEEN_SYN_ACK && p->tcp & TCP_ACK && !(p->tcp & TCP_RST) &&
	    p->ack == act->token) {
		flow_swap(record, act, act->head.epoch, act->head.seen | WEIR_SEEN_ACK);
		acked = true;
	}
	if (acked)
		half_promote(s, &s->key, hash, record, cfg);
	else
		half_repair(s, &s->key, hash, act, record, cfg->seed);
	return HALF_GO_ON;
}

/* What a packet that hit a half-open record does to the record. */
static __always_inline enum half_fate half_step(struct scratch *s, const struct packet *p,
						__u64 hash, struct action *act,
						struct weir_flow *record,
						const struct weir_config *cfg)
{
	if (p->key.proto == NEXT_TCP) {
		if (act->flags & WEIR_FLOW_REPLY)
			return half_tcp_reply(s, p, hash, act, record, cfg);
		return half_tcp_forward(s, p, hash, act, record, cfg);
	}
	if (act->flags & WEIR_FLOW_REPLY)
		half_promote(s, &s->key, hash, record, cfg);
	else
		half_repair(s, &s->key, hash, act, record, cfg->seed);
	return HALF_GO_ON;
}

#endif
