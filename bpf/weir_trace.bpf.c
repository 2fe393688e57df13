/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the datapath would do with a packet: the core of weir_tc and of weir_sock
 * up to its verdict, by test runs over the live maps. The answer is in
 * weir_trace. Nothing attaches these programs.
 */
#include "lib/weir_bpf.h"

#include "lib/trace.h"

#include "lib/ctx_skb.h"
#include "lib/host.h"
#include "lib/send_skb.h"
#include "lib/steer.h"
#include "lib/trace_end.h"

/* The verdict of forward() in weir_sock. */
static __always_inline __u8 host_verdict(enum weir_counter why)
{
	switch (why) {
	case HOST_CHOSEN:
		return WEIR_TRACE_FORWARD;
	case WEIR_pass_host_stranger:
	case WEIR_pass_host_no_service:
		return WEIR_TRACE_PASS;
	case WEIR_answer_host_refused:
		return WEIR_TRACE_REJECT;
	default:
		return WEIR_TRACE_DROP;
	}
}

/* The mark says for which edge: enum weir_trace_edge. Once for both: the verifier takes its time.
 */
SEC("tc")
int weir_trace_tc(struct __sk_buff *skb)
{
	enum edge edge = skb->mark == WEIR_TRACE_POD ? EDGE_POD : EDGE_UPLINK;
	struct weir_trace *t = trace_begin();
	struct steering *st = trace_steering();
	struct ctx ctx = { .hook = skb };
	struct weir_flow *record = NULL;
	enum weir_counter why;
	enum verdict verdict;

	if (!t || !st)
		return TC_ACT_SHOT;
	verdict = steer_ingress(&ctx, st, &record, edge, 0);
	if (verdict == VERDICT_TRANSLATE) {
		st->why = WEIR_forward_tc;
	} else if (verdict == VERDICT_SEND) {
		why = send_check(&ctx, &st->packet, &st->action);
		st->why = why == OPENED ? WEIR_forward_tc_sent : why;
		verdict = why == OPENED ? VERDICT_SEND : VERDICT_ANSWER;
	}
	trace_end(t, st, verdict);
	return TC_ACT_OK;
}

/* As connect() of weir_sock does it: the packet says what the process named. */
SEC("tc")
int weir_trace_host(struct __sk_buff *skb)
{
	struct weir_trace *t = trace_begin();
	struct steering *st = trace_steering();
	struct ctx ctx = { .hook = skb };
	struct weir_socket_key key = {};
	struct host_pick pick = {};
	enum weir_counter why;

	if (!t || !st)
		return TC_ACT_SHOT;
	/* Sockets of SCTP have no such hooks. */
	if (!steer_parse(&ctx, st, 0) || st->packet.key.proto == NEXT_SCTP) {
		if (st->packet.key.proto == NEXT_SCTP)
			st->why = WEIR_pass_protocol;
		trace_end(t, st, VERDICT_PASS);
		return TC_ACT_OK;
	}
	key.end.addr = st->packet.key.daddr;
	key.end.port = st->packet.key.dport;
	key.end.proto = st->packet.key.proto;
	why = host_pick(&key, true, &pick);
	t->verdict = host_verdict(why);
	t->why = why == HOST_CHOSEN ? WEIR_forward_host : why;
	t->service = t->choice.service;
	if (why != HOST_CHOSEN)
		return TC_ACT_OK;
	t->daddr = pick.backend.addr;
	t->dport = pick.backend.port;
	t->backend = pick.index;
	return TC_ACT_OK;
}

char _license[] SEC("license") = "Dual BSD/GPL";
