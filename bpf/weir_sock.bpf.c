/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The host edge: processes of the node itself. Addresses are exchanged where a
 * process names them, so that no packet has to be touched. One program for each
 * hook and family, on the root cgroup; each serves the agent's own network
 * namespace and leaves all others alone.
 */
#include "lib/weir_bpf.h"

#include "lib/host.h"

/* UAPI, but of headers that clash with libbpf's. */
enum { REFUSED = -111, TIMED_OUT = -110 };

/* What cgroup programs return. */
enum { DENY = 0, ALLOW = 1 };

/* ctx: of any of these programs. */
static __always_inline bool of_this_namespace(void *ctx)
{
	const struct weir_config *cfg = config();

	return cfg && cfg->netns && bpf_get_netns_cookie(ctx) == cfg->netns;
}

/* Ping sockets, UDP-Lite and the like name addresses here too. */
static __always_inline bool balanced(const struct bpf_sock_addr *ctx)
{
	return ctx->protocol == NEXT_TCP || ctx->protocol == NEXT_UDP;
}

static __always_inline struct weir_addr address4(const struct bpf_sock_addr *ctx)
{
	return addr_from_v4(ctx->user_ip4);
}

/* Word by word: the verifier takes no variable offset into this context. */
static __always_inline struct weir_addr address6(const struct bpf_sock_addr *ctx)
{
	return (struct weir_addr){ .word = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2],
					     ctx->user_ip6[3] } };
}

static __always_inline void write4(struct bpf_sock_addr *ctx, const struct weir_end *end)
{
	ctx->user_ip4 = end->addr.word[3];
	ctx->user_port = end->port;
}

static __always_inline void write6(struct bpf_sock_addr *ctx, const struct weir_end *end)
{
	ctx->user_ip6[0] = end->addr.word[0];
	ctx->user_ip6[1] = end->addr.word[1];
	ctx->user_ip6[2] = end->addr.word[2];
	ctx->user_ip6[3] = end->addr.word[3];
	ctx->user_port = end->port;
}

static __always_inline struct weir_socket_key key_of(struct bpf_sock_addr *ctx,
						     struct weir_addr addr)
{
	return (struct weir_socket_key){
		.cookie = bpf_get_socket_cookie(ctx),
		.end = { .addr = addr, .port = ctx->user_port, .proto = ctx->protocol },
	};
}

static __always_inline int refuse(enum weir_counter why, int error)
{
	host_count(why);
	bpf_set_retval(error);
	return DENY;
}

/*
 * Whether this socket may have had a connection before. The kernel forgets the
 * port of one that failed or ended, but not the address.
 */
static __always_inline bool used4(const struct bpf_sock *sk)
{
	return sk && sk->dst_ip4;
}

static __always_inline bool used6(const struct bpf_sock *sk)
{
	return sk && (sk->dst_ip6[0] | sk->dst_ip6[1] | sk->dst_ip6[2] | sk->dst_ip6[3]);
}

/*
 * A socket that goes straight to a backend of a service that it used before:
 * from now on the address is called what it is.
 */
static __always_inline void rename(struct bpf_sock_addr *ctx, struct weir_socket_key *key,
				   bool used)
{
	struct weir_peer peer = { .service = key->end };
	struct weir_socket *socket;
	struct weir_peer old;

	if (key->end.proto == NEXT_TCP) {
		if (used)
			stream_forget(key->cookie);
		return;
	}
	socket = bpf_sk_storage_get(&weir_socket, ctx->sk, NULL, 0);
	if (socket && peer_find(key, &old))
		peer_put(socket, key, &peer);
}

static __always_inline void note_datagrams(struct bpf_sock_addr *ctx,
					   const struct weir_socket_key *service,
					   const struct host_pick *pick)
{
	struct weir_socket *socket =
		bpf_sk_storage_get(&weir_socket, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	struct weir_socket_key backend = { .cookie = service->cookie, .end = pick->backend };
	struct weir_peer peer = {
		.service = service->end,
		.backend = pick->index,
		.generation = pick->generation,
	};
	struct weir_sticky sticky = {
		.backend = pick->index,
		.generation = pick->generation,
		.service = pick->service,
	};

	if (!socket || peer_put(socket, &backend, &peer) || sticky_put(socket, service, &sticky))
		host_count(WEIR_host_unnoted);
}

/* Notes both ways of the exchange; without that, replies would come from a stranger. */
static __always_inline void note(struct bpf_sock_addr *ctx, const struct weir_socket_key *service,
				 const struct host_pick *pick, bool fresh)
{
	if (!fresh || service->end.proto != NEXT_TCP) /* what is sent to an address is UDP */
		note_datagrams(ctx, service, pick);
	else if (!stream_put(service->cookie, &service->end, &pick->backend))
		host_count(WEIR_host_unnoted);
}

/* connect() and sendmsg(): ALLOW with *to set if there is something to write. */
static __always_inline int forward(struct bpf_sock_addr *ctx, struct weir_addr addr, bool fresh,
				   bool used, struct weir_end *to)
{
	struct weir_socket_key key = key_of(ctx, addr);
	struct host_pick pick = {};
	enum weir_counter why = host_pick(&key, fresh, &pick);

	switch (why) {
	case HOST_CHOSEN:
		note(ctx, &key, &pick, fresh);
		*to = pick.backend;
		host_count(WEIR_forward_host);
		return ALLOW;
	case WEIR_pass_host_stranger:
	case WEIR_pass_host_no_service:
		host_count(why);
		if (fresh)
			rename(ctx, &key, used);
		return ALLOW;
	case WEIR_answer_host_refused:
		return refuse(why, REFUSED);
	default: /* elsewhere a silent drop, which ends so for a process: why make it wait? */
		return refuse(why, TIMED_OUT);
	}
}

/* Whoever has no storage has used no service, and is not of another namespace. */
static __always_inline bool reverse(struct bpf_sock_addr *ctx, struct weir_addr addr,
				    struct weir_end *to)
{
	struct weir_socket_key key;
	struct weir_peer peer;

	if (!bpf_sk_storage_get(&weir_socket, ctx->sk, NULL, 0))
		return false;
	key = key_of(ctx, addr);
	if (!peer_find(&key, &peer))
		return false;
	*to = peer.service;
	return true;
}

/* The same for a connection. The namespace is asked first: it costs less than the table. */
static __always_inline bool reverse_stream(struct bpf_sock_addr *ctx, struct weir_addr addr,
					   struct weir_end *to)
{
	struct weir_socket_key key;

	if (!of_this_namespace(ctx))
		return false;
	key = key_of(ctx, addr);
	return stream_find(key.cookie, &key.end, to);
}

static __always_inline int forward4(struct bpf_sock_addr *ctx, bool fresh)
{
	struct weir_end to = {};
	int verdict;

	if (!balanced(ctx) || !of_this_namespace(ctx))
		return ALLOW;
	verdict = forward(ctx, address4(ctx), fresh, used4(ctx->sk), &to);
	if (!end_none(&to))
		write4(ctx, &to);
	return verdict;
}

static __always_inline int forward6(struct bpf_sock_addr *ctx, bool fresh)
{
	struct weir_end to = {};
	int verdict;

	if (!balanced(ctx) || !of_this_namespace(ctx))
		return ALLOW;
	verdict = forward(ctx, address6(ctx), fresh, used6(ctx->sk), &to);
	if (!end_none(&to))
		write6(ctx, &to);
	return verdict;
}

SEC("cgroup/connect4")
int weir_connect4(struct bpf_sock_addr *ctx)
{
	return forward4(ctx, true);
}

/* IPv4 by an IPv6 socket comes here too, as ::ffff:a.b.c.d. */
SEC("cgroup/connect6")
int weir_connect6(struct bpf_sock_addr *ctx)
{
	return forward6(ctx, true);
}

SEC("cgroup/sendmsg4")
int weir_sendmsg4(struct bpf_sock_addr *ctx)
{
	return forward4(ctx, false);
}

SEC("cgroup/sendmsg6")
int weir_sendmsg6(struct bpf_sock_addr *ctx)
{
	return forward6(ctx, false);
}

SEC("cgroup/recvmsg4")
int weir_recvmsg4(struct bpf_sock_addr *ctx)
{
	struct weir_end to;

	if (ctx->protocol != NEXT_UDP || !reverse(ctx, address4(ctx), &to))
		return ALLOW;
	write4(ctx, &to);
	host_count(WEIR_reply_host);
	return ALLOW;
}

SEC("cgroup/recvmsg6")
int weir_recvmsg6(struct bpf_sock_addr *ctx)
{
	struct weir_end to;

	if (ctx->protocol != NEXT_UDP || !reverse(ctx, address6(ctx), &to))
		return ALLOW;
	write6(ctx, &to);
	host_count(WEIR_reply_host);
	return ALLOW;
}

static __always_inline bool peer_name(struct bpf_sock_addr *ctx, struct weir_addr addr,
				      struct weir_end *to)
{
	switch (ctx->protocol) {
	case NEXT_TCP:
		return reverse_stream(ctx, addr, to);
	case NEXT_UDP:
		return reverse(ctx, addr, to);
	default:
		return false;
	}
}

SEC("cgroup/getpeername4")
int weir_peername4(struct bpf_sock_addr *ctx)
{
	struct weir_end to;

	if (peer_name(ctx, address4(ctx), &to))
		write4(ctx, &to);
	return ALLOW;
}

SEC("cgroup/getpeername6")
int weir_peername6(struct bpf_sock_addr *ctx)
{
	struct weir_end to;

	if (peer_name(ctx, address6(ctx), &to))
		write6(ctx, &to);
	return ALLOW;
}

/* Of UDP, whoever has no storage has used no service. */
SEC("cgroup/sock_release")
int weir_release(struct bpf_sock *ctx)
{
	const struct weir_socket *socket;

	if (ctx->protocol == NEXT_TCP) {
		if (of_this_namespace(ctx))
			stream_forget(bpf_get_socket_cookie(ctx));
		return ALLOW;
	}
	socket = bpf_sk_storage_get(&weir_socket, ctx, NULL, 0);
	if (socket)
		socket_forget(socket, bpf_get_socket_cookie(ctx));
	return ALLOW;
}

char _license[] SEC("license") = "Dual BSD/GPL";
