/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the core came to, into the answer. */
#ifndef WEIR_BPF_TRACE_END_H
#define WEIR_BPF_TRACE_END_H

/*
 * The packet under way: not on the stack, of which the copies have taken their
 * part. Linux 6.1 counts a callback's stack as its caller's too.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct steering);
	__uint(max_entries, 1);
} weir_steering SEC(".maps");

static __always_inline struct steering *trace_steering(void)
{
	__u32 zero = 0;
	struct steering *st = (bpf_map_lookup_elem)(&weir_steering, &zero);

	if (st)
		__builtin_memset(st, 0, sizeof(*st));
	return st;
}

/* The frontend that a packet of a flow was sent to, which its hit did not have to look up. */
static __always_inline void trace_frontend(struct weir_trace *t, const struct steering *st)
{
	struct weir_service service;
	__u32 steps = t->steps;

	if (st->action.flags & WEIR_FLOW_REPLY)
		return;
	if (choose_service(&st->packet, address_bits(&st->packet.key.daddr), &service) == CHOSEN)
		t->choice.frontend = service.frontend;
	t->steps = steps;
}

static __always_inline void trace_end(struct weir_trace *t, const struct steering *st,
				      enum verdict verdict)
{
	const struct action *act = &st->action;

	t->why = st->why;
	t->hit = st->hit;
	t->half = st->hit && st->half;
	t->service = t->choice.service;
	switch (verdict) {
	case VERDICT_PASS:
		t->verdict = WEIR_TRACE_PASS;
		break;
	case VERDICT_DROP:
		t->verdict = WEIR_TRACE_DROP;
		break;
	case VERDICT_ANSWER:
		t->verdict = WEIR_TRACE_REJECT;
		break;
	case VERDICT_TRANSLATE:
	case VERDICT_SEND:
		t->verdict = WEIR_TRACE_FORWARD;
		break;
	}
	if (st->hit)
		trace_frontend(t, st);
	if (!st->hit && t->verdict != WEIR_TRACE_FORWARD)
		return;
	t->saddr = act->saddr;
	t->daddr = act->daddr;
	t->sport = act->sport;
	t->dport = act->dport;
	t->backend = act->backend;
	t->service = act->service;
	t->flags = act->flags;
}

#endif
