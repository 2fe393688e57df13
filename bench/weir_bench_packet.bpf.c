/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A fresh packet for each run of a program: BPF_PROG_TEST_RUN repeats on its own output, so the
 * harness writes the headers anew, then jumps to the program under test, which is the one that a
 * node runs. And the reference: what no NAT can do without.
 */
#include <stdbool.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "weir_bench_packet.h"

char _license[] SEC("license") = "Dual BSD/GPL";

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, struct bench_packet);
  __uint(max_entries, BENCH_PACKETS);
  __uint(map_flags, BPF_F_MMAPABLE);
} bench_packets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __type(key, __u32);
  __type(value, __u32);
  __uint(max_entries, 1);
} bench_xdp_target SEC(".maps"), bench_tc_target SEC(".maps");

__u8 model[BENCH_HEADERS];
__u32 mask; /* packets of the list in use, less one */
__u32 turn;
__u64 changed; /* packets that came back other than they went, but for the last one */

struct bench_udp4 {
  struct ethhdr eth;
  struct iphdr ip;
  struct udphdr udp;
} __attribute__((packed));

struct bench_udp6 {
  struct ethhdr eth;
  struct ipv6hdr ip;
  struct udphdr udp;
} __attribute__((packed));

static __always_inline const struct bench_packet* next_packet(void) {
  __u32 i = turn & mask;

  turn++;
  return bpf_map_lookup_elem(&bench_packets, &i);
}

static __always_inline bool write4(void* data, void* end) {
  const struct bench_packet* packet = next_packet();
  struct bench_udp4* h = data;

  if ((void*)(h + 1) > end || !packet) return false;
  changed += h->ip.ttl != ((struct bench_udp4*)model)->ip.ttl;
  __builtin_memcpy(h, model, sizeof(*h));
  h->ip.saddr = packet->saddr;
  h->ip.daddr = packet->daddr;
  h->ip.check = packet->ip_check;
  h->udp.source = packet->sport;
  h->udp.dest = packet->dport;
  h->udp.check = packet->l4_check;
  return true;
}

static __always_inline bool write6(void* data, void* end) {
  const struct bench_packet* packet = next_packet();
  struct bench_udp6* h = data;

  if ((void*)(h + 1) > end || !packet) return false;
  changed += h->ip.hop_limit != ((struct bench_udp6*)model)->ip.hop_limit;
  __builtin_memcpy(h, model, sizeof(*h));
  h->ip.saddr.s6_addr32[3] = packet->saddr;
  h->ip.daddr.s6_addr32[3] = packet->daddr;
  h->udp.source = packet->sport;
  h->udp.dest = packet->dport;
  h->udp.check = packet->l4_check;
  return true;
}

#define XDP_HARNESS(name, write)                                 \
  SEC("xdp.frags") int name(struct xdp_md* md) {                 \
    if (write((void*)(long)md->data, (void*)(long)md->data_end)) \
      bpf_tail_call(md, &bench_xdp_target, 0);                   \
    return XDP_ABORTED;                                          \
  }

#define TC_HARNESS(name, write)                                    \
  SEC("tc") int name(struct __sk_buff* skb) {                      \
    if (write((void*)(long)skb->data, (void*)(long)skb->data_end)) \
      bpf_tail_call(skb, &bench_tc_target, 0);                     \
    return TC_ACT_SHOT;                                            \
  }

XDP_HARNESS(bench_xdp4, write4)
XDP_HARNESS(bench_xdp6, write6)
TC_HARNESS(bench_tc4, write4)
TC_HARNESS(bench_tc6, write6)

SEC("xdp.frags") int bench_empty_xdp(struct xdp_md* md) {
  return XDP_PASS;
}
SEC("tc") int bench_empty_tc(struct __sk_buff* skb) {
  return TC_ACT_UNSPEC;
}

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __be32);
  __type(value, __u32);
  __uint(max_entries, 1024);
} ref_address SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, struct ref_key);
  __type(value, struct ref_flow);
  __uint(max_entries, 2 * BENCH_PACKETS);
} ref_flows SEC(".maps");

static __always_inline __sum16 add(__sum16 check, __u32 diff) {
  __u32 sum = (__u16)~check + diff;

  sum = (sum & 0xffff) + (sum >> 16);
  return ~(sum + (sum >> 16));
}

/* ifindex of the way out, 0 for what is not to be translated. */
static __always_inline __u32 reference(void* data, void* end, bool whole) {
  struct bench_udp4* h = data;
  const struct ref_flow* flow;
  struct ref_key key;

  if ((void*)(h + 1) > end || h->eth.h_proto != bpf_htons(ETH_P_IP) || h->ip.ihl != 5 ||
      h->ip.protocol != IPPROTO_UDP)
    return 0;
  key = (struct ref_key){h->ip.saddr, h->ip.daddr, h->udp.source, h->udp.dest};
  if (!bpf_map_lookup_elem(&ref_address, &key.daddr) || !whole) return 0;
  flow = bpf_map_lookup_elem(&ref_flows, &key);
  if (!flow) return 0;
  __builtin_memcpy(h->eth.h_dest, flow->dmac, ETH_ALEN);
  __builtin_memcpy(h->eth.h_source, flow->smac, ETH_ALEN);
  h->ip.saddr = flow->saddr;
  h->ip.daddr = flow->daddr;
  h->ip.ttl--;
  h->ip.check = add(h->ip.check, flow->ip_diff);
  h->udp.source = flow->sport;
  h->udp.dest = flow->dport;
  h->udp.check = add(h->udp.check, flow->l4_diff);
  return flow->ifindex;
}

SEC("xdp.frags") int ref_xdp(struct xdp_md* md) {
  __u32 out = reference((void*)(long)md->data, (void*)(long)md->data_end, true);

  return out ? bpf_redirect(out, 0) : XDP_PASS;
}

SEC("tc") int ref_tc(struct __sk_buff* skb) {
  __u32 out = reference((void*)(long)skb->data, (void*)(long)skb->data_end, true);

  return out ? bpf_redirect(out, 0) : TC_ACT_UNSPEC;
}

/* Parse and the one small look-up alone. */
SEC("xdp.frags") int ref_parse_xdp(struct xdp_md* md) {
  reference((void*)(long)md->data, (void*)(long)md->data_end, false);
  return XDP_PASS;
}

SEC("tc") int ref_parse_tc(struct __sk_buff* skb) {
  reference((void*)(long)skb->data, (void*)(long)skb->data_end, false);
  return TC_ACT_UNSPEC;
}
