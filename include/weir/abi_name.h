/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of the contract that user space has with itself: names, kept in the
 * kernel so that the tool needs no agent. Included by abi.h, whose rules hold.
 */
#ifndef WEIR_ABI_NAME_H
#define WEIR_ABI_NAME_H

/* ---- weir_name: service id -> struct weir_name; user space only --------------------------- */

#define WEIR_NAME_MAX 200

/* The identity of a service port; programs of the kernel half never look at it. */
struct weir_name {
	char text[WEIR_NAME_MAX]; /* "namespace/name:port name", zero-filled; no ':' if nameless */
	__be16 port;		  /* spec.ports[].port */
	__u8 proto;
	__u8 family; /* 4 or 6 */
	__u8 type;   /* enum weir_service_type */
	__u8 zero[3];
};

enum weir_service_type {
	WEIR_TYPE_CLUSTER_IP = 1,
	WEIR_TYPE_NODE_PORT,
	WEIR_TYPE_LOAD_BALANCER,
};

#endif
