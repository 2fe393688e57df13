/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map of the datapath, pinned by name and shared by all objects. Sizes
 * here are only what a test gets; the agent sets its options before it loads.
 * Names are at most 15 characters: the kernel cuts the rest.
 */
#ifndef WEIR_BPF_MAPS_H
#define WEIR_BPF_MAPS_H

#define WEIR_MAP(name, map_type, key_type, value_type, entries, flags) \
	struct {                                                       \
		__uint(type, BPF_MAP_TYPE_##map_type);                 \
		__type(key, key_type);                                 \
		__type(value, value_type);                             \
		__uint(max_entries, entries);                          \
		__uint(map_flags, flags);                              \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                   \
	} name SEC(".maps")

/* Written by the agent. The arrays are mapped into its memory. */
WEIR_MAP(weir_address, HASH, struct weir_addr, struct weir_address, 1024, BPF_F_NO_PREALLOC);
WEIR_MAP(weir_filter, ARRAY, __u32, __u64, WEIR_FILTER_WORDS, BPF_F_MMAPABLE);
WEIR_MAP(weir_port, ARRAY, __u32, __u64, WEIR_PORT_WORDS, BPF_F_MMAPABLE);
WEIR_MAP(weir_service, HASH, struct weir_service_key, struct weir_service, 1024, BPF_F_NO_PREALLOC);
WEIR_MAP(weir_current, ARRAY, __u32, __u32, 1024, BPF_F_MMAPABLE);
WEIR_MAP(weir_version, ARRAY, __u32, struct weir_version, 2048, BPF_F_MMAPABLE);
WEIR_MAP(weir_slot, ARRAY, __u32, struct weir_slot, 4096, BPF_F_MMAPABLE);
WEIR_MAP(weir_backend, ARRAY, __u32, struct weir_backend, 1024, BPF_F_MMAPABLE);
WEIR_MAP(weir_device, HASH, __u32, struct weir_device, 1024, BPF_F_NO_PREALLOC);
WEIR_MAP(weir_config, ARRAY, __u32, struct weir_config, 1, BPF_F_MMAPABLE);
WEIR_MAP(weir_source_range, LPM_TRIE, struct weir_range_key, __u32, 1024, BPF_F_NO_PREALLOC);
WEIR_MAP(weir_name, HASH, __u32, struct weir_name, 1024, BPF_F_NO_PREALLOC);
WEIR_MAP(weir_source, ARRAY, __u32, struct weir_source, WEIR_SOURCE_MAX, BPF_F_MMAPABLE);

/* Written by the kernel half. */
WEIR_MAP(weir_flow, HASH, struct weir_flow_key, struct weir_flow, 4096, 0);
WEIR_MAP(weir_half_tcp, LRU_HASH, struct weir_flow_key, struct weir_flow, 4096, 0);
WEIR_MAP(weir_half_udp, LRU_HASH, struct weir_flow_key, struct weir_flow, 4096, 0);
WEIR_MAP(weir_affinity, LRU_HASH, struct weir_affinity_key, struct weir_affinity, 1024, 0);
WEIR_MAP(weir_fragment, LRU_HASH, struct weir_fragment_key, struct weir_fragment, 8192, 0);
WEIR_MAP(weir_state, ARRAY, __u32, struct weir_state, 1, BPF_F_MMAPABLE);
WEIR_MAP(weir_stat, ARRAY, __u32, struct weir_stat, 1024, BPF_F_MMAPABLE);
WEIR_MAP(weir_counter, PERCPU_ARRAY, __u32, __u64, WEIR_COUNTER_MAX, 0);

#undef WEIR_MAP

/* Two per flow in weir_flow, one here: the queue is what bounds the number of flows. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__type(value, struct weir_expiry);
	__uint(max_entries, 2048);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} weir_expiry SEC(".maps");

#endif
