/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The part of the contract that counts. Included by abi.h, whose rules hold. */
#ifndef WEIR_ABI_COUNTER_H
#define WEIR_ABI_COUNTER_H

/* ---- weir_stat: service id -> struct weir_stat -------------------------------------------- */

struct weir_stat {
	__u64 connections;
	__u64 packets;
	__u64 bytes;
};

/* ---- weir_counter: enum weir_counter -> __u64, per CPU ------------------------------------ */

/*
 * Append only: the number is the metric's identity. forward_* did our work,
 * pass_* left the packet to the stack untouched, answer_* replied to it in the
 * network's name, drop_* ended it.
 */
#define WEIR_COUNTERS(X)                                                                         \
	X(forward_tc, "translated at tc, on through the stack")                                  \
	X(forward_tc_sent, "translated and sent by tc")                                          \
	X(forward_xdp, "translated and sent by XDP")                                             \
	X(reply_tc, "reply translated back at tc")                                               \
	X(pass_not_ip, "neither IPv4 nor IPv6")                                                  \
	X(pass_protocol, "neither TCP, UDP nor SCTP")                                            \
	X(pass_fragment, "XDP: fragment; tc: later fragment of a datagram that is not known")    \
	X(pass_malformed, "cut short, or a header that contradicts itself")                      \
	X(pass_headers, "more extension headers or options than the parser follows")             \
	X(pass_vlan, "more than one VLAN tag")                                                   \
	X(pass_stranger, "no address of weir's")                                                 \
	X(pass_no_service, "address of this node, port of no service")                           \
	X(pass_no_flow, "from a backend, but of no flow")                                        \
	X(pass_to_tc_local, "XDP: the backend is on this node")                                  \
	X(pass_to_tc_route, "XDP: no way out that XDP can use")                                  \
	X(pass_to_tc_neighbour, "XDP: next hop not resolved")                                    \
	X(pass_to_tc_probe, "XDP: let the stack refresh the next hop")                           \
	X(pass_to_tc_packet, "XDP: TTL, size or tag needs an answer or an edit by tc")           \
	X(pass_half_reply, "reply of a half-open flow that answers no handshake")                \
	X(answer_unreachable, "no endpoint, or no such port: port unreachable")                  \
	X(answer_reset, "TCP of a backend that is gone, by request of the service: RST")         \
	X(answer_ttl, "TTL or hop limit spent: time exceeded")                                   \
	X(answer_too_big, "larger than the way out: fragmentation needed, packet too big")       \
	X(drop_no_local_endpoint, "policy Local, and endpoints only elsewhere")                  \
	X(drop_source_range, "client outside the source ranges of a load-balancer address")      \
	X(drop_no_cluster_ip, "address for cluster IPs that no service has")                     \
	X(drop_no_route, "no route to the backend or client")                                    \
	X(drop_no_source, "no address of this node on the way out")                              \
	X(drop_no_port, "no free source port found")                                             \
	X(drop_half_full, "half-open table refused a record")                                    \
	X(drop_answer_failed, "an ICMP answer could not be built")                               \
	X(drop_rewrite_failed, "the packet could not be rewritten")                              \
	X(drop_table, "a table contradicts another")                                             \
	X(flow_new, "flow chosen, half open")                                                    \
	X(flow_established, "flow established")                                                  \
	X(flow_full, "flow kept half open: the flow table is full")                              \
	X(flow_expired, "flow collected")                                                        \
	X(flow_repicked, "another backend for a flow whose backend went away or did not answer") \
	X(flow_repaired, "lost half of a half-open flow restored")                               \
	X(flow_moved, "source port changed: its tuple was taken")                                \
	X(flow_recycled, "record turned into another flow's under the reader: taken as a miss")  \
	X(forward_host, "node process: sent to a backend")                                       \
	X(reply_host, "node process: source of a datagram translated back")                      \
	X(pass_host_stranger, "node process: no address of weir's")                              \
	X(pass_host_no_service, "node process: address of this node, port of no service")        \
	X(answer_host_refused, "node process: no endpoint, or no such port: refused")            \
	X(drop_host_no_local, "node process: policy Local, and endpoints only elsewhere")        \
	X(drop_host_range, "node process: source ranges admit no address of the node")           \
	X(drop_host_no_cluster_ip, "node process: address for cluster IPs that no service has")  \
	X(drop_host_table, "node process: a table contradicts another")                          \
	X(host_unnoted, "node process: no room to note the socket: it sees the backend")         \
	X(forward_icmp, "ICMP error about a flow: translated")                                   \
	X(pass_icmp, "ICMP error about no flow of weir's")                                       \
	X(pass_icmp_quote, "ICMP error that does not quote enough of a TCP or UDP packet")       \
	X(pass_fragment_tiny, "first fragment without a whole transport header")                 \
	X(answer_echo, "ping of a service address")                                              \
	X(drop_icmp, "ICMP error about a flow that can't be sent on: TTL or size")               \
	X(drop_answer_limit, "more ICMP answers than are given a second")                        \
	X(drop_fragment, "fragment for a service before or without its first, or too large")     \
	X(flow_fragment, "first fragment: its ports are kept for the others")

enum weir_counter {
#define WEIR_COUNTER_ENUM(name, text) WEIR_##name,
	WEIR_COUNTERS(WEIR_COUNTER_ENUM)
#undef WEIR_COUNTER_ENUM
		WEIR_COUNTER_MAX,
};

#endif
