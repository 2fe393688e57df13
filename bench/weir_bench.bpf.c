/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The bench's own programs: a source of frames, what stands at the far end of a
 * node's uplink, and the empty programs that weir's are compared with.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
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

/*
 * Live frames come back through here with what the last hop made of them, so
 * everything is written anew. The model's checksum is of source port 0.
 */
SEC("xdp")
int bench_generate(struct xdp_md* md) {
  struct bench_frame* frame = (void*)(long)md->data;
  __u32 port = bpf_ntohs(model.udp.source) + turn;
  __u32 sum = (__u16)~model.udp.check;

  if ((void*)(frame + 1) > (void*)(long)md->data_end) return XDP_ABORTED;
  if (++turn >= flows) turn = 0;
  __builtin_memcpy(frame, &model, sizeof(*frame));
  frame->udp.source = bpf_htons(port);
  sum += frame->udp.source;
  sum = (sum & 0xffff) + (sum >> 16);
  frame->udp.check = ~sum ?: 0xffff;
  return bpf_redirect(out_ifindex, 0);
}

/* Whether it is one of ours; if so, counted by whether it came out changed as it should be. */
static __always_inline bool taken(const struct bench_frame* frame, const void* end) {
  if ((const void*)(frame + 1) > end || frame->magic != bpf_htonl(BENCH_MAGIC)) return false;
  if (frame->ip.daddr == frame->backend_addr && frame->udp.dest == frame->backend_port &&
      frame->ip.ttl == BENCH_TTL - 1)
    count(BENCH_ARRIVED);
  else
    count(BENCH_WRONG);
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
