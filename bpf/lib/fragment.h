/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fragments, at tc. Only the first has ports: they are kept under what names the
 * datagram, and the others find them there and so their flow. Nothing waits: a
 * fragment that comes before its first is lost where it is nobody else's.
 */
#ifndef WEIR_BPF_FRAGMENT_H
#define WEIR_BPF_FRAGMENT_H

#include "hit.h"

/* Reassembly waits 30 s on Linux, and an id may be another datagram's soon after. */
#define FRAGMENT_LIFE (30000000000ULL >> WEIR_TICK_SHIFT)

/* What becomes of a later fragment whose flow is not known. */
static __always_inline enum weir_counter fragment_lost(const struct steering *st)
{
	return st->bits & WEIR_ADDRESS_SERVICE && !(st->bits & WEIR_ADDRESS_NODE)
		       ? WEIR_drop_fragment
		       : WEIR_pass_fragment;
}

static __always_inline bool fragment_whole_header(const struct packet *p)
{
	__u32 header = p->key.proto == NEXT_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr);

	/* Not what the frame holds: it may be padded. */
	return p->l3_len >= p->l4 - p->l3 + header;
}

/* What check must be for this name of a datagram and what is in front of it. */
static __always_inline __u32 fragment_check(const struct weir_fragment_key *key,
					    const struct weir_fragment *kept)
{
	const __u64 *name = (const __u64 *)key;
	const __u32 *said = (const __u32 *)kept;
	__u64 h = ((__u64)said[1] << 32 | said[0]) * HASH_GOLDEN;

	_Static_assert(sizeof(*key) == 5 * sizeof(*name), "five words name a datagram");
	_Static_assert(offsetof(struct weir_fragment, check) == 2 * sizeof(*said),
		       "two are checked");
	for (int i = 0; i < 5; i++)
		h = (h ^ name[i]) * HASH_GOLDEN;
	return h >> 32;
}

/* The ports of a first fragment, for the others. */
static __always_inline enum weir_counter fragment_keep(struct scratch *s, const struct packet *p)
{
	struct weir_fragment kept = {
		.sport = p->key.sport,
		.dport = p->key.dport,
		.proto = p->key.proto,
		.seen = now_ticks(),
	};

	if (!fragment_whole_header(p))
		return WEIR_pass_fragment_tiny;
	kept.check = fragment_check(&s->datagram, &kept);
	bpf_map_update_elem(&weir_fragment, &s->datagram, &kept, BPF_ANY);
	count(WEIR_flow_fragment);
	return PARSE_OK;
}

static __always_inline enum weir_counter fragment_follow(struct scratch *s, struct steering *st)
{
	struct packet *p = &st->packet;
	const struct weir_fragment *found = bpf_map_lookup_elem(&weir_fragment, &s->datagram);
	struct weir_fragment kept;

	if (!found)
		return fragment_lost(st);
	kept = *found;
	barrier(); /* what is checked is the copy */
	if (kept.check != fragment_check(&s->datagram, &kept) ||
	    now_ticks() - kept.seen > FRAGMENT_LIFE)
		return fragment_lost(st);
	p->key.sport = kept.sport;
	p->key.dport = kept.dport;
	p->key.proto = kept.proto;
	return PARSE_OK;
}

/* s->datagram and not the packet's key: as in struct scratch. */
static __always_inline bool fragment_may_be_ours(const struct scratch *s, struct steering *st)
{
	if (st->egress)
		return address_bits(&s->datagram.saddr) & WEIR_ADDRESS_BACKEND;
	st->bits = address_bits(&s->datagram.daddr);
	return st->bits;
}

static __always_inline enum weir_counter fragment_read(struct scratch *s, struct steering *st)
{
	struct packet *p = &st->packet;
	bool first = !fragment_later(p);

	if (st->why != WEIR_pass_fragment) /* another protocol, or cut short */
		return st->why == WEIR_pass_malformed && first ? WEIR_pass_fragment_tiny
							       : WEIR_pass_fragment;
	/* SCTP's checksum is one of the whole, which the first one's ports cannot answer for. */
	if (p->key.proto == NEXT_SCTP ||
	    (p->v4 && p->key.proto != NEXT_TCP && p->key.proto != NEXT_UDP))
		return WEIR_pass_fragment;
	s->datagram = (struct weir_fragment_key){
		.saddr = p->key.saddr,
		.daddr = p->key.daddr,
		.id = p->id,
		.proto = p->v4 ? p->key.proto : 0,
	};
	if (!fragment_may_be_ours(s, st))
		return WEIR_pass_stranger;
	return first ? fragment_keep(s, p) : fragment_follow(s, st);
}

/* Whether the key is whole now. If not, st->why says what it is instead of a packet. */
static __always_inline bool fragment_resolve(struct steering *st)
{
	struct scratch *s = scratch();

	if (!s)
		return false;
	st->why = fragment_read(s, st);
	return st->why == PARSE_OK;
}

#endif
