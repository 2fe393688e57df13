/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The collector: a timer that looks at the established flows, a few at a time,
 * and takes away those whose lifetime is over. Armed once; it needs no agent.
 */
#include "lib/weir_bpf.h"

#include "lib/ctx_skb.h"
#include "lib/flow.h"

#define EXPIRY_PERIOD_NS 10000000ULL /* 10 ms */
#define EXPIRY_BATCH	 256	     /* keys a period: below a quarter of a millisecond */
#define EXPIRY_ROTATION	 100	     /* periods in which few flows are looked at once each */
#define CLOCK_MONOTONIC	 1

struct timer_slot {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct timer_slot);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} weir_timer SEC(".maps");

struct batch {
	const struct weir_config *config;
	struct weir_state *state;
	struct scratch *scratch;
	__u32 now;
	__u32 checked;
};

static __always_inline __u32 lifetime(const struct weir_config *cfg, __u8 proto, __u8 forward,
				      __u8 reply)
{
	if (proto != NEXT_TCP)
		return cfg->life_udp;
	if ((forward | reply) & WEIR_SEEN_RST || forward & reply & WEIR_SEEN_FIN)
		return cfg->life_tcp_closing;
	return (forward | reply) & WEIR_SEEN_FIN ? cfg->life_tcp_half_closed : cfg->life_tcp;
}

/* The later packet of the two directions. */
static __always_inline __u32 idle(__u32 now, const struct weir_flow *f, const struct weir_flow *r)
{
	__s32 forward = now - f->touched, reply = now - r->touched;
	__s32 least = forward < reply ? forward : reply;

	return least < 0 ? 0 : least; /* touched on another CPU just now */
}

/* One element of the queue: taken away with its flow, or put back. */
static long check_one(__u32 index, struct batch *b)
{
	struct scratch *s = b->scratch;
	struct weir_flow *f = &s->one, *r = &s->two, *forward, *reply;
	__u64 seed = b->config->seed;

	if (bpf_map_pop_elem(&weir_expiry, &s->expiry))
		return 1; /* empty */
	b->checked++;
	forward = bpf_map_lookup_elem(&weir_flow, &s->expiry.key);
	/* Deleted otherwise meanwhile, or that tuple's next flow, which has an element of its own.
	 */
	if (!flow_copy_whole(f, forward, hash_flow(&s->expiry.key, seed)) ||
	    f->token != s->expiry.token) {
		__sync_fetch_and_add(&b->state->queued, -1);
		return 0;
	}
	flow_peer_key_of(&s->peer, &s->expiry.key, f);
	reply = bpf_map_lookup_elem(&weir_flow, &s->peer);
	if (!flow_copy_whole(r, reply, hash_flow(&s->peer, seed))) {
		reply = NULL;
		r = f;
	}
	if (idle(b->now, f, r) <= lifetime(b->config, s->expiry.key.proto, f->seen, r->seen)) {
		bpf_map_push_elem(&weir_expiry, &s->expiry, 0); /* there is room: flow_push() */
		return 0;
	}
	flow_settle(forward, f->backend, f->generation, f->service);
	if (reply)
		flow_settle(reply, f->backend, f->generation, f->service);
	flow_delete(&s->expiry.key, &s->peer, f->backend, f->generation, f->flags);
	__sync_fetch_and_add(&b->state->queued, -1);
	__sync_fetch_and_add(&b->state->expiry_deleted, 1);
	count(WEIR_flow_expired);
	return 0;
}

static __always_inline void check_batch(const struct weir_config *cfg, struct weir_state *st,
					struct scratch *s)
{
	struct batch batch = { .config = cfg, .state = st, .scratch = s, .now = now_ticks() };
	/* All places, since those of flows that are gone already keep new ones out. */
	__u64 n = READ_ONCE(st->queued) / EXPIRY_ROTATION + 1;

	bpf_loop(n < EXPIRY_BATCH ? n : EXPIRY_BATCH, check_one, &batch, 0);
	st->expiry_checked += batch.checked;
}

static int on_timer(void *map, __u32 *key, struct timer_slot *slot)
{
	__u64 began = bpf_ktime_get_ns(), took;
	const struct weir_config *cfg = config();
	struct weir_state *st = state();
	struct scratch *s = scratch();

	if (cfg && st && s) {
		check_batch(cfg, st, s);
		took = bpf_ktime_get_ns() - began;
		if (took > st->expiry_longest)
			st->expiry_longest = took;
		st->expiry_last = began;
		st->expiry_runs++;
	}
	bpf_timer_start(&slot->timer, EXPIRY_PERIOD_NS, 0);
	return 0;
}

/* Run once by the agent. Armed again after an upgrade, the timer goes on with the new program. */
SEC("tc")
int weir_expiry_arm(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct timer_slot *slot = bpf_map_lookup_elem(&weir_timer, &zero);

	if (!slot)
		return 1;
	bpf_timer_init(&slot->timer, &weir_timer, CLOCK_MONOTONIC); /* -EBUSY: it is already */
	if (bpf_timer_set_callback(&slot->timer, on_timer))
		return 2;
	return bpf_timer_start(&slot->timer, EXPIRY_PERIOD_NS, 0) ? 3 : 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
