/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hit path of weir_xdp cut off after each of its stages, out of the
 * datapath's own functions: what a stage costs is the difference to the one
 * before. The last stage is weir_xdp itself.
 */
#include "lib/weir_bpf.h"

#include "lib/ctx_xdp.h"
#include "lib/send_xdp.h"

enum stage {
  STAGE_PARSE,
  STAGE_FILTER,
  STAGE_HASH,
  STAGE_LOOKUP,
  STAGE_CHECK,
  STAGE_DECIDE,
  STAGE_SEND
};

/* What is computed must be there in the end, or the compiler leaves it out. */
#define STAGE_KEEP(value) asm volatile("" : : "r"(value) : "memory")

static __always_inline int stages(struct xdp_md* md, enum stage last) {
  const struct weir_config* cfg = config();
  struct ctx ctx = {.hook = md};
  struct weir_flow* record;
  struct steering st = {};
  struct packet* p = &st.packet;
  struct action* act = &st.action;
  __u64 near;

  if (!cfg || !steer_parse(&ctx, &st, 0)) return XDP_ABORTED;
  STAGE_KEEP(p);
  if (last == STAGE_PARSE) return XDP_PASS;
  near = address_filter(&p->key.daddr);
  if (!(near & ADDRESS_OURS) || steer_own(p, near, cfg)) return XDP_ABORTED;
  if (last == STAGE_FILTER) return XDP_PASS;
  st.hash = hash_flow(&p->key, cfg->seed);
  STAGE_KEEP(st.hash);
  if (last == STAGE_HASH) return XDP_PASS;
  record = bpf_map_lookup_elem(&weir_flow, &p->key);
  if (!record) return XDP_ABORTED;
  if (last == STAGE_LOOKUP) return XDP_PASS;
  if (!flow_copy(act, record, st.hash)) return XDP_ABORTED;
  STAGE_KEEP(act);
  if (last == STAGE_CHECK) return XDP_PASS;
  if (act->head.epoch != epoch_now(cfg) || act->touched != now_ticks() || !act->way.mtu)
    return XDP_PASS; /* once a tick */
  if (last == STAGE_DECIDE) return XDP_PASS;
  if (send_check(&ctx, &st) != OPENED) return XDP_ABORTED;
  return XDP_PASS;
}

#define STAGE(name, last)               \
  SEC("xdp.frags")                      \
  int stage_##name(struct xdp_md* md) { \
    return stages(md, last);            \
  }

STAGE(parse, STAGE_PARSE)
STAGE(filter, STAGE_FILTER)
STAGE(hash, STAGE_HASH)
STAGE(lookup, STAGE_LOOKUP)
STAGE(check, STAGE_CHECK)
STAGE(decide, STAGE_DECIDE)
STAGE(send, STAGE_SEND)

char _license[] SEC("license") = "Dual BSD/GPL";
