/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The load balancer, once for every hook: parse, find the flow or choose and
 * open one. Says what to do with the packet; the hook does it. Include a
 * ctx_*.h first.
 */
#ifndef WEIR_BPF_STEER_H
#define WEIR_BPF_STEER_H

#include "fragment.h"

/*
 * What the tc programs need in front of them; more is fetched only when a
 * packet turns out to have more headers. Not a byte more than IPv4 needs: a
 * segment from a local socket has its payload elsewhere, and to move a part of
 * that in front costs 290 ns and its receiver the merging of segments.
 */
#define PULL_FIRST (sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr))

static __always_inline enum verdict steer_verdict(struct steering *st, enum weir_counter why)
{
	st->why = why;
	switch (why) {
	case WEIR_answer_unreachable:
	case WEIR_answer_reset:
	case WEIR_answer_ttl:
	case WEIR_answer_too_big:
		return VERDICT_ANSWER;
	case WEIR_drop_no_local_endpoint:
	case WEIR_drop_source_range:
	case WEIR_drop_no_cluster_ip:
	case WEIR_drop_no_route:
	case WEIR_drop_no_source:
	case WEIR_drop_no_port:
	case WEIR_drop_half_full:
	case WEIR_drop_table:
	case WEIR_drop_fragment:
		return VERDICT_DROP;
	default:
		return VERDICT_PASS;
	}
}

static __always_inline bool steer_is_sctp(const struct steering *st)
{
	return st->why == WEIR_pass_protocol && st->packet.key.proto == NEXT_SCTP &&
	       !st->packet.fragment;
}

static __always_inline bool steer_parse_once(const struct ctx *ctx, struct steering *st,
					     __be16 h_proto)
{
	struct cursor c = ctx_frame(ctx);
	enum weir_counter bad = parse_frame(&c, &st->packet, h_proto);

	if (bad == PARSE_OK && !st->packet.fragment)
		return true;
	st->why = bad == PARSE_OK ? WEIR_pass_fragment : bad;
	return false;
}

/*
 * What is no plain packet of TCP or UDP with its headers in front: more of it is
 * fetched, and a fragment is made a packet like any other. Global for the
 * verifier's sake.
 */
__noinline int steer_parse_more(HOOK *hook, struct steering *st, __u32 h_proto)
{
	struct ctx ctx = { .hook = hook };

	if (!st)
		return false;
	if (st->why == WEIR_pass_malformed) {
		ctx_pull(&ctx, CURSOR_REACH);
		if (steer_parse_once(&ctx, st, h_proto))
			return true;
	}
	if (steer_is_sctp(st)) {
		ctx_pull(&ctx, CURSOR_REACH);
		st->why = parse_sctp(ctx_frame(&ctx), &st->packet);
		return st->why == PARSE_OK;
	}
	return st->packet.fragment && fragment_resolve(st);
}

/* False: st->why says what it is instead of a packet with a whole key. */
static __always_inline bool steer_parse(const struct ctx *ctx, struct steering *st, __be16 h_proto)
{
	ctx_pull(ctx, PULL_FIRST);
	if (steer_parse_once(ctx, st, h_proto))
		return true;
	if (!CTX_IS_XDP)
		return steer_parse_more(ctx->hook, st, h_proto);
	if (st->why == WEIR_pass_protocol && st->packet.key.proto == NEXT_SCTP)
		st->why = st->packet.fragment ? WEIR_pass_fragment : WEIR_pass_to_tc_packet;
	return false;
}

/* The action of a flow just opened, whose forward record is s->one. */
static __always_inline void steer_opened(struct scratch *s, struct steering *st)
{
	flow_take(&st->action, &s->one);
	st->why = WEIR_pass_to_tc_local;
}

/* No flow yet: enum verdict. Global for the verifier's sake, as above. */
__noinline int steer_miss(HOOK *hook, struct steering *st)
{
	struct ctx ctx = { .hook = hook };
	const struct weir_config *cfg = config();
	struct scratch *s = scratch();
	struct choice choice = {};
	enum weir_counter why;
	struct packet *p;

	if (!st || !cfg || !s)
		return VERDICT_DROP;
	p = &st->packet;
	s->key = p->key;
	st->hit = false;
	if (fragment_later(p))
		return steer_verdict(st, fragment_lost(st));
	why = choose(p, st->bits, st->edge, st->hash >> 32, st->avoid, &choice);
	/* An address that was a service's is kept for its flows alone. */
	if (why == WEIR_pass_no_service && !(st->bits & WEIR_ADDRESS_NODE) &&
	    choose_unallocated(p, cfg))
		why = WEIR_drop_no_cluster_ip;
	if (why == CHOSEN)
		why = open_flow(&ctx, s, p, st->edge, st->hash, &choice, cfg);
	st->action.way.mtu = s->one.way.mtu; /* of the way that was too narrow */
	if (why != OPENED)
		return steer_verdict(st, why);
	steer_opened(s, st);
	return st->action.flags & WEIR_FLOW_SEND ? VERDICT_SEND : VERDICT_TRANSLATE;
}

/*
 * To a backend, but not through a service. Ours only if it shares its tuple
 * with a flow of ours: see open_direct(). Costs a look-up for the packets that
 * may open a connection, and for all while there are such flows.
 */
__noinline int steer_direct(struct steering *st)
{
	const struct weir_config *cfg = config();
	struct scratch *s = scratch();
	enum weir_counter why;
	struct found other;
	struct packet *p;

	if (!st || !cfg || !s)
		return VERDICT_DROP;
	p = &st->packet;
	s->key = p->key;
	st->hit = false;
	st->why = st->bits & WEIR_ADDRESS_NODE ? WEIR_pass_no_service : WEIR_pass_stranger;
	s->peer = (struct weir_flow_key){
		.saddr = p->key.daddr,
		.daddr = p->key.saddr,
		.sport = p->key.dport,
		.dport = p->key.sport,
		.proto = p->key.proto,
	};
	other = flow_find(&s->peer);
	if (!other.record || !(other.record->flags & WEIR_FLOW_REPLY))
		return VERDICT_PASS;
	why = open_direct(s, p, st->edge, st->hash, cfg);
	if (why != OPENED)
		return steer_verdict(st, why);
	count(WEIR_flow_moved);
	steer_opened(s, st);
	return VERDICT_TRANSLATE;
}

static __always_inline bool steer_may_be_direct(const struct packet *p)
{
	return !CTX_IS_XDP && !fragment_later(p) && (p->key.proto == NEXT_UDP || tcp_opens(p));
}

static __always_inline bool steer_any_direct(void)
{
	const struct weir_state *st = state();

	return st && (READ_ONCE(st->direct_flows) || READ_ONCE(st->direct_until) >= now_ticks());
}

/* To none of our addresses. */
static __always_inline enum verdict steer_stranger(struct steering *st,
						   const struct weir_config *cfg)
{
	return steer_verdict(st, choose_unallocated(&st->packet, cfg) ? WEIR_drop_no_cluster_ip
								      : WEIR_pass_stranger);
}

/* Addresses that packets of a flow may be sent to, while there are no moved direct ones. */
#define ADDRESS_OURS \
	(WEIR_ADDRESS_SERVICE | WEIR_ADDRESS_PAST | WEIR_ADDRESS_NODE | WEIR_ADDRESS_NODE_PORT)

/*
 * Traffic of the node itself, an overlay's included: nothing is kept for such a
 * port. A pod on the node's network may still be asked directly on a tuple that
 * a flow holds, and what only looks like the node's address may be a service's.
 */
static __always_inline bool steer_own(const struct packet *p, __u32 near,
				      const struct weir_config *cfg)
{
	return !(near & (WEIR_ADDRESS_SERVICE | WEIR_ADDRESS_PAST)) && near & ADDRESS_OURS &&
	       !port_known(p->key.dport) && !steer_any_direct() &&
	       !(near & WEIR_ADDRESS_BACKEND && steer_may_be_direct(p)) &&
	       !choose_unallocated(p, cfg);
}

/* What no flow told what to do with. Not global: Linux 6.1 has no stack for one more call. */
static __always_inline enum verdict steer_unknown(HOOK *hook, struct steering *st,
						  const struct weir_config *cfg)
{
	struct packet *p = &st->packet;
	enum verdict verdict;

	st->bits = address_bits(&p->key.daddr);
	if (!st->bits)
		return steer_stranger(st, cfg);
	if (st->elsewhere && (st->bits & ADDRESS_OURS || steer_any_direct()))
		return steer_verdict(st, WEIR_pass_no_flow);
	st->why = WEIR_pass_stranger;
	if (st->bits & ADDRESS_OURS) {
		verdict = steer_miss(hook, st);
		/* But a pod on the node's own network, whose address is the node's. */
		if (st->why != WEIR_pass_no_service || !(st->bits & WEIR_ADDRESS_BACKEND))
			return verdict;
	}
	if (steer_may_be_direct(p))
		return steer_direct(st);
	return VERDICT_PASS;
}

/*
 * From a client, or from a backend to one of this node's own addresses.
 * *record: to account on; NULL for a flow just opened.
 */
static __always_inline enum verdict steer_ingress(const struct ctx *ctx, struct steering *st,
						  struct weir_flow **record, enum edge edge,
						  __be16 h_proto)
{
	const struct weir_config *cfg = config();
	struct packet *p = &st->packet;
	struct found found;
	__u32 near;

	st->edge = edge;
	if (!steer_parse(ctx, st, h_proto))
		return steer_verdict(st, st->why);
	if (!cfg)
		return steer_verdict(st, WEIR_drop_table);
	near = address_filter(&p->key.daddr);
	if (!near)
		return steer_stranger(st, cfg);
	if (steer_own(p, near, cfg))
		return steer_verdict(st, WEIR_pass_no_service);
	st->hash = hash_flow(&p->key, cfg->seed);
	/* Flows first: most packets are theirs, and a record is only kept for our addresses. */
	if (near & ADDRESS_OURS || steer_any_direct()) {
		found = flow_find(&p->key);
		st->half = found.half;
		if (found.record) {
			switch (steer_hit(ctx, st, found.record, cfg)) {
			case HIT_ACT:
				*record = found.record;
				return st->action.flags & WEIR_FLOW_SEND ? VERDICT_SEND
									 : VERDICT_TRANSLATE;
			case HIT_OTHER:
				return steer_verdict(st, st->why);
			case HIT_ELSEWHERE:
				st->elsewhere = true;
				break;
			case HIT_MISS:
				break;
			}
		}
	} else if (!steer_may_be_direct(p) && !choose_unallocated(p, cfg)) {
		/* To a backend, or to none of ours: nothing is kept for it, and nothing begins. */
		return steer_verdict(st, WEIR_pass_stranger);
	}
	return steer_unknown(ctx->hook, st, cfg);
}

/* Where the client of a flow is. A record that is another's by now is found out by steer_hit(). */
static __always_inline enum edge steer_edge_of(const struct weir_flow *record)
{
	return record->flags & WEIR_FLOW_POD ? EDGE_POD : EDGE_UPLINK;
}

/* From a backend towards its client: on an uplink from this node's, to a pod from any. */
static __always_inline enum verdict steer_egress(const struct ctx *ctx, struct steering *st,
						 struct weir_flow **record, enum edge edge,
						 __be16 h_proto)
{
	__u32 want = edge == EDGE_UPLINK ? WEIR_ADDRESS_BACKEND | WEIR_ADDRESS_LOCAL
					 : WEIR_ADDRESS_BACKEND;
	const struct weir_config *cfg = config();
	struct packet *p = &st->packet;
	struct found found;

	st->edge = edge;
	st->egress = true;
	if (!steer_parse(ctx, st, h_proto))
		return steer_verdict(st, st->why);
	if ((address_filter(&p->key.saddr) & want) != want)
		return steer_verdict(st, WEIR_pass_stranger);
	if (!cfg)
		return steer_verdict(st, WEIR_drop_table);

	st->hash = hash_flow(&p->key, cfg->seed);
	found = flow_find(&p->key);
	st->half = found.half;
	/* A flow of this edge has such a backend; all else is asked for. */
	if ((!found.record || steer_edge_of(found.record) != edge) &&
	    (address_bits(&p->key.saddr) & want) != want)
		return steer_verdict(st, WEIR_pass_stranger);
	if (!found.record)
		return steer_verdict(st, WEIR_pass_no_flow);
	switch (steer_hit(ctx, st, found.record, cfg)) {
	case HIT_ACT:
		*record = found.record;
		return VERDICT_TRANSLATE;
	case HIT_OTHER:
		return steer_verdict(st, st->why);
	case HIT_ELSEWHERE:
	case HIT_MISS:
		return steer_verdict(st, WEIR_pass_no_flow);
	}
	return VERDICT_DROP;
}

#endif
