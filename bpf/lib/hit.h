/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A packet whose flow is there: what it does to the flow, and what the flow does to it. */
#ifndef WEIR_BPF_HIT_H
#define WEIR_BPF_HIT_H

#include "open.h"

enum verdict {
	VERDICT_PASS,	   /* not ours, untouched */
	VERDICT_TRANSLATE, /* rewrite, then on through the stack */
	VERDICT_SEND,	   /* rewrite and send: the stack must not see it */
	VERDICT_ANSWER,	   /* reply with an ICMP error */
	VERDICT_DROP,
};

/* One packet on its way through; what global functions share with their caller. */
struct steering {
	struct packet packet;
	struct action action;
	__u64 hash;
	enum weir_counter why; /* with PASS, ANSWER, DROP */
	__u32 bits;	       /* enum weir_address_bit of the destination */
	__u32 avoid;	       /* backend index that did not answer, or 0 */
	__u8 edge;	       /* enum edge */
	bool hit;	       /* of a flow that was there before */
	bool half;	       /* in a half-open table */
	bool egress;
	bool elsewhere; /* there is a record, for another hook */
	bool routed;	/* its way was looked up for this very packet */
};

/* Takes a flow away in whichever table it is, so that the packet is a new one's. */
static __always_inline void steer_forget(struct scratch *s, const struct weir_flow_key *key,
					 const struct action *act, bool half)
{
	flow_peer_key(&s->peer, key, act);
	if (half) {
		half_delete(key);
		half_delete(&s->peer);
	} else {
		flow_delete(key, &s->peer, act->backend, act->generation, act->flags);
	}
}

enum validity {
	VALID,
	VALID_NO_MORE, /* a datagram: it needs another backend */
	VALID_RESET,   /* the service wants its connections to end with the backend */
};

/*
 * The flow has not looked at its backend since some backend was taken away. One
 * look, and the new epoch is swapped in together with the check, so that it
 * cannot land in another flow's record.
 */
static __always_inline enum validity steer_revalidate(const struct packet *p, struct action *act,
						      struct weir_flow *record, __u32 epoch)
{
	const struct weir_backend *backend = backend_of(act->backend, act->generation);
	__u8 now = backend ? READ_ONCE(backend->state) : WEIR_BACKEND_GONE;
	bool reply = act->flags & WEIR_FLOW_REPLY;

	if (!(act->flags & WEIR_FLOW_DIRECT) && now != WEIR_BACKEND_ACTIVE &&
	    now != WEIR_BACKEND_TERMINATING) {
		if (!reply &&
		    (p->key.proto == NEXT_UDP || (p->key.proto == NEXT_SCTP && tcp_opens(p))))
			return VALID_NO_MORE;
		/*
		 * TCP goes on to the old address: a pod taken out to drain keeps its
		 * connections. Where they are to end, the client is told at its next packet,
		 * which is at the latest the one that acknowledges what the backend sent.
		 */
		if (p->key.proto == NEXT_TCP && !reply && backend &&
		    READ_ONCE(backend->flags) & WEIR_BACKEND_RESET && !tcp_opens(p) &&
		    !(p->tcp & TCP_RST))
			return VALID_RESET;
	}
	flow_swap(record, act, epoch, act->head.seen);
	return VALID;
}

/* A SYN on an established flow is a new connection if the old one has ended. */
static __always_inline bool steer_ended(struct scratch *s, const struct packet *p,
					const struct action *act)
{
	const struct weir_backend *backend = backend_of(act->backend, act->generation);
	__u8 ends = act->head.seen, both;
	struct weir_flow *peer;

	if (act->flags & (WEIR_FLOW_REPLY | WEIR_FLOW_DIRECT))
		return false;
	flow_peer_key(&s->peer, &s->key, act);
	peer = bpf_map_lookup_elem(&weir_flow, &s->peer);
	both = peer ? peer->seen & ends : ends;
	ends |= peer ? peer->seen : 0;
	return ends & WEIR_SEEN_RST || both & WEIR_SEEN_FIN || !backend ||
	       READ_ONCE(backend->state) == WEIR_BACKEND_GONE;
}

/* FIN and RST decide how long the pair is kept. */
static __always_inline void steer_note(const struct packet *p, struct action *act,
				       struct weir_flow *record)
{
	__u8 seen = act->head.seen;

	if (p->tcp & TCP_FIN)
		seen |= WEIR_SEEN_FIN;
	if (p->tcp & TCP_RST)
		seen |= WEIR_SEEN_RST;
	else /* who goes on talking did not mean it: the RST was forged */
		seen &= ~WEIR_SEEN_RST;
	if (seen != act->head.seen)
		flow_swap(record, act, act->head.epoch, seen);
}

/* Once a tick for each flow: hand on its counts, follow its route. */
static __always_inline enum weir_counter steer_tick(const struct ctx *ctx, struct scratch *s,
						    struct steering *st, struct weir_flow *record,
						    __u32 now)
{
	struct action *act = &st->action;
	struct packet *p = &st->packet;
	long found;

	/* May land in another flow's record: a packet miscounted, a second more to live. */
	flow_settle(record, act->backend, act->generation, act->service);
	record->touched = now;
	if (act->flags & WEIR_FLOW_HAIRPIN)
		return OPENED;
	if (act->flags & WEIR_FLOW_SEND) {
		found = route_find(ctx, s, p, ctx_ifindex(ctx), &act->saddr, &act->daddr);
		if (found == BPF_FIB_LKUP_RET_FRAG_NEEDED) {
			act->way.mtu = s->fib.mtu_result;
			return WEIR_answer_too_big;
		}
		if (!route_usable(found))
			return WEIR_drop_no_route;
		route_keep(s, found, &act->way);
	} else if (st->edge == EDGE_POD && !(act->flags & WEIR_FLOW_REPLY)) {
		route_bridged(ctx, s, p, &act->daddr, act->way.dmac);
	} else {
		return OPENED;
	}
	act->way.check = way_check(act->head.check, &act->way);
	record->way = act->way;
	return OPENED;
}

enum hit {
	HIT_ACT,
	HIT_MISS,      /* the record is not, or no longer, for this packet */
	HIT_ELSEWHERE, /* the record is for another hook */
	HIT_OTHER,     /* st->why says what */
};

/* A flow that has not seen the latest epoch. */
static __always_inline enum hit steer_validate(struct scratch *s, struct steering *st,
					       struct weir_flow *record, __u32 epoch)
{
	struct action *act = &st->action;

	switch (steer_revalidate(&st->packet, act, record, epoch)) {
	case VALID:
		return HIT_ACT;
	case VALID_NO_MORE:
		steer_forget(s, &s->key, act, st->half);
		count(WEIR_flow_repicked);
		return HIT_MISS;
	case VALID_RESET:
		st->why = WEIR_answer_reset;
		if (!CTX_IS_XDP) /* which leaves answers to tc, and so the flow */
			steer_forget(s, &s->key, act, st->half);
		return HIT_OTHER;
	}
	return HIT_OTHER;
}

static __always_inline enum hit steer_half(struct scratch *s, struct steering *st,
					   struct weir_flow *record, const struct weir_config *cfg)
{
	struct packet *p = &st->packet;
	struct action *act = &st->action;

	switch (half_step(s, p, st->hash, act, record, cfg)) {
	case HALF_GO_ON:
		return HIT_ACT;
	case HALF_NOT_OURS:
		st->why = WEIR_pass_half_reply;
		return HIT_OTHER;
	case HALF_REPICK:
		st->avoid = act->backend;
		steer_forget(s, &s->key, act, true);
		count(WEIR_flow_repicked);
		return HIT_MISS;
	}
	return HIT_OTHER;
}

/*
 * A hit that has more to do than to write: the flow is half open, begins, ends,
 * has not seen the latest epoch, or is due for its tick. A global function, so
 * that it is verified once and not once for each way to it.
 */
__noinline int steer_hit_more(HOOK *hook, struct steering *st, struct weir_flow *record)
{
	struct ctx ctx = { .hook = hook };
	const struct weir_config *cfg = config();
	__u32 epoch, now = now_ticks();
	struct scratch *s = scratch();
	struct packet *p;
	struct action *act;
	bool unresolved;
	enum hit hit;

	if (!st || !record || !cfg || !s)
		return HIT_OTHER;
	p = &st->packet;
	act = &st->action;
	s->key = p->key;
	epoch = epoch_now(cfg);
	if (act->head.epoch != epoch) {
		hit = steer_validate(s, st, record, epoch);
		if (hit != HIT_ACT)
			return hit;
	}
	/*
	 * A handshake of which some frames are bridged and some routed is one that
	 * conntrack breaks. Before the promotion, which copies what is found here.
	 */
	unresolved =
		act->flags & WEIR_FLOW_SEND ? !act->way.mtu : st->half && !mac_known(act->way.dmac);
	st->routed = act->touched != now || unresolved;
	if (st->routed) {
		st->why = steer_tick(&ctx, s, st, record, now);
		if (st->why != OPENED)
			return HIT_OTHER;
	}
	/* Of the half-open, half_step() knows what a SYN means; an INIT means the same for both. */
	if (tcp_opens(p) && (!st->half || p->key.proto == NEXT_SCTP) && steer_ended(s, p, act)) {
		steer_forget(s, &s->key, act, st->half);
		return HIT_MISS;
	}
	if (st->half) {
		hit = steer_half(s, st, record, cfg);
		if (hit != HIT_ACT)
			return hit;
	} else if (p->tcp & (TCP_SYN | TCP_FIN | TCP_RST) || act->head.seen & WEIR_SEEN_RST) {
		steer_note(p, act, record);
	}
	return HIT_ACT;
}

/*
 * A packet whose flow is there. XDP leaves alone, before anything is written,
 * what it would not send.
 */
static __always_inline enum hit steer_hit(const struct ctx *ctx, struct steering *st,
					  struct weir_flow *record, const struct weir_config *cfg)
{
	struct packet *p = &st->packet;
	struct action *act = &st->action;
	bool reply, send;

	if (!flow_copy(act, record, st->hash)) {
		count(WEIR_flow_recycled);
		return HIT_MISS;
	}
	reply = act->flags & WEIR_FLOW_REPLY;
	send = act->flags & WEIR_FLOW_SEND;
	/* At egress only replies that go up to it; at ingress, of replies, only those we send. */
	if (st->egress ? !reply || send : reply && !send)
		return HIT_ELSEWHERE;
	st->why = WEIR_pass_to_tc_local;
	if (CTX_IS_XDP && !send)
		return HIT_OTHER;
	st->hit = true;
	if (!st->half && act->head.epoch == epoch_now(cfg) && act->touched == now_ticks() &&
	    !(p->tcp & (TCP_SYN | TCP_FIN | TCP_RST)) && !(act->head.seen & WEIR_SEEN_RST) &&
	    (act->way.mtu || !send))
		return HIT_ACT;
	return steer_hit_more(ctx->hook, st, record);
}

#endif
