/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A new flow: where it goes, under which source, and the half-open pair that says so. */
#ifndef WEIR_BPF_OPEN_H
#define WEIR_BPF_OPEN_H

#include "choose.h"
#include "half.h"
#include "route.h"

#define SOURCE_PROBES 32 /* with nine of ten ports taken, all fail once in 30 times */

#define OPENED WEIR_COUNTER_MAX

/* A port of the configured ranges from 32 uniform bits; 0 if there is none. Network order. */
static __always_inline __be16 source_port(const struct weir_config *cfg, __u32 bits)
{
	__u32 n0 = cfg->source_ports[0].count, n1 = cfg->source_ports[1].count;
	__u32 at = hash_scale(bits, n0 + n1);

	if (!(n0 + n1))
		return 0;
	return bpf_htons(at < n0 ? cfg->source_ports[0].first + at
				 : cfg->source_ports[1].first + at - n0);
}

/* A reply half that is there already: is it in the way, or may it be replaced? */
static __always_inline bool half_stale(const struct weir_flow *old, const struct weir_config *cfg)
{
	return (__s32)(now_ticks() - old->touched) > (__s32)cfg->life_half;
}

/*
 * The forward half of the reply half `old`, which is kept at s->peer, is gone:
 * the tables evict records one by one, and a flood leaves the halves behind that
 * others asked for.
 */
static __always_inline bool half_orphan(struct scratch *s, const struct weir_flow *old)
{
	const struct weir_flow *forward;

	flow_peer_key_of(&s->other, &s->peer, old);
	forward = half_find(&s->other);
	return !forward || forward->sport != s->peer.dport ||
	       !addr_equal(&forward->daddr, &s->peer.saddr);
}

/*
 * There is a reply half at s->peer. 0 if the tuple is s->one's now. take: even
 * from a flow that is alive, which then is as if it had been evicted.
 */
static __always_inline long reserve_taken(struct scratch *s, const struct weir_flow_key *key,
					  const struct weir_flow *old, bool take,
					  const struct weir_config *cfg)
{
	bool ours = addr_equal(&old->daddr, &key->saddr) && old->dport == key->sport &&
		    addr_equal(&old->saddr, &key->daddr) && old->sport == key->dport;

	/* Ours: we lost the forward half, in the middle of the handshake. What was said counts. */
	if (ours && !(s->two.seen & WEIR_SEEN_SYN) && !half_stale(old, cfg)) {
		s->one.seen |= old->seen & (WEIR_SEEN_SYN | WEIR_SEEN_SYN_ACK);
		s->one.syn_ack = old->syn_ack;
		s->one.token = old->token;
		count(WEIR_flow_repaired);
		return 0;
	}
	if (!ours && !half_stale(old, cfg) && !half_orphan(s, old)) {
		if (!take)
			return -1;
		half_delete(&s->other);
	}
	return half_put(&s->peer, &s->two, BPF_ANY);
}

/*
 * Reserves the reply tuple for s->one, whose source is set: the entry that
 * translates replies is the reservation. 0, or not if the tuple is taken. Looks
 * before it puts: a put that fails has evicted another record for nothing.
 */
static __always_inline long reserve(struct scratch *s, const struct weir_flow_key *key, bool take,
				    const struct weir_config *cfg)
{
	struct weir_flow *old;

	flow_set_diffs(key, &s->one);
	flow_peer_key_of(&s->peer, key, &s->one);
	flow_mirror(key, &s->one, &s->peer, &s->two, cfg->seed);
	old = half_find(&s->peer);
	if (old ? reserve_taken(s, key, old, take, cfg) : half_put(&s->peer, &s->two, BPF_NOEXIST))
		return -1;
	/* Whoever promotes writes there before it deletes here, so this order misses nobody. */
	if (bpf_map_lookup_elem(&weir_flow, &s->peer)) {
		half_delete(&s->peer);
		return -1;
	}
	return 0;
}

struct probe {
	struct scratch *scratch;
	const struct weir_flow_key *key;
	const struct weir_config *config;
	__u32 bits;
	bool own_first;
	bool reserved;
};

/* One try at a source port; 1 ends the tries. */
static long probe_once(__u32 i, struct probe *probe)
{
	struct scratch *s = probe->scratch;
	bool own = probe->own_first && !i;

	/* The first drawn follows from the flow: who lost its half finds its old port. */
	s->one.sport = own ? probe->key->sport
			   : source_port(probe->config, i ? bpf_get_prandom_u32() : probe->bits);
	if (!s->one.sport)
		return 1;
	/* The later ones take what they find half open: of such flows the newest are kept. */
	probe->reserved = !reserve(s, probe->key, i >= SOURCE_PROBES / 2, probe->config);
	if (own && !probe->reserved)
		count(WEIR_flow_moved);
	return probe->reserved;
}

/*
 * Finds a source port under which the tuple is free. The client's own comes
 * first where its address stays; then uniformly random ones.
 */
static __always_inline enum weir_counter reserve_source(struct scratch *s,
							const struct weir_flow_key *key,
							const struct weir_config *cfg, __u32 bits,
							bool own_first)
{
	struct probe probe = {
		.scratch = s,
		.key = key,
		.config = cfg,
		.bits = bits,
		.own_first = own_first,
	};

	/* A callback and not a loop: the verifier looks at it once, not thirty times. */
	bpf_loop(SOURCE_PROBES, probe_once, &probe, 0);
	return probe.reserved ? OPENED : WEIR_drop_no_port;
}

/*
 * The source that the backend will see. A backend on this node sees the client;
 * one that is reached through an uplink again would answer the client past us,
 * and a pod that is its own backend would answer itself.
 */
static __always_inline enum weir_counter open_source(const struct ctx *ctx, struct scratch *s,
						     const struct packet *p, enum edge edge,
						     bool local)
{
	struct weir_flow *flow = &s->one;
	struct weir_addr none = {};
	long found;

	if (edge == EDGE_POD) {
		if (!addr_equal(&flow->daddr, &s->key.saddr)) {
			route_bridged(ctx, s, p, &flow->daddr, flow->way.dmac);
			return OPENED;
		}
		flow->flags |= WEIR_FLOW_SEND | WEIR_FLOW_HAIRPIN;
		return device_source(ctx_ifindex(ctx), p->v4, &flow->saddr) ? OPENED
									    : WEIR_drop_no_source;
	}
	if (local)
		return OPENED;
	if (p->v4)
		none.word[2] = bpf_htonl(0xffff);
	flow->flags |= WEIR_FLOW_SEND;
	found = route_find(ctx, s, p, ctx_ifindex(ctx), &none, &flow->daddr);
	if (found == BPF_FIB_LKUP_RET_FRAG_NEEDED) {
		flow->way.mtu = s->fib.mtu_result;
		return WEIR_answer_too_big;
	}
	if (!route_usable(found))
		return WEIR_drop_no_route;
	route_keep(s, found, &flow->way);
	return device_source(flow->way.ifindex, p->v4, &flow->saddr) ? OPENED : WEIR_drop_no_source;
}

/* Fills s->one up to the source. */
static __always_inline void open_record(struct scratch *s, const struct packet *p, enum edge edge,
					const struct weir_config *cfg)
{
	struct weir_flow *flow = &s->one;

	__builtin_memset(flow, 0, sizeof(*flow));
	flow->epoch = epoch_now(cfg);
	flow->saddr = p->key.saddr;
	flow->sport = p->key.sport;
	flow->daddr = p->key.daddr;
	flow->dport = p->key.dport;
	flow->created = now_ticks();
	flow->touched = flow->created;
	flow->flags = edge == EDGE_POD ? WEIR_FLOW_POD : 0;
	if (tcp_opens(p)) {
		flow->seen = WEIR_SEEN_SYN;
		flow->syn_ack = p->seq + 1;
	}
	if (CTX_IS_XDP)
		flow->seen |= WEIR_SEEN_XDP;
}

/* Keeps the forward half; s->peer holds the reply half's key. */
static __always_inline enum weir_counter open_keep(struct scratch *s, __u64 hash)
{
	struct weir_flow *flow = &s->one;

	flow->check = flow_check(hash, &flow->saddr);
	flow->way.check = way_check(flow->check, &flow->way);
	if (half_put(&s->key, &s->one, BPF_ANY)) {
		half_delete(&s->peer);
		return WEIR_drop_half_full;
	}
	count(WEIR_flow_new);
	return OPENED;
}

/*
 * Opens a flow to the chosen backend: s->one is its forward record, under
 * p->key, when this returns OPENED.
 */
static __always_inline enum weir_counter open_flow(const struct ctx *ctx, struct scratch *s,
						   const struct packet *p, enum edge edge,
						   __u64 hash, const struct choice *to,
						   const struct weir_config *cfg)
{
	struct weir_flow *flow = &s->one;
	__u32 index = to->backend;
	const struct weir_backend *backend = bpf_map_lookup_elem(&weir_backend, &index);
	enum weir_counter why;

	if (!backend || backend->service != to->service)
		return WEIR_drop_table;
	open_record(s, p, edge, cfg);
	flow->daddr = backend->addr;
	flow->dport = backend->port;
	flow->backend = index;
	flow->generation = backend->generation;
	flow->service = to->service;
	why = open_source(ctx, s, p, edge, backend->flags & WEIR_BACKEND_LOCAL);
	if (why != OPENED)
		return why;
	/*
	 * A backend that did not answer, and there is no other: perhaps it holds a
	 * direct connection with this very tuple, so come from another port.
	 */
	why = reserve_source(s, &s->key, cfg, hash >> 16,
			     !(flow->flags & WEIR_FLOW_SEND) && !to->again);
	if (why == OPENED)
		why = open_keep(s, hash);
	if (why == OPENED && to->affinity)
		affinity_note(to, &s->key.saddr, flow->generation);
	return why;
}

/*
 * A connection straight to a backend, on the very tuple that a flow of ours
 * holds: its replies would be translated as the other's. It is moved to another
 * source port, and so becomes a flow too.
 */
static __always_inline enum weir_counter open_direct(struct scratch *s, const struct packet *p,
						     enum edge edge, __u64 hash,
						     const struct weir_config *cfg)
{
	enum weir_counter why;

	struct weir_state *st = state();

	open_record(s, p, edge, cfg);
	s->one.flags |= WEIR_FLOW_DIRECT;
	if (st) /* the half tables have no count: until then, look there for such flows */
		st->direct_until = now_ticks() + cfg->life_half;
	why = reserve_source(s, &s->key, cfg, bpf_get_prandom_u32(), false);
	return why == OPENED ? open_keep(s, hash) : why;
}

#endif
