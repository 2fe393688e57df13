/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of the contract that is about sockets of the node itself: the host
 * edge. Included by abi.h, whose rules hold.
 */
#ifndef WEIR_ABI_SOCKET_H
#define WEIR_ABI_SOCKET_H

#define WEIR_MAX_SOCKETS 65536 /* entries of weir_peer, and of weir_sticky */

/* ---- weir_peer, weir_sticky: struct weir_socket_key -> what a socket of the node did ------- */

/* One end that a socket talks to. All zero: none. */
struct weir_end {
	struct weir_addr addr;
	__be16 port;
	__u8 proto; /* IPPROTO_* */
	__u8 zero;
};

struct weir_socket_key {
	__u64 cookie;	     /* of the socket; the kernel gives none out twice */
	struct weir_end end; /* weir_peer: the backend; weir_sticky: the service */
	__u32 zero;
};

/*
 * What a process calls the backend that its socket was sent to. The entries of
 * a socket are a chain, so that all can be deleted when it is closed. check, a
 * hash of the key and of all before it, tells a record that was recycled under
 * its reader.
 */
struct weir_peer {
	struct weir_end service;
	struct weir_end next; /* of the same socket */
	__u32 backend;	      /* index; 0: the process named this address itself */
	__u32 generation;     /* of the backend entry */
	__u32 check;
};

/* The backend that a socket without a connection keeps to. */
struct weir_sticky {
	struct weir_end next; /* of the same socket */
	__u32 backend;	      /* index */
	__u32 generation;     /* of the backend entry */
	__u32 service;	      /* id */
	__u32 check;
};

/* weir_socket, socket storage: where the chains of a socket begin. */
struct weir_socket {
	struct weir_end peer;
	struct weir_end sticky;
};

#endif
