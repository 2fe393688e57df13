/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the address that a process of the node names to the backend that it gets. */
#ifndef WEIR_BPF_HOST_H
#define WEIR_BPF_HOST_H

#include "choose.h"
#include "socket.h"

#define HOST_CHOSEN WEIR_COUNTER_MAX

/*
 * The counters of the host edge are its own, and added to atomically: in a
 * process's context the plain addition of count() could be interrupted halfway
 * by a program of another hook, or of another process, on the same CPU.
 */
static __always_inline void host_count(enum weir_counter what)
{
	__u32 key = what;
	__u64 *n = bpf_map_lookup_elem(&weir_counter, &key);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/* Which service this socket's process named, and the backend that it gets. */
struct host_pick {
	struct weir_end backend;
	__u32 index;
	__u32 generation;
	__u32 service;
};

static __always_inline bool addr_is_v4(const struct weir_addr *addr)
{
	return !(addr->word[0] | addr->word[1]) && addr->word[2] == bpf_htonl(0xffff);
}

/* 127.0.0.1 or ::1 if the address leads there, as the unspecified one does too; else false. */
static __always_inline bool host_loopback(const struct weir_addr *addr, struct weir_addr *to)
{
	__u32 last = bpf_ntohl(addr->word[3]);

	if (addr_is_v4(addr)) {
		*to = addr_from_v4(bpf_htonl(0x7f000001));
		return !last || last >> 24 == 127;
	}
	*to = (struct weir_addr){ .word = { 0, 0, 0, bpf_htonl(1) } };
	return !(addr->word[0] | addr->word[1] | addr->word[2]) && last <= 1;
}

/*
 * enum weir_address_bit. On localhost, node ports are as on any address that serves them. No other
 * edge looks at that bit: a packet from outside is never one to the node's own loopback.
 */
static __always_inline __u32 host_bits(struct weir_addr *addr)
{
	__u32 bits = address_bits(addr);
	struct weir_addr loopback;

	if (!host_loopback(addr, &loopback))
		return bits;
	if (!addr->word[3]) /* what the kernel makes of it, and tells the process */
		*addr = loopback;
	return address_bits(&loopback) & WEIR_ADDRESS_LOCALHOST ? bits | WEIR_ADDRESS_NODE_PORT
								: bits;
}

/* What choose() says, in the counters of this edge. */
static __always_inline enum weir_counter host_why(enum weir_counter why)
{
	switch (why) {
	case WEIR_pass_no_service:
		return WEIR_pass_host_no_service;
	case WEIR_answer_unreachable:
		return WEIR_answer_host_refused;
	case WEIR_drop_no_local_endpoint:
		return WEIR_drop_host_no_local;
	case WEIR_drop_source_range:
		return WEIR_drop_host_range;
	default:
		return WEIR_drop_host_table;
	}
}

/* The entry, as it was chosen or noted; NULL if it is another by now. */
static __always_inline struct weir_backend *host_backend(__u32 index, __u32 generation,
							 __u32 service)
{
	struct weir_backend *backend = backend_of(index, generation);

	return backend && backend->service == service ? backend : NULL;
}

static __always_inline void host_take(struct host_pick *pick, const struct weir_backend *backend)
{
	pick->backend = (struct weir_end){
		.addr = backend->addr,
		.port = backend->port,
		.proto = backend->proto,
	};
}

/* The backend that this socket has for the service already, if that still takes its flows. */
static __always_inline bool host_keeps(const struct weir_socket_key *key, const struct packet *p,
				       __u32 bits, struct host_pick *pick)
{
	const struct weir_backend *backend;
	struct weir_service service;
	struct weir_sticky sticky;
	__u8 state;

	if (!sticky_find(key, &sticky))
		return false;
	if (choose_service(p, bits, &service) != CHOSEN || service.id != sticky.service)
		return false;
	backend = host_backend(sticky.backend, sticky.generation, sticky.service);
	if (!backend)
		return false;
	state = READ_ONCE(backend->state);
	if (state != WEIR_BACKEND_ACTIVE && state != WEIR_BACKEND_TERMINATING)
		return false;
	host_take(pick, backend);
	pick->index = sticky.backend;
	pick->generation = sticky.generation;
	pick->service = sticky.service;
	return true;
}

static __always_inline enum weir_counter host_choose(const struct packet *p, __u32 bits,
						     struct host_pick *pick)
{
	struct choice choice = {};
	enum weir_counter why = choose(p, bits, EDGE_HOST, bpf_get_prandom_u32(), 0, &choice);
	struct weir_backend *backend;
	struct weir_stat *stat;
	__u32 key;

	if (why != CHOSEN)
		return host_why(why);
	key = choice.backend;
	backend = bpf_map_lookup_elem(&weir_backend, &key);
	if (!backend || backend->service != choice.service)
		return WEIR_drop_host_table;
	host_take(pick, backend);
	pick->index = choice.backend;
	pick->generation = backend->generation;
	pick->service = choice.service;
	if (choice.affinity)
		affinity_note(&choice, &p->key.saddr, backend->generation);
	__sync_fetch_and_add(&backend->connections, 1);
	key = choice.service;
	stat = bpf_map_lookup_elem(&weir_stat, &key);
	if (stat)
		__sync_fetch_and_add(&stat->connections, 1);
	return HOST_CHOSEN;
}

/*
 * key->end: what the process named. fresh: a new connection, so choose anew.
 * The client's address is the unspecified one: the node's processes are one
 * client, since which address they will come from is not known yet.
 */
static __always_inline enum weir_counter host_pick(struct weir_socket_key *key, bool fresh,
						   struct host_pick *pick)
{
	__u32 bits = host_bits(&key->end.addr);
	const struct weir_config *cfg = config();
	struct packet p = {
		.key = { .daddr = key->end.addr, .dport = key->end.port, .proto = key->end.proto },
		.v4 = addr_is_v4(&key->end.addr),
	};

	if (!(bits & (WEIR_ADDRESS_SERVICE | WEIR_ADDRESS_NODE | WEIR_ADDRESS_NODE_PORT)))
		return cfg && choose_unallocated(&p, cfg) ? WEIR_drop_host_no_cluster_ip
							  : WEIR_pass_host_stranger;
	if (p.v4)
		p.key.saddr = addr_from_v4(0);
	if (!fresh && host_keeps(key, &p, bits, pick))
		return HOST_CHOSEN;
	return host_choose(&p, bits, pick);
}

#endif
