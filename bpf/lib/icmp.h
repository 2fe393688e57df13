/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Answering a packet with an ICMP error, at tc (RFC 792, RFC 4443). The packet
 * itself becomes the answer: cut to what is quoted, a header put in front,
 * sent back out of the device that it came in by.
 */
#ifndef WEIR_BPF_ICMP_H
#define WEIR_BPF_ICMP_H

#include "send_skb.h"

/*
 * The headers and numbers of RFC 792 and RFC 4443, which <linux/icmp.h> has too,
 * but together with half of the C library.
 */
struct icmp_header {
	__u8 type;
	__u8 code;
	__sum16 check;
	__be32 rest; /* IPv4: 16 bits unused, 16 bits MTU; IPv6: MTU */
};

enum {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_PORT_UNREACHABLE = 3,
	ICMP4_FRAGMENTATION_NEEDED = 4,
	ICMP4_ECHO = 8,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAMETER_PROBLEM = 12,
	ICMP6_UNREACHABLE = 1,
	ICMP6_PORT_UNREACHABLE = 4,
	ICMP6_PACKET_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_PARAMETER_PROBLEM = 4,
	ICMP6_ECHO = 128,
	ICMP6_ECHO_REPLY = 129,
};

#define ICMP_TTL       64
#define ICMP_QUOTE_MAX (CURSOR_REACH + sizeof(struct tcphdr) + 1) /* a multiple of 4 */
#define ICMP4_HEADERS  (sizeof(struct iphdr) + sizeof(struct icmp_header))
#define ICMP6_HEADERS  (sizeof(struct ipv6hdr) + sizeof(struct icmp_header))
#define NEXT_ICMP4     1
#define NEXT_ICMP6     58

/* Errors that a CPU makes: a thousand a second, as Linux does by itself, and a hundred at once. */
#define ICMP_INTERVAL 1000000ULL /* ns */
#define ICMP_BURST    (100 * ICMP_INTERVAL)

/* The packet that an error quotes. Offsets are from the frame's start. */
struct quote {
	__u32 l3;
	__u32 l4;
	__u32 end; /* of what is quoted */
	__u32 sum; /* what was added to the message's bytes so far, in one's complement */
};

/* Not on the stack: what the verifier does not know it need not follow, either. */
struct icmp_space {
	struct quote quoted;
	__u64 paid; /* ns of the coarse clock: until then the errors made so far are paid for */
	__u8 quote[ICMP_QUOTE_MAX];
	union {
		struct {
			struct iphdr ip;
			struct icmp_header icmp;
		} v4;
		struct {
			struct ipv6hdr ip;
			struct icmp_header icmp;
		} v6;
		__u8 bytes[ICMP6_HEADERS];
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct icmp_space);
	__uint(max_entries, 1);
} weir_icmp SEC(".maps");

static __always_inline struct icmp_space *icmp_space(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_icmp, &zero);
}

/* Bytes of the transport header that are quoted; of SCTP, what tells whose it is. */
static __always_inline __u32 icmp_quoted(const struct packet *p)
{
	switch (p->key.proto) {
	case NEXT_TCP:
		return sizeof(struct tcphdr);
	case NEXT_SCTP:
		return p->l4_len;
	default:
		return sizeof(struct udphdr);
	}
}

static __always_inline __u32 icmp_check_offset(const struct packet *p)
{
	switch (p->key.proto) {
	case NEXT_TCP:
		return offsetof(struct tcphdr, check);
	case NEXT_SCTP:
		return offsetof(struct sctp_header, check);
	default:
		return offsetof(struct udphdr, check);
	}
}

/* One more error? A token bucket, kept as the time at which it would be full again. */
static __always_inline bool icmp_allowed(void)
{
	struct icmp_space *space = icmp_space();
	__u64 now = bpf_ktime_get_coarse_ns();

	if (!space)
		return false;
	if (space->paid < now)
		space->paid = now;
	if (space->paid - now >= ICMP_BURST)
		return false;
	space->paid += ICMP_INTERVAL;
	return true;
}

/*
 * Cuts the packet to `quoted` L4 bytes. The checksum of a packet from a sender
 * with offload is partial: the kernel will still finish it, inside our quote,
 * and no program may ask. But the kernel refuses to cut such a packet before
 * the end of its checksum field, and so it tells. -1, or whether it is partial
 * and a part of the sum over the quote.
 */
static __always_inline long icmp_cut(struct __sk_buff *skb, const struct packet *p, __u32 quoted)
{
	bool partial = bpf_skb_change_tail(skb, p->l4 + icmp_check_offset(p) + 1, 0);

	if (bpf_skb_change_tail(skb, p->l4 + quoted, 0))
		return -1;
	return partial && p->key.proto != NEXT_SCTP;
}

/*
 * The sum over the quote as it will be on the wire. Once the kernel has put the
 * complement of the sum over the quoted L4 bytes where f, the pseudo-header's
 * part, was, those bytes add up to -f.
 */
static __always_inline __s64 icmp_quote_sum(struct icmp_space *space, const struct packet *p,
					    __u32 quoted, bool partial)
{
	__u32 header = p->l4 - p->l3;
	__u32 check = icmp_check_offset(p);
	__u32 length = header + (partial ? 0 : quoted);
	__u16 *field;
	__s64 sum;

	length &= 0xff; /* header is below CURSOR_REACH, and both are multiples of 4 */
	barrier_var(length);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)space->quote, length & ~3U, 0);
	if (sum < 0 || !partial)
		return sum;
	header = (header + check) & 0xfe;
	barrier_var(header);
	field = (__u16 *)(space->quote + header);
	return sum + (__u16) ~*field;
}

static __always_inline void icmp_fill4(struct icmp_space *space, const struct packet *p,
				       enum weir_counter why, __u32 mtu, __u32 quote, __u64 sum)
{
	struct iphdr *ip = &space->v4.ip;
	struct icmp_header *icmp = &space->v4.icmp;

	__builtin_memset(&space->v4, 0, sizeof(space->v4));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = bpf_htons(ICMP4_HEADERS + quote);
	ip->frag_off = bpf_htons(0x4000); /* don't fragment */
	ip->ttl = ICMP_TTL;
	ip->protocol = NEXT_ICMP4;
	ip->saddr = p->key.daddr.word[3];
	ip->daddr = p->key.saddr.word[3];
	ip->check = ~csum_fold((__u32)bpf_csum_diff(NULL, 0, (__be32 *)ip, sizeof(*ip), 0));
	if (why == WEIR_answer_ttl) {
		icmp->type = ICMP4_TIME_EXCEEDED;
	} else if (why == WEIR_answer_too_big) {
		icmp->type = ICMP4_UNREACHABLE;
		icmp->code = ICMP4_FRAGMENTATION_NEEDED;
		icmp->rest = bpf_htonl(mtu);
	} else {
		icmp->type = ICMP4_UNREACHABLE;
		icmp->code = ICMP4_PORT_UNREACHABLE;
	}
	sum += (__u32)bpf_csum_diff(NULL, 0, (__be32 *)icmp, sizeof(*icmp), 0);
	icmp->check = ~csum_fold(sum);
}

static __always_inline void icmp_fill6(struct icmp_space *space, const struct packet *p,
				       enum weir_counter why, __u32 mtu, __u32 quote, __u64 sum)
{
	struct ipv6hdr *ip = &space->v6.ip;
	struct icmp_header *icmp = &space->v6.icmp;
	__u32 length = sizeof(*icmp) + quote;

	__builtin_memset(&space->v6, 0, sizeof(space->v6));
	ip->version = 6;
	ip->payload_len = bpf_htons(length);
	ip->nexthdr = NEXT_ICMP6;
	ip->hop_limit = ICMP_TTL;
	__builtin_memcpy(&ip->saddr, &p->key.daddr, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &p->key.saddr, sizeof(ip->daddr));
	if (why == WEIR_answer_ttl) {
		icmp->type = ICMP6_TIME_EXCEEDED;
	} else if (why == WEIR_answer_too_big) {
		icmp->type = ICMP6_PACKET_TOO_BIG;
		icmp->rest = bpf_htonl(mtu);
	} else {
		icmp->type = ICMP6_UNREACHABLE;
		icmp->code = ICMP6_PORT_UNREACHABLE;
	}
	sum += (__u32)bpf_csum_diff(NULL, 0, (__be32 *)&ip->saddr, 2 * sizeof(ip->saddr), 0);
	sum += bpf_htonl(length) + (__u64)bpf_htonl(NEXT_ICMP6);
	sum += (__u32)bpf_csum_diff(NULL, 0, (__be32 *)icmp, sizeof(*icmp), 0);
	icmp->check = ~csum_fold(sum);
}

/*
 * The packet becomes its own answer: st->why says which, st->action.way.mtu with
 * what size. A verdict of tc. Global, so that it is verified once.
 */
__noinline int icmp_answer(struct __sk_buff *skb, struct steering *st, __u32 ethernet)
{
	struct ctx ctx = { .hook = skb };
	struct icmp_space *space = icmp_space();
	__u32 quoted, room;
	const struct packet *p;
	long partial;
	__u64 quote; /* in 64 bits, or Linux 6.1 forgets the lower bound */
	__s64 sum;

	if (!st || !space)
		return TC_ACT_SHOT;
	p = &st->packet;
	quoted = icmp_quoted(p);
	room = p->v4 ? ICMP4_HEADERS : ICMP6_HEADERS;
	quote = p->l4 - p->l3 + quoted;
	barrier_var(quote);
	quote &= 0xff;
	if (quote < sizeof(struct iphdr) + sizeof(struct udphdr) ||
	    bpf_skb_load_bytes(skb, p->l3, space->quote, quote))
		return TC_ACT_SHOT;
	partial = icmp_cut(skb, p, quoted);
	if (partial < 0)
		return TC_ACT_SHOT;
	/* Cutting may have taken a byte or more of what is quoted; growing filled it with zeros. */
	if (bpf_skb_store_bytes(skb, p->l3, space->quote, quote, 0))
		return TC_ACT_SHOT;
	sum = icmp_quote_sum(space, p, quoted, partial);
	if (sum < 0 || bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, 0))
		return TC_ACT_SHOT;
	if (p->v4)
		icmp_fill4(space, p, st->why, st->action.way.mtu, quote, sum);
	else
		icmp_fill6(space, p, st->why, st->action.way.mtu, quote, sum);
	if (bpf_skb_store_bytes(skb, p->l3, space->bytes, room, 0))
		return TC_ACT_SHOT;
	return ethernet ? send_back(&ctx) : bpf_redirect(ctx_ifindex(&ctx), 0);
}

#endif
