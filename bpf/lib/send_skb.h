/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sending a source-NATed packet from tc. It must not go up the stack, where its
 * source, an address of this node, would make it a martian; so what the stack
 * would have done besides is done here.
 */
#ifndef WEIR_BPF_SEND_SKB_H
#define WEIR_BPF_SEND_SKB_H

#include "rewrite_skb.h"

/* What forbids forwarding this packet, before anything is written; or OPENED. */
static __always_inline enum weir_counter send_check(const struct ctx *ctx, const struct packet *p,
						    const struct action *act)
{
	if (p->ttl <= 1)
		return WEIR_answer_ttl;
	/* mtu 0: not known yet. An oversize redirect would vanish without a word. */
	if (act->way.mtu && wire_size(ctx, p) > act->way.mtu)
		return WEIR_answer_too_big;
	return OPENED;
}

/* Swaps the MAC addresses: back out of the device that the frame came in by. */
static __always_inline long send_back(const struct ctx *ctx)
{
	struct ethhdr *eth = cursor_peek(ctx_frame(ctx), 0, sizeof(*eth));
	__u8 mac[ETH_ALEN];

	if (!eth)
		return TC_ACT_SHOT;
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	return bpf_redirect(ctx_ifindex(ctx), 0);
}

/*
 * To a next hop whose address the record has: no route and no neighbour to look
 * up. The kernel must hear of the traffic now and then or it lets a neighbour go
 * stale unasked, so a packet for which the way was looked up, once a tick, goes by
 * bpf_redirect_neigh().
 */
static __always_inline bool send_known(const struct ctx *ctx, const struct steering *st,
				       bool ethernet)
{
	return ethernet && st->hit && !st->routed && !st->packet.tagged &&
	       !ctx->hook->vlan_present && st->action.way.mtu && mac_known(st->action.way.dmac);
}

static __always_inline long send_straight(const struct ctx *ctx, const struct weir_way *way)
{
	struct ethhdr *eth = cursor_peek(ctx_frame(ctx), 0, sizeof(*eth));

	if (!eth)
		return TC_ACT_SHOT;
	__builtin_memcpy(eth->h_dest, way->dmac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, way->smac, ETH_ALEN);
	return bpf_redirect(way->ifindex, 0);
}

/* Where the action says, what has been rewritten. */
static __always_inline long send_on(const struct ctx *ctx, const struct action *act, bool ethernet)
{
	if (act->flags & WEIR_FLOW_HAIRPIN)
		return ethernet ? send_back(ctx) : bpf_redirect(ctx_ifindex(ctx), 0);
	/* A tag in skb metadata belongs to the device it came from; it would leak onto the next. */
	if (ctx->hook->vlan_present && bpf_skb_vlan_pop(ctx->hook))
		return TC_ACT_SHOT;
	/* The helper takes an Ethernet header off, so there must be one. */
	if (!ethernet && bpf_skb_change_head(ctx->hook, ETH_HLEN, 0))
		return TC_ACT_SHOT;
	return bpf_redirect_neigh(act->way.ifindex, NULL, 0, 0);
}

static __always_inline long send_skb(const struct ctx *ctx, const struct steering *st,
				     bool ethernet)
{
	if (rewrite_skb(ctx, &st->packet, &st->action, true))
		return TC_ACT_SHOT;
	if (send_known(ctx, st, ethernet))
		return send_straight(ctx, &st->action.way);
	return send_on(ctx, &st->action, ethernet);
}

#endif
