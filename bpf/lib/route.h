/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way to an address, by the kernel's own tables. Kept in the flow's record
 * and looked up again once a tick, so that flows follow routes with no agent.
 */
#ifndef WEIR_BPF_ROUTE_H
#define WEIR_BPF_ROUTE_H

#include "flow.h"

/* Bytes from the IP header on of what will be on the wire. */
static __always_inline __u32 wire_size(const struct ctx *ctx, const struct packet *p)
{
	__u32 gso_size = ctx_gso_size(ctx);

	return gso_size ? p->l4 - p->l3 + p->l4_len + gso_size : p->l3_len;
}

/*
 * bpf_fib_lookup() with the result in s->fib: BPF_FIB_LKUP_RET_*, or -errno.
 * With FRAG_NEEDED mtu_result says why; with NO_NEIGH it is not set, but
 * ifindex is.
 */
static __always_inline long route_find(const struct ctx *ctx, struct scratch *s,
				       const struct packet *p, __u32 ifindex,
				       const struct weir_addr *from, const struct weir_addr *to)
{
	struct bpf_fib_lookup *fib = &s->fib;

	__builtin_memset(fib, 0, sizeof(*fib));
	fib->l4_protocol = p->key.proto;
	fib->sport = p->key.sport;
	fib->dport = p->key.dport;
	fib->tot_len = wire_size(ctx, p);
	fib->ifindex = ifindex;
	if (p->v4) {
		fib->family = FAMILY_INET;
		fib->ipv4_src = from->word[3];
		fib->ipv4_dst = to->word[3];
	} else {
		fib->family = FAMILY_INET6;
		__builtin_memcpy(fib->ipv6_src, from, sizeof(*from));
		__builtin_memcpy(fib->ipv6_dst, to, sizeof(*to));
	}
	return bpf_fib_lookup(ctx->hook, fib, sizeof(*fib), 0);
}

/* Copies a route that was found into what will be kept. A next hop not resolved is all zeros. */
static __always_inline void route_keep(const struct scratch *s, long found, struct weir_way *way)
{
	__builtin_memset(way, 0, sizeof(*way));
	way->ifindex = s->fib.ifindex;
	if (found != BPF_FIB_LKUP_RET_SUCCESS)
		return;
	way->mtu = s->fib.mtu_result;
	__builtin_memcpy(way->dmac, s->fib.dmac, ETH_ALEN);
	__builtin_memcpy(way->smac, s->fib.smac, ETH_ALEN);
}

static __always_inline bool route_usable(long found)
{
	return found == BPF_FIB_LKUP_RET_SUCCESS || found == BPF_FIB_LKUP_RET_NO_NEIGH;
}

static __always_inline bool mac_known(const __u8 *mac)
{
	return mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5];
}

/*
 * A frame between two ports of one bridge must stay bridged: routed one way and
 * bridged the other, conntrack sees half of it and calls the rest invalid. So
 * the next hop that the bridge itself would use is written into the frame.
 * dmac becomes zero where the backend is not on that bridge, and stays what it
 * was while the next hop is not resolved.
 */
static __always_inline void route_bridged(const struct ctx *ctx, struct scratch *s,
					  const struct packet *p, const struct weir_addr *to,
					  __u8 *dmac)
{
	__u32 bridge = device_bridge(ctx_ifindex(ctx));
	long found;

	if (!bridge)
		return;
	found = route_find(ctx, s, p, bridge, &p->key.saddr, to);
	if (found == BPF_FIB_LKUP_RET_SUCCESS && s->fib.ifindex == bridge)
		__builtin_memcpy(dmac, s->fib.dmac, ETH_ALEN);
	else if (found != BPF_FIB_LKUP_RET_NO_NEIGH)
		__builtin_memset(dmac, 0, ETH_ALEN);
}

#endif
