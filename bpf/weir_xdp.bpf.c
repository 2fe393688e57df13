/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The accelerator on uplinks: it sends what it can finish here and leaves
 * everything else untouched for tc.
 */
#include "lib/weir_bpf.h"

#include "lib/ctx_xdp.h"
#include "lib/send_xdp.h"

static __always_inline int pass(enum weir_counter why)
{
	count(why);
	return XDP_PASS;
}

SEC("xdp.frags")
int weir_xdp(struct xdp_md *md)
{
	struct ctx ctx = { .hook = md };
	struct steering st = {};
	struct weir_flow *record = NULL;
	enum weir_counter why;

	switch (steer_ingress(&ctx, &st, &record, EDGE_UPLINK, 0)) {
	case VERDICT_SEND:
		break;
	case VERDICT_DROP:
		count(st.why);
		return XDP_DROP;
	case VERDICT_PASS:
	case VERDICT_TRANSLATE: /* to a backend on this node */
		return pass(st.why);
	case VERDICT_ANSWER:
		return pass(WEIR_pass_to_tc_packet);
	}
	why = send_check(&ctx, &st);
	if (why != OPENED)
		return pass(why);
	return send_xdp(&ctx, &st, record);
}

char _license[] SEC("license") = "Dual BSD/GPL";
