/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The complete datapath: every behaviour exists here. One program for each
 * place: uplink or pod, in or out, with or without an Ethernet header.
 */
#include "lib/weir_bpf.h"

#include "lib/ctx_skb.h"
#include "lib/icmp_error.h"
#include "lib/reset.h"

static __always_inline int drop(enum weir_counter why)
{
	count(why);
	return TC_ACT_SHOT;
}

static __always_inline int answer(const struct ctx *ctx, struct steering *st, bool ethernet)
{
	int verdict;

	/* No errors about later fragments (RFC 1122, 3.2.2): they have no ports to say for whom. */
	if (fragment_later(&st->packet))
		return drop(WEIR_drop_fragment);
	if (st->why == WEIR_answer_reset) /* one packet for one packet, so without limit */
		verdict = reset_answer(ctx->hook, st, ethernet);
	else if (icmp_allowed())
		verdict = icmp_answer(ctx->hook, st, ethernet);
	else
		return drop(WEIR_drop_answer_limit);
	if (verdict == TC_ACT_SHOT)
		return drop(WEIR_drop_answer_failed);
	count(st->why);
	return verdict;
}

static __always_inline int translate(const struct ctx *ctx, const struct steering *st,
				     struct weir_flow *record, enum edge edge, bool egress)
{
	const struct action *act = &st->action;

	if (record)
		flow_account(record, st->packet.l3_len);
	if (!egress && edge == EDGE_POD && mac_known(act->way.dmac) && !keep_bridged(ctx, act))
		return drop(WEIR_drop_rewrite_failed);
	if (rewrite_skb(ctx, &st->packet, act, false))
		return drop(WEIR_drop_rewrite_failed);
	count(egress ? WEIR_reply_tc : WEIR_forward_tc);
	return ON;
}

static __always_inline int send(const struct ctx *ctx, struct steering *st,
				struct weir_flow *record, bool ethernet)
{
	enum weir_counter why = send_check(ctx, &st->packet, &st->action);
	long verdict;

	if (why != OPENED) {
		st->why = why;
		return answer(ctx, st, ethernet);
	}
	if (record)
		flow_account(record, st->packet.l3_len);
	verdict = send_skb(ctx, st, ethernet);
	if (verdict == TC_ACT_SHOT)
		return drop(WEIR_drop_rewrite_failed);
	count(WEIR_forward_tc_sent);
	return verdict;
}

/* Not ours, but for an ICMP message: that may be about what is ours. */
static __always_inline int pass(const struct ctx *ctx, struct steering *st, bool ethernet)
{
	int verdict = ON;

	if (st->why == WEIR_pass_protocol && icmp_message(&st->packet))
		verdict = icmp_steer(ctx->hook, st, ethernet);
	count(st->why);
	return verdict;
}

static __always_inline int ingress(struct __sk_buff *skb, enum edge edge, bool ethernet)
{
	struct ctx ctx = { .hook = skb };
	struct steering st = {};
	struct weir_flow *record = NULL;

	switch (steer_ingress(&ctx, &st, &record, edge, ethernet ? 0 : skb->protocol)) {
	case VERDICT_PASS:
		return pass(&ctx, &st, ethernet);
	case VERDICT_TRANSLATE:
		return translate(&ctx, &st, record, edge, false);
	case VERDICT_SEND:
		return send(&ctx, &st, record, ethernet);
	case VERDICT_ANSWER:
		return answer(&ctx, &st, ethernet);
	case VERDICT_DROP:
		return drop(st.why);
	}
	return TC_ACT_SHOT;
}

static __always_inline int egress(struct __sk_buff *skb, enum edge edge, bool ethernet)
{
	struct ctx ctx = { .hook = skb };
	struct steering st = {};
	struct weir_flow *record = NULL;

	switch (steer_egress(&ctx, &st, &record, edge, ethernet ? 0 : skb->protocol)) {
	case VERDICT_TRANSLATE:
		return translate(&ctx, &st, record, edge, true);
	case VERDICT_DROP:
		return drop(st.why);
	case VERDICT_PASS:
		return pass(&ctx, &st, ethernet);
	case VERDICT_SEND: /* never at egress: steer_hit() */
	case VERDICT_ANSWER:
		count(st.why);
		return ON;
	}
	return TC_ACT_SHOT;
}

SEC("tc")
int weir_up_in(struct __sk_buff *skb)
{
	return ingress(skb, EDGE_UPLINK, true);
}

SEC("tc")
int weir_up_out(struct __sk_buff *skb)
{
	return egress(skb, EDGE_UPLINK, true);
}

/* Raw layer-3 devices: wg0, tunl0. */
SEC("tc")
int weir_l3_in(struct __sk_buff *skb)
{
	return ingress(skb, EDGE_UPLINK, false);
}

SEC("tc")
int weir_l3_out(struct __sk_buff *skb)
{
	return egress(skb, EDGE_UPLINK, false);
}

SEC("tc")
int weir_pod_in(struct __sk_buff *skb)
{
	return ingress(skb, EDGE_POD, true);
}

SEC("tc")
int weir_pod_out(struct __sk_buff *skb)
{
	return egress(skb, EDGE_POD, true);
}

char _license[] SEC("license") = "Dual BSD/GPL";
