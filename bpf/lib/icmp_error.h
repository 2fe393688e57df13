/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP messages at tc: errors about packets of translated flows, which go the
 * way of that flow's packets with what they quote translated, and pings of
 * service addresses, which are answered here.
 */
#ifndef WEIR_BPF_ICMP_ERROR_H
#define WEIR_BPF_ICMP_ERROR_H

#include "quote.h"

/* Not TC_ACT_OK: the programs behind us, the CNI's among them, have a say too. */
#define ON TC_ACT_UNSPEC

static __always_inline bool icmp_message(const struct packet *p)
{
	return p->key.proto == (p->v4 ? NEXT_ICMP4 : NEXT_ICMP6);
}

static __always_inline bool icmp_is_error(bool v4, __u8 type)
{
	if (v4)
		return type == ICMP4_UNREACHABLE || type == ICMP4_TIME_EXCEEDED ||
		       type == ICMP4_PARAMETER_PROBLEM;
	return type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER_PROBLEM;
}

/*
 * The record of the flow that the quoted packet is of, into st->action; only if
 * it is this hook that translates such packets, as in steer_hit(). At egress
 * the message may come from any router, so it is the quoted packet's backend
 * that must be one.
 */
static __always_inline bool icmp_flow(struct scratch *s, struct steering *st)
{
	__u32 want = st->edge == EDGE_UPLINK ? WEIR_ADDRESS_BACKEND | WEIR_ADDRESS_LOCAL
					     : WEIR_ADDRESS_BACKEND;
	const struct weir_config *cfg = config();
	struct action *act = &st->action;
	struct found found;
	bool reply, send;

	if (!cfg || (st->egress && (address_bits(&s->key.saddr) & want) != want))
		return false;
	found = flow_find(&s->key);
	if (!found.record || !flow_copy(act, found.record, hash_flow(&s->key, cfg->seed)))
		return false;
	reply = act->flags & WEIR_FLOW_REPLY;
	send = act->flags & WEIR_FLOW_SEND;
	return st->egress ? reply && !send : !reply || send;
}

/* What forbids sending it on, or OPENED. No errors about errors (RFC 1122, 3.2.2). */
static __always_inline enum weir_counter icmp_route(const struct ctx *ctx, struct scratch *s,
						    struct steering *st)
{
	const struct packet *p = &st->packet;
	struct action *act = &st->action;
	long found;

	if (p->ttl <= 1)
		return WEIR_drop_icmp;
	if (act->flags & WEIR_FLOW_HAIRPIN)
		return OPENED;
	found = route_find(ctx, s, p, ctx_ifindex(ctx), &act->saddr, &act->daddr);
	if (found == BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return WEIR_drop_icmp;
	if (!route_usable(found))
		return WEIR_drop_no_route;
	route_keep(s, found, &act->way);
	return OPENED;
}

/*
 * In whose name the message goes on. A router keeps its name where the flow's
 * addresses are seen by all on the way. Where the source was translated nobody
 * there knows the routers behind it, and filters drop them, or a node that gets
 * a packet from itself: so there all speak as the flow's other end. Towards the
 * client a backend is always called the service.
 */
static __always_inline const struct weir_addr *icmp_source(const struct steering *st,
							   const struct weir_addr *backend)
{
	const struct action *act = &st->action;
	bool change = act->flags & WEIR_FLOW_SEND ||
		      (act->flags & WEIR_FLOW_REPLY && addr_equal(&st->packet.key.saddr, backend));

	return change ? &act->saddr : &st->packet.key.saddr;
}

/* The message's own checksum, for what was added to what it covers. */
static __always_inline long icmp_write_check(struct __sk_buff *skb, const struct packet *p,
					     __u32 sum)
{
	__u32 off = p->l4 + offsetof(struct icmp_header, check);
	__sum16 check;

	if (bpf_skb_load_bytes(skb, off, &check, sizeof(check)))
		return -1;
	check = csum_add_diff(check, sum);
	return bpf_skb_store_bytes(skb, off, &check, sizeof(check), 0);
}

/* hop: the message is forwarded here. */
static __always_inline long icmp_write4(const struct ctx *ctx, struct icmp_space *space,
					const struct steering *st, const struct weir_addr *from,
					bool hop)
{
	struct iphdr *ip = &space->v4.ip;
	__u32 off = st->packet.l3;

	if (bpf_skb_load_bytes(ctx->hook, off, ip, sizeof(*ip)))
		return -1;
	ip->check =
		csum_add_diff(ip->check, csum_fold((__u64)(__u32)~ip->saddr + (__u32)~ip->daddr +
						   from->word[3] + st->action.daddr.word[3]));
	ip->saddr = from->word[3];
	ip->daddr = st->action.daddr.word[3];
	if (hop) {
		ip->ttl--;
		ip->check = csum_add_diff(ip->check, (__u16)~bpf_htons(0x0100));
	}
	return bpf_skb_store_bytes(ctx->hook, off, ip, sizeof(*ip), 0);
}

/*
 * Plain stores, though IPv6 has no header checksum: the message's own makes up
 * for the addresses, so that the sum over the whole packet (CHECKSUM_COMPLETE)
 * stays right. Not so for the hop limit, of which it knows nothing.
 */
static __always_inline long icmp_write6(const struct ctx *ctx, struct icmp_space *space,
					const struct steering *st, const struct weir_addr *from,
					bool hop)
{
	__u32 off = st->packet.l3 + offsetof(struct ipv6hdr, saddr);
	const struct weir_addr *to = &st->action.daddr;

	space->quoted.sum += csum_fold(csum_diff_addr(&st->packet.key.saddr, from) +
				       csum_diff_addr(&st->packet.key.daddr, to));
	if (hop && rewrite_hop6(ctx->hook, off))
		return -1;
	if (bpf_skb_store_bytes(ctx->hook, off, from, sizeof(*from), 0))
		return -1;
	return bpf_skb_store_bytes(ctx->hook, off + sizeof(*from), to, sizeof(*to), 0);
}

static __always_inline long icmp_write(const struct ctx *ctx, struct scratch *s,
				       struct icmp_space *space, struct steering *st)
{
	const struct weir_addr *from = icmp_source(st, &s->key.saddr);
	bool send = st->action.flags & WEIR_FLOW_SEND;

	if (quote_write(ctx->hook, st, s->key.proto) ||
	    (st->packet.v4 ? icmp_write4(ctx, space, st, from, send)
			   : icmp_write6(ctx, space, st, from, send)))
		return -1;
	return icmp_write_check(ctx->hook, &st->packet, space->quoted.sum);
}

/* Translates an error if it is about a flow of ours: a verdict of tc, and st->why. */
__noinline int icmp_error(struct __sk_buff *skb, struct steering *st, __u32 ethernet)
{
	struct icmp_space *space = icmp_space();
	struct ctx ctx = { .hook = skb };
	struct scratch *s = scratch();
	struct action *act;
	int verdict = ON;
	bool send;

	if (!st || !space || !s)
		return ON;
	act = &st->action;
	st->why = WEIR_pass_icmp_quote;
	if (!quote_read(skb, st))
		return ON;
	st->why = WEIR_pass_icmp;
	if (!icmp_flow(s, st))
		return ON;
	send = act->flags & WEIR_FLOW_SEND;
	if (send) {
		st->why = icmp_route(&ctx, s, st);
		if (st->why != OPENED)
			return TC_ACT_SHOT;
	}
	st->why = WEIR_drop_rewrite_failed;
	if (!st->egress && st->edge == EDGE_POD && !send && mac_known(act->way.dmac) &&
	    !keep_bridged(&ctx, act))
		return TC_ACT_SHOT;
	if (icmp_write(&ctx, s, space, st))
		return TC_ACT_SHOT;
	if (send)
		verdict = send_on(&ctx, act, ethernet);
	if (verdict != TC_ACT_SHOT)
		st->why = WEIR_forward_icmp;
	return verdict;
}

/* Request becomes reply, in place. One packet for one packet, so there is no limit to it. */
static __always_inline long icmp_echo4(struct __sk_buff *skb, struct icmp_space *space,
				       const struct packet *p)
{
	struct iphdr *ip = &space->v4.ip;
	__be32 from;

	if (bpf_skb_load_bytes(skb, p->l3, ip, sizeof(*ip)))
		return -1;
	from = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = from;
	ip->check = csum_add_diff(ip->check, (__u32)bpf_htons(ICMP_TTL << 8) +
						     (__u16)~bpf_htons((__u16)(ip->ttl << 8)));
	ip->ttl = ICMP_TTL;
	space->quoted.sum = (__u16)~bpf_htons((ICMP4_ECHO - ICMP4_ECHO_REPLY) << 8);
	return bpf_skb_store_bytes(skb, p->l3, ip, sizeof(*ip), 0);
}

static __always_inline long icmp_echo6(struct __sk_buff *skb, struct icmp_space *space,
				       const struct packet *p)
{
	__u32 off = p->l3 + offsetof(struct ipv6hdr, saddr);
	const struct weir_flow_key *key = &p->key;
	__u8 pair[2];

	/* As in rewrite_hop6(). */
	if (bpf_skb_load_bytes(skb, off - sizeof(pair), pair, sizeof(pair)))
		return -1;
	pair[1] = ICMP_TTL;
	if (bpf_skb_store_bytes(skb, off - sizeof(pair), pair, sizeof(pair), BPF_F_RECOMPUTE_CSUM))
		return -1;
	space->quoted.sum = bpf_htons((ICMP6_ECHO_REPLY - ICMP6_ECHO) << 8);
	if (bpf_skb_store_bytes(skb, off, &key->daddr, sizeof(key->daddr), 0))
		return -1;
	return bpf_skb_store_bytes(skb, off + sizeof(key->daddr), &key->saddr, sizeof(key->saddr),
				   0);
}

__noinline int icmp_echo(struct __sk_buff *skb, struct steering *st, __u32 ethernet)
{
	struct icmp_space *space = icmp_space();
	struct ctx ctx = { .hook = skb };
	const struct packet *p;
	__u8 type;

	if (!st || !space)
		return ON;
	p = &st->packet;
	type = p->v4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY;
	st->why = WEIR_drop_answer_failed;
	if ((p->v4 ? icmp_echo4(skb, space, p) : icmp_echo6(skb, space, p)) ||
	    bpf_skb_store_bytes(skb, p->l4, &type, sizeof(type), 0) ||
	    icmp_write_check(skb, p, space->quoted.sum))
		return TC_ACT_SHOT;
	st->why = WEIR_answer_echo;
	return ethernet ? send_back(&ctx) : bpf_redirect(ctx_ifindex(&ctx), 0);
}

/*
 * An ICMP message: a verdict of tc, and st->why. Global, so that it is verified
 * once, and costs nothing where there is none.
 */
__noinline int icmp_steer(struct __sk_buff *skb, struct steering *st, __u32 ethernet)
{
	struct scratch *s = scratch();
	const struct packet *p;
	__u32 bits;
	__u8 type;

	if (!st || !s)
		return ON;
	p = &st->packet;
	if (bpf_skb_load_bytes(skb, p->l4, &type, sizeof(type)))
		return ON;
	s->key.daddr = p->key.daddr;
	bits = address_bits(&s->key.daddr);
	if (icmp_is_error(p->v4, type))
		return st->egress || bits ? icmp_error(skb, st, ethernet) : ON;
	if (st->egress || type != (p->v4 ? ICMP4_ECHO : ICMP6_ECHO) ||
	    !(bits & WEIR_ADDRESS_SERVICE) || bits & WEIR_ADDRESS_NODE)
		return ON;
	return icmp_echo(skb, st, ethernet);
}

#endif
