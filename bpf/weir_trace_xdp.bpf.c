/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What weir_xdp would do with a packet: see weir_trace.bpf.c. */
#include "lib/weir_bpf.h"

#include "lib/trace.h"

#include "lib/ctx_xdp.h"
#include "lib/send_xdp.h"
#include "lib/trace_end.h"

SEC("xdp.frags")
int weir_trace_xdp(struct xdp_md *md)
{
	struct weir_trace *t = trace_begin();
	struct steering *st = trace_steering();
	struct ctx ctx = { .hook = md };
	struct weir_flow *record = NULL;
	enum weir_counter why;
	enum verdict verdict;

	if (!t || !st)
		return XDP_ABORTED;
	verdict = steer_ingress(&ctx, st, &record, EDGE_UPLINK, 0);
	if (verdict == VERDICT_SEND) {
		why = send_check(&ctx, st);
		st->why = why == OPENED ? WEIR_forward_xdp : why;
		verdict = why == OPENED ? VERDICT_SEND : VERDICT_PASS;
	} else if (verdict == VERDICT_ANSWER) {
		st->why = WEIR_pass_to_tc_packet;
	}
	/* What it does not finish goes on to tc as it is. */
	if (verdict != VERDICT_SEND && verdict != VERDICT_DROP)
		verdict = VERDICT_PASS;
	trace_end(t, st, verdict);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
