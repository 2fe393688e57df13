/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the core needs from its hook, for tc. See ctx_xdp.h. */
#ifndef WEIR_BPF_CTX_H
#define WEIR_BPF_CTX_H

#include "cursor.h"

#define CTX_IS_XDP false
#define HOOK	   struct __sk_buff

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

/* A shorter frame is not an error here: the parser says what it lacks. */
static __always_inline void ctx_pull(const struct ctx *ctx, __u32 len)
{
	struct cursor frame = ctx_frame(ctx);

	if (len > ctx->hook->len)
		len = ctx->hook->len;
	if (frame.pos + len > frame.end)
		bpf_skb_pull_data(ctx->hook, len);
}

static __always_inline __u32 ctx_ifindex(const struct ctx *ctx)
{
	return ctx->hook->ifindex;
}

static __always_inline __u32 ctx_gso_size(const struct ctx *ctx)
{
	return ctx->hook->gso_size;
}

#endif
