/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packet that an ICMP error quotes: which flow's it is, and how it is put
 * back to what its sender sent. All that is beyond the first 64 bits behind its
 * IP header may be missing (RFC 792).
 */
#ifndef WEIR_BPF_QUOTE_H
#define WEIR_BPF_QUOTE_H

#include "icmp.h"

/* Of which flows are made. */
static __always_inline bool quote_has_ports(__u8 proto)
{
	return proto == NEXT_TCP || proto == NEXT_UDP || proto == NEXT_SCTP;
}

/* key: of the packets that the quoted one answers; its ports are still to come. */
static __always_inline bool quote_ipv4(struct __sk_buff *skb, struct icmp_space *space,
				       struct weir_flow_key *key)
{
	struct quote *q = &space->quoted;
	struct iphdr *ip = &space->v4.ip;

	if (bpf_skb_load_bytes(skb, q->l3, ip, sizeof(*ip)) || ip->version != 4 || ip->ihl < 5 ||
	    ip->frag_off & bpf_htons(FRAGMENT_OFFSET))
		return false;
	q->l4 = q->l3 + ip->ihl * 4;
	key->saddr = addr_from_v4(ip->daddr);
	key->daddr = addr_from_v4(ip->saddr);
	key->proto = ip->protocol;
	return true;
}

/* Length of the extension header of that kind, or 0: it is none, or nothing behind it is known. */
static __always_inline __u32 quote_extension(const __u8 *ext, __u8 kind)
{
	switch (kind) {
	case NEXT_FRAGMENT:
		return ext[2] | ext[3] >> 3 ? 0 : 8;
	case NEXT_AUTHENTICATION:
		return (ext[1] + 2) * 4;
	case NEXT_HOP_BY_HOP:
	case NEXT_ROUTING:
	case NEXT_DESTINATION:
		return (ext[1] + 1) * 8;
	default:
		return 0;
	}
}

static __always_inline bool quote_ipv6(struct __sk_buff *skb, struct icmp_space *space,
				       struct weir_flow_key *key)
{
	struct quote *q = &space->quoted;
	struct ipv6hdr *ip = &space->v6.ip;
	__u8 ext[4], next;
	__u32 len;

	if (bpf_skb_load_bytes(skb, q->l3, ip, sizeof(*ip)) || ip->version != 6)
		return false;
	key->saddr = addr_from_v6(&ip->daddr);
	key->daddr = addr_from_v6(&ip->saddr);
	next = ip->nexthdr;
	q->l4 = q->l3 + sizeof(*ip);
	for (int i = 0; i < IPV6_EXTENSIONS; i++) {
		if (quote_has_ports(next) || bpf_skb_load_bytes(skb, q->l4, ext, sizeof(ext)))
			break;
		len = quote_extension(ext, next);
		if (!len)
			return false;
		q->l4 += len;
		next = ext[0];
	}
	key->proto = next;
	return true;
}

/*
 * Finds what is quoted. The scratch space's key becomes the tuple of the packets
 * that the quoted one answers: under that is the record that says how to put it
 * back. Whether there is something. Global, so that it is verified once.
 */
__noinline int quote_read(struct __sk_buff *skb, struct steering *st)
{
	struct icmp_space *space = icmp_space();
	struct scratch *s = scratch();
	const struct packet *p;
	struct quote *q;
	__be16 ports[2];

	if (!st || !space || !s)
		return false;
	p = &st->packet;
	q = &space->quoted;
	q->l3 = p->l4 + sizeof(struct icmp_header);
	q->end = p->l3 + p->l3_len;
	if (q->end > skb->len)
		q->end = skb->len;
	q->sum = 0;
	__builtin_memset(&s->key, 0, sizeof(s->key));
	if (!(p->v4 ? quote_ipv4(skb, space, &s->key) : quote_ipv6(skb, space, &s->key)))
		return false;
	/* An error goes to whom the packet came from that it is about. */
	if (!quote_has_ports(s->key.proto) || !addr_equal(&s->key.daddr, &p->key.daddr))
		return false;
	if (q->l4 + sizeof(struct udphdr) > q->end ||
	    bpf_skb_load_bytes(skb, q->l4, ports, sizeof(ports)))
		return false;
	s->key.sport = ports[1];
	s->key.dport = ports[0];
	return true;
}

/* The checksum of the quoted transport header, if that much is quoted. */
static __always_inline long quote_check(struct __sk_buff *skb, struct quote *q, __u8 proto,
					const struct action *act)
{
	__u32 off = q->l4 + (proto == NEXT_TCP ? offsetof(struct tcphdr, check)
					       : offsetof(struct udphdr, check));
	__sum16 before, after;

	/* An SCTP packet is known by its ports and its tag. */
	if (proto == NEXT_SCTP || off + sizeof(before) > q->end)
		return 0;
	if (bpf_skb_load_bytes(skb, off, &before, sizeof(before)))
		return -1;
	if (proto == NEXT_UDP && !before) /* 0 means "no checksum" in UDP */
		return 0;
	after = csum_add_diff(before, (__u32)act->addr_diff + act->port_diff);
	if (proto == NEXT_UDP && !after)
		after = 0xffff;
	q->sum += (__u32)after + (__u16)~before;
	return bpf_skb_store_bytes(skb, off, &after, sizeof(after), 0);
}

/* Adds nothing to the message's sum: the quoted header's own checksum makes up for it. */
static __always_inline long quote_write4(struct __sk_buff *skb, const struct quote *q,
					 const struct action *act)
{
	__be32 addresses[2] = { act->daddr.word[3], act->saddr.word[3] };
	__u32 off = q->l3 + offsetof(struct iphdr, check);
	__sum16 check;

	_Static_assert(offsetof(struct iphdr, saddr) ==
			       offsetof(struct iphdr, check) + sizeof(check),
		       "addresses follow");
	if (bpf_skb_load_bytes(skb, off, &check, sizeof(check)))
		return -1;
	check = csum_add_diff(check, act->addr_diff);
	if (bpf_skb_store_bytes(skb, off, &check, sizeof(check), 0))
		return -1;
	return bpf_skb_store_bytes(skb, off + sizeof(check), addresses, sizeof(addresses), 0);
}

static __always_inline long quote_write6(struct __sk_buff *skb, struct quote *q,
					 const struct action *act)
{
	__u32 off = q->l3 + offsetof(struct ipv6hdr, saddr);

	q->sum += act->addr_diff;
	if (bpf_skb_store_bytes(skb, off, &act->daddr, sizeof(act->daddr), 0))
		return -1;
	off += sizeof(act->daddr);
	return bpf_skb_store_bytes(skb, off, &act->saddr, sizeof(act->saddr), 0);
}

/*
 * Puts the quoted packet back to what its sender sent: the mirror image of what
 * the record writes, so what the record adds is what is added here. 0, or -1.
 */
__noinline int quote_write(struct __sk_buff *skb, struct steering *st, __u32 proto)
{
	struct icmp_space *space = icmp_space();
	const struct action *act;
	struct quote *q;
	__be16 ports[2];

	if (!st || !space)
		return -1;
	act = &st->action;
	q = &space->quoted;
	ports[0] = act->dport;
	ports[1] = act->sport;
	q->sum += act->port_diff;
	if (bpf_skb_store_bytes(skb, q->l4, ports, sizeof(ports), 0) ||
	    quote_check(skb, q, proto, act))
		return -1;
	return st->packet.v4 ? quote_write4(skb, q, act) : quote_write6(skb, q, act);
}

#endif
