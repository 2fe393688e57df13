/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of the contract that is about sockets of the node itself: the host
 * edge. Included by abi.h, whose rules hold.
 */
#ifndef WEIR_ABI_SOCKET_H
#define WEIR_ABI_SOCKET_H

#define WEIR_MAX_SOCKETS 65536 /* records in weir_stream, in weir_peer, and in weir_sticky */

/* One end that a socket talks to. All zero: none. */
struct weir_end {
	struct weir_addr addr;
	__be16 port;
	__u8 proto; /* IPPROTO_* */
	__u8 zero;
};

/* ---- weir_stream: low bits of a cookie -> what TCP sockets of the node did ----------------- */

/*
 * What a process calls the backend that its socket was connected to. check, a
 * hash of the cookie and of all before it, tells a record that two sockets wrote
 * to at once.
 */
struct weir_stream {
	struct weir_end service;
	struct weir_end backend;
	__u32 check;
};

#define WEIR_STREAM_WAYS 4
#define WEIR_STREAM_SETS (WEIR_MAX_SOCKETS / WEIR_STREAM_WAYS)

/*
 * An entry of the array. The kernel counts cookies up, so sets fill evenly, and
 * sockets of the same time are neighbours in memory. The cookies come first: most
 * sockets have no record and look no further.
 */
struct weir_stream_set {
	__u64 cookie[WEIR_STREAM_WAYS]; /* of the socket that has this way; 0: free */
	struct weir_stream way[WEIR_STREAM_WAYS];
};

/* ---- weir_peer, weir_sticky: struct weir_socket_key -> what a UDP socket of the node did --- */

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

/* weir_socket, socket storage: where the chains of a UDP socket begin. */
struct weir_socket {
	struct weir_end peer;
	struct weir_end sticky;
};

#endif
