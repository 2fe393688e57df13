/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writing an action into a frame at XDP, and sending it. */
#ifndef WEIR_BPF_SEND_XDP_H
#define WEIR_BPF_SEND_XDP_H

#include "steer.h"

/*
 * Devices that XDP may send to: those that the agent found able to take it.
 * Pinned by the agent: the kernel adds a flag to every devmap, and libbpf
 * takes a pin again only if the flags are those asked for.
 */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1024);
} weir_xdp_tx SEC(".maps");

/* A flow sends one packet by the stack every so many ticks, which keeps its next hop alive. */
#define PROBE_TICKS 16

/*
 * What keeps XDP from finishing this packet, before anything is written; or OPENED.
 * XDP traffic never makes the kernel probe a neighbour: left alone, a next hop
 * would stay stale for ever, even after it had moved.
 */
static __always_inline enum weir_counter send_check(const struct ctx *ctx,
						    const struct steering *st)
{
	const struct action *act = &st->action;
	const struct weir_way *way = &act->way;

	if (st->packet.tagged || st->packet.ttl <= 1 || !way->mtu || st->packet.l3_len > way->mtu ||
	    !st->packet.l3_len)
		return way->mtu ? WEIR_pass_to_tc_packet : WEIR_pass_to_tc_neighbour;
	if (!mac_known(way->dmac))
		return WEIR_pass_to_tc_neighbour;
	/* Asked now, while the frame is as it came; it is done if the verdict says so in the end.
	 */
	if (bpf_redirect_map(&weir_xdp_tx, way->ifindex, XDP_PASS) != XDP_REDIRECT)
		return WEIR_pass_to_tc_route;
	if (st->routed && !((now_ticks() ^ act->backend) % PROBE_TICKS))
		return WEIR_pass_to_tc_probe;
	return OPENED;
}

/* 0, or -1: cut short. */
static __always_inline long rewrite_xdp_tcp(struct cursor frame, const struct packet *p,
					    const struct action *act)
{
	struct tcphdr *tcp = cursor_peek(frame, p->l4, sizeof(*tcp));

	if (!tcp)
		return -1;
	tcp->source = act->sport;
	tcp->dest = act->dport;
	tcp->check = csum_add_diff(tcp->check, (__u32)act->addr_diff + act->port_diff);
	return 0;
}

static __always_inline long rewrite_xdp_udp(struct cursor frame, const struct packet *p,
					    const struct action *act)
{
	struct udphdr *udp = cursor_peek(frame, p->l4, sizeof(*udp));

	if (!udp)
		return -1;
	udp->source = act->sport;
	udp->dest = act->dport;
	if (!udp->check) /* 0 means "no checksum" in UDP */
		return 0;
	udp->check = csum_add_diff(udp->check, (__u32)act->addr_diff + act->port_diff);
	if (!udp->check)
		udp->check = 0xffff;
	return 0;
}

static __always_inline long rewrite_xdp_ip(struct cursor frame, const struct packet *p,
					   const struct action *act)
{
	struct ipv6hdr *ip6;
	struct iphdr *ip;

	if (p->v4) {
		ip = cursor_peek(frame, p->l3, sizeof(*ip));
		if (!ip)
			return -1;
		ip->saddr = act->saddr.word[3];
		ip->daddr = act->daddr.word[3];
		ip->ttl--;
		ip->check =
			csum_add_diff(ip->check, (__u32)act->addr_diff + (__u16)~bpf_htons(0x0100));
		return 0;
	}
	ip6 = cursor_peek(frame, p->l3, sizeof(*ip6));
	if (!ip6)
		return -1;
	__builtin_memcpy(&ip6->saddr, &act->saddr, sizeof(ip6->saddr));
	__builtin_memcpy(&ip6->daddr, &act->daddr, sizeof(ip6->daddr));
	ip6->hop_limit--;
	return 0;
}

/*
 * record: to account on, or NULL. A verdict of XDP: always a redirect, also out
 * of the device that the frame came in by. XDP_TX on a veth wakes its peer only
 * if that has an XDP program of its own (veth_xdp_flush() in drivers/net/veth.c).
 */
static __always_inline int send_xdp(const struct ctx *ctx, const struct steering *st,
				    struct weir_flow *record)
{
	const struct action *act = &st->action;
	const struct packet *p = &st->packet;
	struct cursor frame = ctx_frame(ctx);
	struct ethhdr *eth = cursor_peek(frame, 0, sizeof(*eth));
	long cut = p->key.proto == NEXT_TCP ? rewrite_xdp_tcp(frame, p, act)
					    : rewrite_xdp_udp(frame, p, act);

	if (!eth || cut || rewrite_xdp_ip(frame, p, act)) {
		count(WEIR_drop_rewrite_failed);
		return XDP_DROP;
	}
	__builtin_memcpy(eth->h_dest, act->way.dmac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, act->way.smac, ETH_ALEN);
	if (record)
		flow_account(record, p->l3_len);
	count(WEIR_forward_xdp);
	return XDP_REDIRECT;
}

#endif
