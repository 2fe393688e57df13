/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ending a TCP connection towards its client, at tc: the packet itself becomes
 * the RST (RFC 9293, 3.10.7.1, "if the state is CLOSED") and goes back out of the
 * device that it came in by.
 */
#ifndef WEIR_BPF_RESET_H
#define WEIR_BPF_RESET_H

#include "icmp.h"

struct reset {
	struct tcphdr tcp;
	union {
		struct iphdr v4;
		struct ipv6hdr v6;
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct reset);
	__uint(max_entries, 1);
} weir_reset SEC(".maps");

/* Bytes of sequence space that the packet takes. */
static __always_inline __u32 reset_sequence(const struct packet *p)
{
	return p->l3_len - (p->l4 - p->l3) - p->l4_len + !!(p->tcp & TCP_SYN) +
	       !!(p->tcp & TCP_FIN);
}

/* partial: the kernel finishes the checksum, and wants the pseudo-header's part. */
static __always_inline void reset_fill_tcp(struct tcphdr *tcp, const struct packet *p, bool partial)
{
	__u64 sum;

	__builtin_memset(tcp, 0, sizeof(*tcp));
	tcp->source = p->key.dport;
	tcp->dest = p->key.sport;
	tcp->doff = sizeof(*tcp) / 4;
	tcp->rst = 1;
	if (p->tcp & TCP_ACK) {
		tcp->seq = bpf_htonl(p->ack);
	} else {
		tcp->ack = 1;
		tcp->ack_seq = bpf_htonl(p->seq + reset_sequence(p));
	}
	/* A mapped address adds 0xffff to its IPv4 address, which is 0 in this sum. */
	sum = (__u32)bpf_csum_diff(NULL, 0, (__be32 *)&p->key.saddr, 2 * sizeof(p->key.saddr), 0);
	sum += bpf_htons(NEXT_TCP) + bpf_htons(sizeof(*tcp));
	if (!partial)
		sum += (__u32)bpf_csum_diff(NULL, 0, (__be32 *)tcp, sizeof(*tcp), 0);
	tcp->check = partial ? csum_fold(sum) : (__u16)~csum_fold(sum);
}

/* Addresses swapped; options and extension headers stay where they are. */
static __always_inline long reset_store_ip(struct __sk_buff *skb, struct reset *r,
					   const struct packet *p)
{
	__u32 length = p->l4 - p->l3 + sizeof(r->tcp);
	__u16 *ip = (__u16 *)&r->v4;
	__u64 diff;

	if (!p->v4) {
		if (bpf_skb_load_bytes(skb, p->l3, &r->v6, sizeof(r->v6)))
			return -1;
		r->v6.payload_len = bpf_htons(length - sizeof(r->v6));
		r->v6.hop_limit = ICMP_TTL;
		__builtin_memcpy(&r->v6.saddr, &p->key.daddr, sizeof(r->v6.saddr));
		__builtin_memcpy(&r->v6.daddr, &p->key.saddr, sizeof(r->v6.daddr));
		return bpf_skb_store_bytes(skb, p->l3, &r->v6, sizeof(r->v6), BPF_F_RECOMPUTE_CSUM);
	}
	if (bpf_skb_load_bytes(skb, p->l3, &r->v4, sizeof(r->v4)))
		return -1;
	/* By difference, since of a header with options this is a part. */
	diff = (__u16)~r->v4.tot_len + (__u64)(__u16)~ip[offsetof(struct iphdr, ttl) / 2];
	r->v4.tot_len = bpf_htons(length);
	r->v4.ttl = ICMP_TTL;
	diff += r->v4.tot_len + (__u64)ip[offsetof(struct iphdr, ttl) / 2];
	r->v4.check = csum_add_diff(r->v4.check, csum_fold(diff));
	r->v4.saddr = p->key.daddr.word[3];
	r->v4.daddr = p->key.saddr.word[3];
	return bpf_skb_store_bytes(skb, p->l3, &r->v4, sizeof(r->v4), BPF_F_RECOMPUTE_CSUM);
}

/* TC_ACT_SHOT if it cannot be made. A global function: one copy for all programs of the object. */
__noinline int reset_answer(struct __sk_buff *skb, struct steering *st, bool ethernet)
{
	struct ctx ctx = { .hook = skb };
	__u32 zero = 0;
	struct reset *r = bpf_map_lookup_elem(&weir_reset, &zero);
	struct packet *p;
	long partial;

	if (!r || !st)
		return TC_ACT_SHOT;
	p = &st->packet;
	partial = icmp_cut(skb, p, sizeof(r->tcp));
	if (partial < 0)
		return TC_ACT_SHOT;
	reset_fill_tcp(&r->tcp, p, partial);
	if (bpf_skb_store_bytes(skb, p->l4, &r->tcp, sizeof(r->tcp), BPF_F_RECOMPUTE_CSUM) ||
	    reset_store_ip(skb, r, p))
		return TC_ACT_SHOT;
	return ethernet ? send_back(&ctx) : bpf_redirect(ctx_ifindex(&ctx), 0);
}

#endif
