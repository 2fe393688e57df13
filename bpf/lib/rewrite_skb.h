/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writing an action into a packet at tc. Packet pointers are dead after each helper. */
#ifndef WEIR_BPF_REWRITE_SKB_H
#define WEIR_BPF_REWRITE_SKB_H

#include "sctp.h"
#include "steer.h"

/*
 * The helper, and not csum.h: only the kernel knows whether this skb's checksum
 * is complete, verified, or partial (to be finished by the NIC), where only
 * the pseudo-header's part may change. UDP's 0 stays: it means "no checksum".
 */
static __always_inline long rewrite_l4_check(struct __sk_buff *skb, const struct packet *p,
					     const struct action *act)
{
	__u32 off = p->l4 + offsetof(struct tcphdr, check);
	__u64 flags = 0;

	if (p->key.proto == NEXT_UDP) {
		off = p->l4 + offsetof(struct udphdr, check);
		flags = BPF_F_MARK_MANGLED_0;
	}
	if (bpf_l4_csum_replace(skb, off, 0, act->addr_diff, flags | BPF_F_PSEUDO_HDR))
		return -1;
	return act->port_diff ? bpf_l4_csum_replace(skb, off, 0, act->port_diff, flags) : 0;
}

/* The hop limit, one less. off: of the source address, which it is in front of. */
static __always_inline long rewrite_hop6(struct __sk_buff *skb, __u32 off)
{
	__u16 word = 0;

	/* Two bytes, since sums are of pairs: next header and hop limit. */
	if (bpf_skb_load_bytes(skb, off - 2, &word, sizeof(word)))
		return -1;
	word = bpf_htons(bpf_ntohs(word) - 1);
	return bpf_skb_store_bytes(skb, off - 2, &word, sizeof(word), BPF_F_RECOMPUTE_CSUM);
}

/*
 * IPv6 has no header checksum that would make up for a changed address in the
 * sum over the whole packet (CHECKSUM_COMPLETE), so the helper must know of
 * the store.
 */
static __always_inline long rewrite_ipv6(struct __sk_buff *skb, const struct packet *p,
					 const struct action *act, bool hop)
{
	__u32 off = p->l3 + offsetof(struct ipv6hdr, saddr);

	_Static_assert(offsetof(struct action, daddr) ==
			       offsetof(struct action, saddr) + sizeof(struct weir_addr),
		       "stored as one piece");
	if (hop && rewrite_hop6(skb, off))
		return -1;
	return bpf_skb_store_bytes(skb, off, &act->saddr, 2 * sizeof(act->saddr),
				   BPF_F_RECOMPUTE_CSUM);
}

/* In IPv4 the header checksum makes up for it, so plain stores keep the whole sum right. */
static __always_inline void rewrite_ipv4(struct iphdr *ip, const struct action *act, bool hop)
{
	ip->saddr = act->saddr.word[3];
	ip->daddr = act->daddr.word[3];
	ip->check = csum_add_diff(ip->check, act->addr_diff);
	if (hop) {
		ip->ttl--;
		ip->check = csum_add_diff(ip->check, (__u16)~bpf_htons(0x0100));
	}
}

/*
 * A later fragment has neither ports nor checksum: what it adds to that is in the
 * first one's. Of SCTP the kernel must know of the store: see rewrite_sctp().
 */
static __always_inline bool rewrite_ports(const struct ctx *ctx, const struct packet *p,
					  const struct action *act)
{
	__be16 *ports;

	if (fragment_later(p) || p->key.proto == NEXT_SCTP)
		return true;
	ports = cursor_peek(ctx_frame(ctx), p->l4, 2 * sizeof(*ports));
	if (!ports)
		return false;
	ports[0] = act->sport;
	ports[1] = act->dport;
	return true;
}

/* hop: the packet is forwarded here, so its TTL goes down by one. 0, or -1: cut short. */
static __always_inline long rewrite_skb(const struct ctx *ctx, const struct packet *p,
					const struct action *act, bool hop)
{
	struct iphdr *ip = cursor_peek(ctx_frame(ctx), p->l3, sizeof(*ip));

	if (!ip || !rewrite_ports(ctx, p, act))
		return -1;
	if (p->v4)
		rewrite_ipv4(ip, act, hop);
	else if (rewrite_ipv6(ctx->hook, p, act, hop))
		return -1;
	if (fragment_later(p))
		return 0;
	if (p->key.proto == NEXT_SCTP)
		return rewrite_sctp(ctx->hook, p->l4, p->l3_len - (p->l4 - p->l3),
				    act->sport | (__u32)act->dport << 16);
	return rewrite_l4_check(ctx->hook, p, act);
}

/* Where the backend is on the client's own bridge, the frame must stay bridged. */
static __always_inline bool keep_bridged(const struct ctx *ctx, const struct action *act)
{
	struct ethhdr *eth = cursor_peek(ctx_frame(ctx), 0, sizeof(*eth));

	if (!eth)
		return false;
	__builtin_memcpy(eth->h_dest, act->way.dmac, ETH_ALEN);
	return true;
}

#endif
