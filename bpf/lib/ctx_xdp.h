/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the core needs from its hook, for XDP. ctx_skb.h has the same names for
 * tc; a core that wants another adds it to both or does not build.
 */
#ifndef WEIR_BPF_CTX_H
#define WEIR_BPF_CTX_H

#include "cursor.h"

/* XDP finishes a packet or leaves it alone, so it only ever acts on flows that it sends itself. */
#define CTX_IS_XDP true

/* What a global function takes: the verifier knows a context by its type. */
#define HOOK struct xdp_md

struct ctx {
	HOOK *hook;
};

static __always_inline struct cursor ctx_frame(const struct ctx *ctx)
{
	return (struct cursor){
		.pos = (void *)(long)ctx->hook->data,
		.end = (void *)(long)ctx->hook->data_end,
	};
}

/* Makes the first len bytes readable in place. An XDP frame always has its headers there. */
static __always_inline void ctx_pull(const struct ctx *ctx, __u32 len)
{
}

static __always_inline __u32 ctx_ifindex(const struct ctx *ctx)
{
	return ctx->hook->ingress_ifindex;
}

/* Payload bytes of each segment that a super-packet will be cut into; 0 for what is a packet. */
static __always_inline __u32 ctx_gso_size(const struct ctx *ctx)
{
	return 0;
}

#endif
