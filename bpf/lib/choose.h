/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From destination to backend: service, version, list, slot. Reads maps only. */
#ifndef WEIR_BPF_CHOOSE_H
#define WEIR_BPF_CHOOSE_H

#include "affinity.h"
#include "count.h"
#include "hash.h"
#include "parse.h"
#include "tables.h"

/*
 * The frontend that a packet is for. An exact address wins over a node port, as
 * with kube-proxy; a node port is kept under the unspecified address.
 */
static __always_inline enum weir_counter choose_service(const struct packet *p, __u32 bits,
							struct weir_service *to)
{
	struct weir_service_key key = {
		.addr = p->key.daddr,
		.port = p->key.dport,
		.proto = p->key.proto,
	};
	const struct weir_service *service = NULL;

	if (bits & WEIR_ADDRESS_SERVICE)
		service = bpf_map_lookup_elem(&weir_service, &key);
	if (!service && bits & WEIR_ADDRESS_NODE_PORT) {
		if (p->v4)
			key.addr.word[3] = 0;
		else
			key.addr = (struct weir_addr){};
		service = bpf_map_lookup_elem(&weir_service, &key);
	}
	if (!service) /* an address of the node has ports that are none of ours */
		return bits & WEIR_ADDRESS_SERVICE && !(bits & WEIR_ADDRESS_NODE)
			       ? WEIR_answer_unreachable
			       : WEIR_pass_no_service;
	*to = *service;
	return CHOSEN;
}

/* externalTrafficPolicy binds clients outside the node only: pods and the node get all backends. */
static __always_inline bool choose_local(const struct weir_version *version, __u8 frontend,
					 enum edge edge)
{
	if (frontend == WEIR_FRONTEND_CLUSTER_IP)
		return version->flags & WEIR_VERSION_INTERNAL_LOCAL;
	return edge == EDGE_UPLINK && version->flags & WEIR_VERSION_EXTERNAL_LOCAL;
}

/*
 * To an address for cluster IPs, as far as they are known; asked of addresses
 * that no service has.
 */
static __always_inline bool choose_unallocated(const struct packet *p,
					       const struct weir_config *cfg)
{
	const struct weir_addr *base, *mask, *addr = &p->key.daddr;
	__u32 other = 0, family = !p->v4;

	barrier_var(family); /* or the verifier takes the bool for any byte */
	base = &cfg->service_blocks[family & 1].base;
	mask = &cfg->service_blocks[family & 1].mask;
	if (!(base->word[0] | base->word[2]))
		return false;
	for (int i = 0; i < 4; i++)
		other |= (addr->word[i] ^ base->word[i]) & mask->word[i];
	return !other;
}

/*
 * loadBalancerSourceRanges: they bind load-balancer addresses alone, and whoever asks for one. Of
 * a process of the node it is not known yet which address it will come from.
 */
static __always_inline bool choose_admits(const struct weir_version *version, __u8 frontend,
					  const struct weir_addr *client, enum edge edge)
{
	struct weir_range_key key = {
		.prefix = 32 + 128,
		.set = version->ranges,
		.addr = *client,
	};

	if (frontend != WEIR_FRONTEND_LOAD_BALANCER || !key.set)
		return true;
	if (edge == EDGE_HOST)
		return version->flags & WEIR_VERSION_RANGES_NODE;
	return bpf_map_lookup_elem(&weir_source_range, &key);
}

/*
 * The list in force. The version is read through one word, once: whatever else
 * is published meanwhile, this packet sees all of it or nothing.
 */
static __always_inline enum weir_counter choose_list(const struct weir_service *service,
						     const struct weir_addr *client, enum edge edge,
						     struct choice *to)
{
	__u32 id = service->id, index;
	const __u32 *current = bpf_map_lookup_elem(&weir_current, &id);
	const struct weir_version *version;

	NOTE_SERVICE(service);
	if (!current)
		return WEIR_drop_table;
	index = READ_ONCE(*current);
	if (!index) /* withdrawn, and the frontend is about to be */
		return WEIR_answer_unreachable;
	version = bpf_map_lookup_elem(&weir_version, &index);
	if (!version)
		return WEIR_drop_table;
	if (!choose_admits(version, service->frontend, client, edge))
		return WEIR_drop_source_range;
	to->service = id;
	to->affinity = version->affinity;
	to->list =
		choose_local(version, service->frontend, edge) ? version->local : version->cluster;
	NOTE_LIST(to->list, choose_local(version, service->frontend, edge));
	if (!to->list.count)
		return version->flags & WEIR_VERSION_HAS_ENDPOINT ? WEIR_drop_no_local_endpoint
								  : WEIR_answer_unreachable;
	return CHOSEN;
}

static __always_inline __u32 choose_slot(const struct weir_list *list, __u32 bits)
{
	__u32 index = list->first + hash_scale(bits, list->count);
	const struct weir_slot *slot = bpf_map_lookup_elem(&weir_slot, &index);

	return slot ? READ_ONCE(slot->backend) : 0;
}

/* Another than `avoid`, if the list has one. */
static __always_inline __u32 choose_other(const struct weir_list *list, __u32 bits, __u32 avoid)
{
	__u32 at = hash_scale(bits, list->count), index;
	const struct weir_slot *slot;

	for (int i = 0; i < 2; i++) {
		index = list->first + at;
		slot = bpf_map_lookup_elem(&weir_slot, &index);
		if (!slot || READ_ONCE(slot->backend) != avoid)
			break;
		at = at + 1 < list->count ? at + 1 : 0;
	}
	return slot ? READ_ONCE(slot->backend) : 0;
}

/*
 * bits: of the destination. hash: uniform, of the flow; the same flow finds the same backend as
 * long as the list stands. avoid: a backend to avoid, or 0.
 */
static __always_inline enum weir_counter choose(const struct packet *p, __u32 bits, enum edge edge,
						__u32 hash, __u32 avoid, struct choice *to)
{
	struct weir_service service;
	enum weir_counter why;

	why = choose_service(p, bits, &service);
	if (why != CHOSEN)
		return why;
	why = choose_list(&service, &p->key.saddr, edge, to);
	if (why != CHOSEN)
		return why;
	if (to->affinity)
		to->backend = affinity_find(to, &p->key.saddr);
	NOTE_KEPT(to->backend == avoid ? 0 : to->backend);
	if (!to->backend || to->backend == avoid)
		to->backend = avoid ? choose_other(&to->list, bpf_get_prandom_u32(), avoid)
				    : choose_slot(&to->list, hash);
	to->again = to->backend == avoid;
	return to->backend ? CHOSEN : WEIR_drop_table;
}

#endif
