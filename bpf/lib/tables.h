/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading the small tables: configuration, state, addresses, devices. */
#ifndef WEIR_BPF_TABLES_H
#define WEIR_BPF_TABLES_H

#include "maps.h"

static __always_inline const struct weir_config *config(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_config, &zero);
}

static __always_inline struct weir_state *state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_state, &zero);
}

/* As far as a record has room for it. */
static __always_inline __u32 epoch_now(const struct weir_config *cfg)
{
	return READ_ONCE(cfg->epoch) & WEIR_EPOCH_MASK;
}

/* The tick (low half) of a jiffy (high half), as last read from the clock by anybody. */
static __u64 tick_of_jiffy;

/*
 * By the coarse clock, which costs 14 ns and is read once a jiffy: the count of
 * those is a load. Jiffies alone would not do, since user space has no such count.
 */
static __always_inline __u32 now_ticks(void)
{
	__u64 known = READ_ONCE(tick_of_jiffy);
	__u32 jiffy = bpf_jiffies64();

	if (known >> 32 == jiffy)
		return known;
	known = bpf_ktime_get_coarse_ns() >> WEIR_TICK_SHIFT;
	WRITE_ONCE(tick_of_jiffy, (__u64)jiffy << 32 | (__u32)known);
	return known;
}

/* At least the bits that address_bits() would give, at a tenth of its price. */
static __always_inline __u32 address_filter(const struct weir_addr *addr)
{
	__u32 slot = weir_filter_slot(addr), word = slot / 8;
	const __u64 *slots = bpf_map_lookup_elem(&weir_filter, &word);

	return slots ? READ_ONCE(*slots) >> slot % 8 * 8 & 0xff : 0xff;
}

/* enum weir_address_bit of an address; 0 for a stranger's. */
static __always_inline __u32 address_bits(const struct weir_addr *addr)
{
	const struct weir_address *known;

	if (!address_filter(addr))
		return 0;
	known = bpf_map_lookup_elem(&weir_address, addr);
	return known ? known->bits : 0;
}

/* Whether a flow or a node port may be at this port of the node's own addresses. */
static __always_inline bool port_known(__be16 port)
{
	__u32 number = bpf_ntohs(port), word = number / 64;
	const __u64 *ports = bpf_map_lookup_elem(&weir_port, &word);

	return !ports || READ_ONCE(*ports) >> number % 64 & 1;
}

/* What this node calls itself on a device, in one family. False if it has no name there. */
static __always_inline bool device_source(__u32 ifindex, bool v4, struct weir_addr *source)
{
	const struct weir_device *dev = bpf_map_lookup_elem(&weir_device, &ifindex);

	if (!dev)
		return false;
	*source = v4 ? dev->source4 : dev->source6;
	return source->word[3] || source->word[0];
}

/* ifindex of the bridge that a device is a port of, or 0. */
static __always_inline __u32 device_bridge(__u32 ifindex)
{
	const struct weir_device *dev = bpf_map_lookup_elem(&weir_device, &ifindex);

	return dev ? dev->bridge : 0;
}

/* The entry that was noted with this generation, or NULL if it is another's by now. */
static __always_inline struct weir_backend *backend_of(__u32 index, __u32 generation)
{
	struct weir_backend *backend;

	if (!index)
		return NULL;
	backend = bpf_map_lookup_elem(&weir_backend, &index);
	return backend && READ_ONCE(backend->generation) == generation ? backend : NULL;
}

#endif
