/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From raw frame to flow key. Reads the packet, writes nothing, looks nothing up. */
#ifndef WEIR_BPF_PARSE_H
#define WEIR_BPF_PARSE_H

#include "cursor.h"

/* As IPv4 has them in frag_off, in host order; DF is not of a fragment. */
#define FRAGMENT_MORE	0x2000
#define FRAGMENT_OFFSET 0x1fff
#define IPV6_EXTENSIONS 6 /* more than anybody sends; RFC 8200, 4.1 lists six kinds */

enum tcp_flag {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
};

/* What the parse found. Offsets are from the frame's start; they outlive a pointer. */
struct packet {
	struct weir_flow_key key;
	__u32 l3_len; /* bytes from the IP header on, as the header says */
	__u32 seq;    /* TCP, host order */
	__u32 ack;
	__u32 id; /* of a fragment's datagram, network order */
	__u16 l3;
	__u16 l4;
	__u16 fragment; /* FRAGMENT_*; 0: is none */
	__u8 l4_len;	/* of the TCP or UDP header */
	bool v4;
	bool tagged; /* a VLAN tag in the frame */
	__u8 ttl;
	__u8 tcp; /* enum tcp_flag; of SCTP, SYN stands for INIT */
} __attribute__((aligned(8)));

/* What a parser returns when it found nothing wrong; else the counter that says what. */
#define PARSE_OK WEIR_COUNTER_MAX

/* Protocol numbers and ethertypes are both small integers: an enum keeps each to itself. */
enum next_header {
	NEXT_HOP_BY_HOP = 0,
	NEXT_TCP = 6,
	NEXT_UDP = 17,
	NEXT_ROUTING = 43,
	NEXT_FRAGMENT = 44,
	NEXT_AUTHENTICATION = 51,
	NEXT_DESTINATION = 60,
	NEXT_SCTP = 132,
};

/* RFC 9260, 3.1 and 3.2; its header has no UAPI. */
struct sctp_header {
	__be16 source;
	__be16 dest;
	__be32 tag;
	__le32 check; /* CRC32c of the packet, with zeros here */
};

#define SCTP_INIT     1
#define SCTP_INIT_TAG 8 /* bytes of an INIT chunk up to the end of its tag */

/* A client's SYN, or INIT: it opens a connection. */
static __always_inline bool tcp_opens(const struct packet *p)
{
	return (p->tcp & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* Ports are in the first fragment only. */
static __always_inline bool fragment_later(const struct packet *p)
{
	return p->fragment & FRAGMENT_OFFSET;
}

static __always_inline struct weir_addr addr_from_v4(__be32 v4)
{
	return (struct weir_addr){ .word = { 0, 0, bpf_htonl(0xffff), v4 } };
}

static __always_inline struct weir_addr addr_from_v6(const struct in6_addr *v6)
{
	struct weir_addr addr;

	__builtin_memcpy(&addr, v6, sizeof(addr));
	return addr;
}

static __always_inline bool addr_equal(const struct weir_addr *a, const struct weir_addr *b)
{
	return !((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1]) | (a->word[2] ^ b->word[2]) |
		 (a->word[3] ^ b->word[3]));
}

static __always_inline enum weir_counter parse_tcp(struct cursor *c, struct packet *p)
{
	struct tcphdr *tcp = cursor_take_hdr(c, struct tcphdr);

	if (!tcp || tcp->doff < 5)
		return WEIR_pass_malformed;
	p->key.sport = tcp->source;
	p->key.dport = tcp->dest;
	p->seq = bpf_ntohl(tcp->seq);
	p->ack = bpf_ntohl(tcp->ack_seq);
	p->tcp = ((__u8 *)tcp)[13];
	p->l4_len = tcp->doff * 4;
	return PARSE_OK;
}

static __always_inline enum weir_counter parse_udp(struct cursor *c, struct packet *p)
{
	struct udphdr *udp = cursor_take_hdr(c, struct udphdr);

	if (!udp)
		return WEIR_pass_malformed;
	p->key.sport = udp->source;
	p->key.dport = udp->dest;
	p->l4_len = sizeof(*udp);
	return PARSE_OK;
}

static __always_inline enum weir_counter parse_l4(struct cursor *c, struct packet *p, __u32 off)
{
	/* Everything the rewrite touches must be within reach of cursor_peek(). */
	if (off > CURSOR_REACH - sizeof(struct tcphdr))
		return WEIR_pass_headers;
	p->l4 = off;
	switch (p->key.proto) {
	case NEXT_TCP:
		return parse_tcp(c, p);
	case NEXT_UDP:
		return parse_udp(c, p);
	default:
		return WEIR_pass_protocol;
	}
}

static __always_inline enum weir_counter parse_ipv4(struct cursor *c, struct packet *p)
{
	struct iphdr *ip = cursor_take_hdr(c, struct iphdr);
	__u32 header, options;

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return WEIR_pass_malformed;
	header = ip->ihl * 4;
	p->v4 = true;
	p->ttl = ip->ttl;
	p->l3_len = bpf_ntohs(ip->tot_len);
	/* Zero is the kernel's mark of a super-packet beyond 64 KiB (BIG TCP). */
	if (p->l3_len && p->l3_len < header)
		return WEIR_pass_malformed;
	p->key.proto = ip->protocol;
	p->key.saddr = addr_from_v4(ip->saddr);
	p->key.daddr = addr_from_v4(ip->daddr);
	p->fragment = bpf_ntohs(ip->frag_off) & (FRAGMENT_MORE | FRAGMENT_OFFSET);
	p->id = ip->id;
	options = header - sizeof(*ip);
	barrier_var(options); /* or clang 22 lets the verifier see it below zero */
	if (!cursor_take(c, options & 0x3f))
		return WEIR_pass_malformed;
	if (fragment_later(p))
		return WEIR_pass_fragment;
	return parse_l4(c, p, p->l3 + header);
}

/*
 * Of eight bytes at ext. One that says it is all of the datagram (RFC 6946) is
 * no fragment. Without branches, which the verifier would follow to the end of
 * the walk each.
 */
static __always_inline void parse_fragment6(const __u8 *ext, struct packet *p)
{
	__u32 word = bpf_ntohs(*(const __be16 *)(ext + 2));

	p->fragment = word >> 3 | (word & 1) << 13;
	p->id = *(const __u32 *)(ext + 4);
}

/*
 * Steps over one extension header. Returns its length, 0 for a header that is
 * not one, and sets *bad where the walk must end.
 */
static __always_inline __u32 parse_extension(struct cursor *c, struct packet *p, __u8 *next,
					     enum weir_counter *bad)
{
	__u8 *ext, kind = *next;
	__u32 len;

	switch (kind) {
	case NEXT_FRAGMENT:
	case NEXT_HOP_BY_HOP:
	case NEXT_ROUTING:
	case NEXT_DESTINATION:
	case NEXT_AUTHENTICATION:
		break;
	default:
		return 0;
	}
	ext = cursor_take(c, 8); /* none is shorter */
	if (!ext) {
		*bad = WEIR_pass_malformed;
		return 0;
	}
	/* Segments left: the address in the IP header is not where the packet ends. */
	if (kind == NEXT_ROUTING && ext[3]) {
		*bad = WEIR_pass_headers;
		return 0;
	}
	*next = ext[0];
	if (kind == NEXT_FRAGMENT) {
		parse_fragment6(ext, p);
		if (fragment_later(p)) {
			*bad = WEIR_pass_fragment;
			p->key.proto = ext[0]; /* or an extension header of the first */
		}
		return 8;
	}
	len = kind == NEXT_AUTHENTICATION ? (ext[1] + 2) * 4 : (ext[1] + 1) * 8;
	barrier_var(len);
	if (len < 8 || !cursor_take(c, (len - 8) & 0xfff)) {
		*bad = WEIR_pass_malformed;
		return 0;
	}
	return len;
}

static __always_inline enum weir_counter parse_ipv6(struct cursor *c, struct packet *p)
{
	struct ipv6hdr *ip = cursor_take_hdr(c, struct ipv6hdr);
	enum weir_counter bad = PARSE_OK;
	__u32 off = p->l3 + sizeof(*ip);
	__u8 next;

	if (!ip || ip->version != 6)
		return WEIR_pass_malformed;
	p->v4 = false;
	p->ttl = ip->hop_limit;
	p->l3_len = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	p->key.saddr = addr_from_v6(&ip->saddr);
	p->key.daddr = addr_from_v6(&ip->daddr);
	next = ip->nexthdr;
	for (int i = 0; i <= IPV6_EXTENSIONS; i++) {
		__u32 len = parse_extension(c, p, &next, &bad);

		if (bad != PARSE_OK)
			return bad;
		if (!len)
			break;
		off += len;
		if (i == IPV6_EXTENSIONS || off > CURSOR_REACH)
			return WEIR_pass_headers;
	}
	p->key.proto = next;
	return parse_l4(c, p, off);
}

/*
 * What the parse of a frame leaves as another protocol: few have it, and all
 * would pay for its look. The headers must be in reach.
 */
static __always_inline enum weir_counter parse_sctp(struct cursor frame, struct packet *p)
{
	struct sctp_header *sctp = cursor_peek(frame, p->l4, sizeof(*sctp));
	__s64 length = (__s64)p->l3_len - (p->l4 - p->l3); /* the frame may be padded */
	__u8 *chunk;

	if (!sctp || length < (__s64)sizeof(*sctp))
		return WEIR_pass_malformed;
	p->key.sport = sctp->source;
	p->key.dport = sctp->dest;
	p->l4_len = sizeof(*sctp);
	chunk = cursor_peek(frame, p->l4 + sizeof(*sctp), SCTP_INIT_TAG);
	if (!chunk || length < (__s64)sizeof(*sctp) + SCTP_INIT_TAG)
		return PARSE_OK;
	p->l4_len += SCTP_INIT_TAG;
	if (*chunk == SCTP_INIT)
		p->tcp = TCP_SYN;
	return PARSE_OK;
}

/* One tag at most; *h_proto becomes what follows it. */
static __always_inline enum weir_counter parse_vlan(struct cursor *c, struct packet *p,
						    __be16 *h_proto)
{
	__be16 *tag;

	if (*h_proto != bpf_htons(ETH_P_8021Q) && *h_proto != bpf_htons(ETH_P_8021AD))
		return PARSE_OK;
	tag = cursor_take(c, 2 * sizeof(*tag));
	if (!tag)
		return WEIR_pass_malformed;
	p->tagged = true;
	*h_proto = tag[1];
	if (*h_proto == bpf_htons(ETH_P_8021Q) || *h_proto == bpf_htons(ETH_P_8021AD))
		return WEIR_pass_vlan;
	return PARSE_OK;
}

/* h_proto: of a device without Ethernet header; 0 where the frame has one. */
static __always_inline enum weir_counter parse_frame(struct cursor *c, struct packet *p,
						     __be16 h_proto)
{
	void *frame = c->pos;

	__builtin_memset(p, 0, sizeof(*p));
	if (!h_proto) {
		struct ethhdr *eth = cursor_take_hdr(c, struct ethhdr);
		enum weir_counter bad;

		if (!eth)
			return WEIR_pass_malformed;
		h_proto = eth->h_proto;
		bad = parse_vlan(c, p, &h_proto);
		if (bad != PARSE_OK)
			return bad;
	}
	p->l3 = c->pos - frame;
	switch (h_proto) {
	case bpf_htons(ETH_P_IP):
		return parse_ipv4(c, p);
	case bpf_htons(ETH_P_IPV6):
		return parse_ipv6(c, p);
	default:
		return WEIR_pass_not_ip;
	}
}

#endif
