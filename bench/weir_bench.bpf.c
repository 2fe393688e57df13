/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The bench's own programs: a source of frames, what stands at the far end of a
 * node's uplink, and the programs that weir's are compared with.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "weir_bench.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* Set by the generator before it loads. */
struct bench_frame model;
const volatile __u32 out_ifindex = 0;
const volatile __u32 flows = 1;
const volatile __u32 random_order = 0; /* not bool: C++ has no _Bool */

const volatile __u32 first = 0;

__u32 turn;

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __type(key, __u32);
  __type(value, __u64);
  __uint(max_entries, BENCH_COUNTS);
} bench_count SEC(".maps");

static __always_inline void count(__u32 what) {
  __u64* value = bpf_map_lookup_elem(&bench_count, &what);

  if (value) *value += 1;
}

static __always_inline __u32 next_flow(void) {
  if (random_order) return first + (((__u64)bpf_get_prandom_u32() * flows) >> 32);
  if (++turn >= flows) turn = 0;
  return first + turn;
}

/* A one's complement sum in 16 bits. */
static __always_inline __u32 fold(__u32 sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  return (sum & 0xffff) + (sum >> 16);
}

/*
 * Live frames come back through here with what the last hop made of them, so
 * everything is written anew. The model's checksums are of source 0.0.0.0, port 0.
 */
SEC("xdp")
int bench_generate(struct xdp_md* md) {
  struct bench_frame* frame = (void*)(long)md->data;
  __u32 flow = next_flow();
  __be32 source = bpf_htonl(bpf_ntohl(model.ip.saddr) + flow / BENCH_PORTS);
  __be16 port = bpf_htons(BENCH_PORT + flow % BENCH_PORTS);
  __u32 sum = (source & 0xffff) + (source >> 16);

  if ((void*)(frame + 1) > (void*)(long)md->data_end) return XDP_ABORTED;
  __builtin_memcpy(frame, &model, sizeof(*frame));
  frame->ip.saddr = source;
  frame->ip.check = ~fold((__u16)~model.ip.check + sum);
  frame->udp.source = port;
  frame->udp.check = ~fold((__u16)~model.udp.check + sum + port) ?: 0xffff;
  return bpf_redirect(out_ifindex, 0);
}

static __always_inline bool ours(const struct bench_frame* frame, const void* end) {
  return (const void*)(frame + 1) <= end && frame->magic == bpf_htonl(BENCH_MAGIC);
}

static __always_inline bool right(const struct bench_frame* frame) {
  __u32 backend = bpf_ntohl(frame->ip.daddr) - bpf_ntohl(frame->backend_addr);

  return backend < bpf_ntohs(frame->backends) && frame->udp.dest == frame->backend_port &&
         frame->ip.ttl == BENCH_TTL - 1;
}

/* Whether it is one of ours; if so, counted by whether it came out changed as it should be. */
static __always_inline bool taken(const struct bench_frame* frame, const void* end) {
  if (!ours(frame, end)) return false;
  count(right(frame) ? BENCH_ARRIVED : BENCH_WRONG);
  return true;
}

/* The far end of a node's uplink, for what comes as an skb. */
SEC("tc")
int bench_sink(struct __sk_buff* skb) {
  if (bpf_skb_pull_data(skb, sizeof(struct bench_frame))) return TC_ACT_UNSPEC;
  return taken((void*)(long)skb->data, (void*)(long)skb->data_end) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

/* The same for what comes as a frame. */
SEC("xdp")
int bench_sink_xdp(struct xdp_md* md) {
  return taken((void*)(long)md->data, (void*)(long)md->data_end) ? XDP_DROP : XDP_PASS;
}

/* Both checksums, in full. */
static __always_inline bool sound(struct bench_frame* frame) {
  __u32 pseudo = bpf_htons(IPPROTO_UDP) + frame->udp.len;
  __u32 head = bpf_csum_diff(NULL, 0, (void*)&frame->ip, sizeof(frame->ip), 0);
  __u32 sum = bpf_csum_diff(NULL, 0, (void*)&frame->ip.saddr, 8, pseudo);

  /* In words of 32 bits: 26 bytes of UDP are 24 and the two last. */
  sum = bpf_csum_diff(NULL, 0, (void*)&frame->udp, 24, sum);
  return fold(head) == 0xffff && fold(fold(sum) + frame->backends) == 0xffff;
}

static __always_inline void swap_ends(struct bench_frame* frame) {
  __u8 mac[ETH_ALEN];
  __be32 addr = frame->ip.saddr;
  __be16 port = frame->udp.source;

  __builtin_memcpy(mac, frame->eth.h_dest, ETH_ALEN);
  __builtin_memcpy(frame->eth.h_dest, frame->eth.h_source, ETH_ALEN);
  __builtin_memcpy(frame->eth.h_source, mac, ETH_ALEN);
  frame->ip.saddr = frame->ip.daddr;
  frame->ip.daddr = addr;
  frame->udp.source = frame->udp.dest;
  frame->udp.dest = port;
}

/* The far end while flows are established: backends and clients in one. Looks at checksums, too. */
SEC("tc")
int bench_mirror(struct __sk_buff* skb) {
  struct bench_frame* frame;
  bool answer;

  if (bpf_skb_pull_data(skb, sizeof(*frame))) return TC_ACT_UNSPEC;
  frame = (void*)(long)skb->data;
  if (!ours(frame, (void*)(long)skb->data_end)) return TC_ACT_UNSPEC;
  answer = frame->ip.saddr == frame->asked_addr && frame->udp.source == frame->asked_port;
  if (!sound(frame) || (!answer && !right(frame))) {
    count(BENCH_WRONG);
    return TC_ACT_SHOT;
  }
  count(answer ? BENCH_ANSWERED : BENCH_ARRIVED);
  if (answer) return TC_ACT_SHOT;
  swap_ends(frame);
  return bpf_redirect(skb->ifindex, 0);
}

/* The limit: sends back what comes in, as a forwarded packet, and looks at nothing. */
SEC("xdp")
int bench_redirect(struct xdp_md* md) {
  struct bench_frame* frame = (void*)(long)md->data;
  __u8 mac[ETH_ALEN];

  if ((void*)(frame + 1) > (void*)(long)md->data_end) return XDP_PASS;
  __builtin_memcpy(mac, frame->eth.h_dest, ETH_ALEN);
  __builtin_memcpy(frame->eth.h_dest, frame->eth.h_source, ETH_ALEN);
  __builtin_memcpy(frame->eth.h_source, mac, ETH_ALEN);
  frame->ip.ttl--;
  frame->ip.check = fold(frame->ip.check + bpf_htons(0x0100));
  return bpf_redirect(md->ingress_ifindex, 0);
}

/* The generator alone: ends where weir would begin. */
SEC("xdp")
int bench_end(struct xdp_md* md) {
  count(BENCH_ARRIVED);
  return XDP_DROP;
}

SEC("xdp")
int bench_empty_xdp(struct xdp_md* md) {
  return XDP_PASS;
}

SEC("tc")
int bench_empty_tc(struct __sk_buff* skb) {
  return TC_ACT_UNSPEC;
}
