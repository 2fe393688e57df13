/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The contract between the kernel half (bpf/) and the C++ half (userspace/):
 * every struct that crosses a map, and nothing else.
 *
 * Rules, enforced at the bottom of this file:
 *  - addresses and ports are in network order, everything else in host order;
 *  - no implicit padding: a map key is hashed byte by byte, and bytes that
 *    nobody wrote make two equal keys differ;
 *  - any change of size, order or meaning raises WEIR_ABI_VERSION, which is
 *    also the pin directory (/sys/fs/bpf/weir/v1), so that two versions can
 *    never share a map.
 */
#ifndef WEIR_ABI_H
#define WEIR_ABI_H

#include <linux/types.h>

#define WEIR_ABI_VERSION 1

/*
 * Time in the datapath is counted in ticks of 2^30 ns (1.07 s) of the coarse
 * monotonic clock: a shift, where seconds would cost a division a packet.
 */
#define WEIR_TICK_SHIFT 30

/* IPv4 is kept as ::ffff:a.b.c.d, so one map and one code path serve both. */
struct weir_addr {
	__be32 word[4];
};

/* ---- weir_address: struct weir_addr -> struct weir_address ------------------------------- */

/* What an address is to this node; one address may be several of these. */
enum weir_address_bit {
	WEIR_ADDRESS_SERVICE = 1 << 0,	 /* cluster IP, load-balancer address or external IP */
	WEIR_ADDRESS_NODE = 1 << 1,	 /* of this node: replies to source-NATed flows come here */
	WEIR_ADDRESS_NODE_PORT = 1 << 2, /* of this node, and node ports are served on it */
	WEIR_ADDRESS_BACKEND = 1 << 3,	 /* some backend entry, in whatever state, has it */
	WEIR_ADDRESS_LOCAL = 1 << 4,	 /* with BACKEND: that backend is on this node */
	WEIR_ADDRESS_PAST = 1 << 5,	 /* was a service's; flows to it may still be there */
	WEIR_ADDRESS_LOCALHOST = 1 << 6, /* 127.0.0.1 (for its whole block), ::1: host edge alone */
};

struct weir_address {
	__u32 bits; /* enum weir_address_bit */
};

/* ---- weir_service: struct weir_service_key -> struct weir_service ------------------------ */

/*
 * A frontend. A node port is stored once, under the unspecified address of its
 * family (::ffff:0.0.0.0 or ::), and looked up after the exact address missed.
 */
struct weir_service_key {
	struct weir_addr addr;
	__be16 port;
	__u8 proto; /* IPPROTO_* */
	__u8 zero;
};

enum weir_frontend {
	WEIR_FRONTEND_CLUSTER_IP = 1, /* the only one that internalTrafficPolicy governs */
	WEIR_FRONTEND_NODE_PORT,
	WEIR_FRONTEND_LOAD_BALANCER,
	WEIR_FRONTEND_EXTERNAL_IP,
};

struct weir_service {
	__u32 id;      /* index of weir_current and weir_stat; 0 is no service */
	__u8 frontend; /* enum weir_frontend */
	__u8 zero[3];
};

/* ---- weir_current: service id -> index into weir_version --------------------------------- */

/* 0 is no version: the service is not there. One aligned word, so a store publishes. */

/* ---- weir_version: immutable while weir_current names it --------------------------------- */

enum weir_version_flag {
	WEIR_VERSION_INTERNAL_LOCAL = 1 << 0, /* internalTrafficPolicy: Local */
	WEIR_VERSION_EXTERNAL_LOCAL = 1 << 1, /* externalTrafficPolicy: Local */
	WEIR_VERSION_HAS_ENDPOINT = 1 << 2,   /* some usable endpoint exists in the cluster */
	WEIR_VERSION_RANGES_NODE = 1 << 3,    /* source ranges admit an address of this node */
};

/* Slots [first, first + count) of weir_slot, in ascending order of backend index. */
struct weir_list {
	__u32 first;
	__u32 count;
};

struct weir_version {
	struct weir_list cluster;
	struct weir_list local;
	__u32 service;	  /* the id whose version this is */
	__u32 generation; /* of the service; grows by one with each publication */
	__u32 flags;	  /* enum weir_version_flag */
	__u32 affinity;	  /* s that a client keeps its backend after its last connection; 0: no */
	__u32 ranges;	  /* set of weir_source_range that binds load-balancer addresses; 0: none */
	__u32 zero[7];	  /* the algorithm will live here */
};

/* ---- weir_affinity: struct weir_affinity_key -> struct weir_affinity ---------------------- */

/* One entry for all frontends of a service port (sessionAffinity: ClientIP). */
struct weir_affinity_key {
	struct weir_addr
		client; /* as it came, before source NAT; unspecified: a process of the node */
	__u32 service;	/* id */
};

struct weir_affinity {
	__u32 backend;	  /* index */
	__u32 generation; /* of the backend entry */
	__u32 used;	  /* ticks: the client's latest connection */
	__u32 zero;
};

/* ---- weir_source_range: struct weir_range_key -> 1 ---------------------------------------- */

/*
 * loadBalancerSourceRanges. A set never changes while some version names it;
 * other ranges are another set.
 */
struct weir_range_key {
	__u32 prefix; /* bits that count: 32 of the set, then those of the address */
	__u32 set;
	struct weir_addr addr;
};

/* ---- weir_slot: index -> backend index --------------------------------------------------- */

struct weir_slot {
	__u32 backend; /* 0 is no backend */
	__u32 zero;
};

/* ---- weir_backend: index -> one endpoint of one service port ----------------------------- */

enum weir_backend_state {
	WEIR_BACKEND_FREE,
	WEIR_BACKEND_ACTIVE,	  /* in a list */
	WEIR_BACKEND_TERMINATING, /* keeps its flows, gets no new ones */
	WEIR_BACKEND_GONE,	  /* no longer an endpoint; freed once no flow is left on it */
};

enum weir_backend_flag {
	WEIR_BACKEND_LOCAL = 1 << 0, /* on this node */
	WEIR_BACKEND_RESET = 1 << 1, /* TCP flows get a RST once it is gone */
};

/*
 * Entries belong to one service port each: "is this backend still one of the
 * service's" must be answered by a single load, and readiness may differ
 * between two services that share a pod (publishNotReadyAddresses).
 */
struct weir_backend {
	struct weir_addr addr;
	__be16 port;
	__u8 proto;	  /* IPPROTO_* */
	__u8 state;	  /* enum weir_backend_state; changes while in use */
	__u32 generation; /* grows by one each time the index gets another backend */
	__u32 service;	  /* id */
	__u32 flags;	  /* enum weir_backend_flag */
	/* Written by the kernel half, with atomics. */
	__u64 live;	   /* flows in weir_flow */
	__u64 connections; /* flows ever established */
	__u64 packets;	   /* both directions */
	__u64 bytes;	   /* both directions, from the IP header on */
};

/* ---- weir_flow, weir_half_tcp, weir_half_udp: struct weir_flow_key -> struct weir_flow --- */

/* The 5-tuple as a hook sees it before translation. */
struct weir_flow_key {
	struct weir_addr saddr;
	struct weir_addr daddr;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 zero[3];
};

/* Fixed when the record is made. */
enum weir_flow_flag {
	WEIR_FLOW_REPLY = 1 << 0,   /* backend -> client; otherwise client -> service */
	WEIR_FLOW_SEND = 1 << 1,    /* source-NATed: the hook sends it, the stack never sees it */
	WEIR_FLOW_HAIRPIN = 1 << 2, /* client and backend are one pod: back out of its device */
	WEIR_FLOW_POD = 1 << 3,	    /* client is at the pod edge; otherwise at the uplink edge */
	WEIR_FLOW_DIRECT = 1 << 4,  /* no service: moved off a tuple that a service flow holds */
};

/* Changes with what is seen of the connection, each half for its own direction. */
enum weir_flow_seen {
	WEIR_SEEN_SYN = 1 << 0,
	WEIR_SEEN_SYN_ACK = 1 << 1, /* backend answered the handshake */
	WEIR_SEEN_ACK = 1 << 2,	    /* client acknowledged it with the right number */
	WEIR_SEEN_FIN = 1 << 3,
	WEIR_SEEN_RST = 1 << 4,
	WEIR_SEEN_XDP = 1 << 5, /* chosen by XDP for the packet that tc is about to see */
};

/*
 * The next hop of a flow. It is written in place, and a record may be recycled
 * under who writes: check says whose record it was found for, and a way that
 * does not pass it is one that is not known.
 */
struct weir_way {
	__u32 ifindex; /* with SEND, 0: not known */
	__u16 mtu;     /* with SEND; bytes from the IP header on. 0: neighbour not resolved */
	__u8 dmac[6];  /* all zero: not resolved. Without SEND: to keep a frame bridged */
	__u8 smac[6];
	__u16 zero;
	__u32 check; /* hash of the above and of the record's check */
};

#define WEIR_EPOCH_MASK 0xffffff /* of the epoch, what a record has room for */

/*
 * One direction of a flow: what to write into the packet and where to send it.
 * The peer's key is the mirror image of the rewritten tuple.
 *
 * An element is recycled under its readers, who may copy a part of one flow and
 * a part of the next, in whatever order stores become visible. check tells: it
 * is made of the key and of all from saddr to flags, which never changes.
 */
struct weir_flow {
	__u32 check;	  /* with the 32 bits behind it the word that is swapped in one */
	__u32 epoch : 24; /* of the last look at the backend, see WEIR_EPOCH_MASK */
	__u32 seen : 8;	  /* enum weir_flow_seen */

	struct weir_addr saddr; /* the four to write */
	struct weir_addr daddr;
	__be16 sport;
	__be16 dport;
	__u16 addr_diff; /* one's complement sums of what the addresses and the ports add */
	__u16 port_diff;
	__u32 backend;	    /* index */
	__u32 generation;   /* of the backend entry */
	__u32 service : 24; /* id */
	__u32 flags : 8;    /* enum weir_flow_flag */

	__u32 touched; /* ticks: last packet of this direction */
	struct weir_way way;
	__u64 packets;
	__u64 bytes;
	/* Up to here what every packet needs: with the key three cache lines. */
	__u64 counted_packets; /* of those, what backend and service already have */
	__u64 counted_bytes;
	__u32 created; /* ticks */
	__u32 syn_ack; /* TCP, half open: the number that acknowledges the client's SYN */
	/*
	 * Half open: the number that acknowledges the backend's SYN-ACK, once seen.
	 * Established: what names this establishment in weir_expiry.
	 */
	__u32 token;
	__u32 zero;
};

/* Value of the queue weir_expiry: one element for each established flow, its forward key. */
struct weir_expiry {
	struct weir_flow_key key;
	__u32 token;
};

/* ---- weir_device: ifindex -> struct weir_device ------------------------------------------- */

/* Keyed by ifindex in a hash: on a node where pods come and go, ifindex grows without end. */
struct weir_device {
	struct weir_addr source4; /* what this node calls itself there; all zero: none */
	struct weir_addr source6;
	__u32 bridge; /* ifindex of the bridge that it is a port of, or 0 */
	__u32 flags;  /* enum weir_device_flag */
};

enum weir_device_flag {
	WEIR_DEVICE_ETHERNET = 1 << 0,
};

/* ---- weir_config: one element, written by the agent --------------------------------------- */

struct weir_port_range {
	__u16 first; /* host order */
	__u16 count;
};

/* An address belongs to it if its bits under the mask are those of base. */
struct weir_block {
	struct weir_addr base;
	struct weir_addr mask;
};

struct weir_config {
	__u64 seed;	 /* of every hash; drawn once for the life of the maps */
	__u32 epoch;	 /* grows by one whenever some backend was taken away */
	__u32 max_flows; /* established; weir_flow has two entries a flow */
	struct weir_port_range source_ports[2]; /* for source NAT */
	/* Lifetimes since the last packet, in ticks. */
	__u32 life_tcp;
	__u32 life_tcp_half_closed; /* one FIN seen */
	__u32 life_tcp_closing;	    /* both FINs, or a RST */
	__u32 life_udp;
	__u32 life_half; /* a half-open record older than this holds no port */
	__u32 zero;
	__u64 programs; /* hash of the BPF objects, so that a restart knows whether to keep them */
	__u64 netns;	/* cookie of the namespace whose processes the host edge serves; 0: none */
	/* Where cluster IPs are given out, by family, IPv4 first; a base of all zeros: nowhere. */
	struct weir_block service_blocks[2];
};

/* ---- weir_state: one element, written by the kernel half ---------------------------------- */

struct weir_state {
	__u64 flows;  /* established pairs */
	__u64 queued; /* elements of weir_expiry: one a pair, and those of pairs just replaced */
	__u64 direct_flows;   /* established pairs with WEIR_FLOW_DIRECT */
	__u64 direct_until;   /* ticks: half-open ones may exist until then */
	__u64 expiry_runs;    /* timer callbacks so far */
	__u64 expiry_checked; /* keys looked at by them */
	__u64 expiry_deleted;
	__u64 expiry_longest; /* ns, of one callback */
	__u64 expiry_last;    /* ns of CLOCK_MONOTONIC, start of the latest */
};

/* The filter; fragments; sockets of the node; names, for user space only; counters; explanations.
 */
#include "weir/abi_filter.h"
#include "weir/abi_fragment.h"
#include "weir/abi_socket.h"
#include "weir/abi_name.h"
#include "weir/abi_source.h"
#include "weir/abi_counter.h"
#include "weir/abi_trace.h"

/* ---- sizes that are not options ------------------------------------------------------------ */

#define WEIR_MAX_DEVICES  65536
#define WEIR_MAX_SERVICES 0xffffff /* what a flow has room for */

#ifdef __cplusplus
#define WEIR_ASSERT(cond, why) static_assert(cond, why)
#else
#define WEIR_ASSERT(cond, why) _Static_assert(cond, why)
#endif

#define WEIR_SIZE(type, size) \
	WEIR_ASSERT(sizeof(struct type) == (size), #type " changed: raise WEIR_ABI_VERSION")

WEIR_SIZE(weir_addr, 16);
WEIR_SIZE(weir_address, 4);
WEIR_SIZE(weir_service_key, 20);
WEIR_SIZE(weir_service, 8);
WEIR_SIZE(weir_version, 64);
WEIR_SIZE(weir_affinity_key, 20);
WEIR_SIZE(weir_affinity, 16);
WEIR_SIZE(weir_range_key, 24);
WEIR_SIZE(weir_slot, 8);
WEIR_SIZE(weir_backend, 64);
WEIR_SIZE(weir_flow_key, 40);
WEIR_SIZE(weir_way, 24);
WEIR_SIZE(weir_flow, 136);
WEIR_SIZE(weir_expiry, 44);
WEIR_SIZE(weir_fragment_key, 40);
WEIR_SIZE(weir_fragment, 16);
WEIR_SIZE(weir_device, 40);
WEIR_SIZE(weir_block, 32);
WEIR_SIZE(weir_config, 128);
WEIR_SIZE(weir_state, 72);
WEIR_SIZE(weir_stat, 24);
WEIR_SIZE(weir_end, 20);
WEIR_SIZE(weir_socket_key, 32);
WEIR_SIZE(weir_peer, 52);
WEIR_SIZE(weir_sticky, 36);
WEIR_SIZE(weir_socket, 40);
WEIR_SIZE(weir_name, 208);
WEIR_SIZE(weir_source, 32);
WEIR_SIZE(weir_trace, 80 + WEIR_TRACE_STEPS * 336);

#undef WEIR_SIZE
#undef WEIR_ASSERT
#endif
