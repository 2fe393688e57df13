// SPDX-License-Identifier: Apache-2.0
#include "kernel/trace.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <cstring>
#include <vector>

#include "kernel/objects.hpp"

namespace weir::kernel {
namespace {

using Frame = std::vector<unsigned char>;

constexpr std::uint8_t kHops = 64;

// Of SCTP (RFC 9260, 3.1), whose header has no UAPI.
struct SctpHeader {
  __be16 source = 0;
  __be16 dest = 0;
  __be32 tag = 0;
  __le32 checksum = 0;
};

template <class Header>
void append(Frame& frame, const Header& header) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(&header);
  frame.insert(frame.end(), bytes, bytes + sizeof header);
}

Frame transport(const TracePacket& packet) {
  Frame out;
  const __be16 source = htons(packet.from_port);
  const __be16 dest = htons(packet.to_port);
  switch (packet.protocol) {
    case Protocol::tcp: {
      tcphdr tcp{};
      tcp.source = source;
      tcp.dest = dest;
      tcp.doff = sizeof tcp / 4;
      tcp.syn = 1;
      append(out, tcp);
      break;
    }
    case Protocol::udp:
      append(out, udphdr{source, dest, htons(sizeof(udphdr)), 0});
      break;
    case Protocol::sctp:
      append(out, SctpHeader{source, dest, 0, 0});
      break;
  }
  return out;
}

void append_ipv4(Frame& frame, const TracePacket& packet, std::size_t behind) {
  iphdr ip{};
  ip.version = 4;
  ip.ihl = sizeof ip / 4;
  ip.tot_len = htons(static_cast<std::uint16_t>(sizeof ip + behind));
  ip.ttl = kHops;
  ip.protocol = static_cast<__u8>(packet.protocol);
  ip.saddr = packet.from.raw().word[3];
  ip.daddr = packet.to.raw().word[3];
  append(frame, ip);
}

void append_ipv6(Frame& frame, const TracePacket& packet, std::size_t behind) {
  ipv6hdr ip{};
  ip.version = 6;
  ip.payload_len = htons(static_cast<std::uint16_t>(behind));
  ip.nexthdr = static_cast<__u8>(packet.protocol);
  ip.hop_limit = kHops;
  std::memcpy(&ip.saddr, &packet.from.raw(), sizeof ip.saddr);
  std::memcpy(&ip.daddr, &packet.to.raw(), sizeof ip.daddr);
  append(frame, ip);
}

// Without checksums: the core reads none.
Frame frame_of(const TracePacket& packet) {
  const Frame behind = transport(packet);
  const bool v4 = packet.to.family() == Family::ipv4;
  ethhdr ethernet{};
  ethernet.h_proto = htons(v4 ? ETH_P_IP : ETH_P_IPV6);
  Frame frame;
  append(frame, ethernet);
  if (v4)
    append_ipv4(frame, packet, behind.size());
  else
    append_ipv6(frame, packet, behind.size());
  frame.insert(frame.end(), behind.begin(), behind.end());
  return frame;
}

// A program that could write no answer gives another verdict than `answered`.
template <class Context>
Result<> test_run(int program, const Frame& frame, const Context& context, __u32 answered) {
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.ctx_in = &context;
  options.ctx_size_in = sizeof context;
  if (const int rc = bpf_prog_test_run_opts(program, &options); rc != 0)
    return fail(rc, "run the trace");
  if (options.retval != answered) return fail("run the trace: it gave no answer");
  return {};
}

Result<> run_xdp(int program, const Frame& frame, std::uint32_t ifindex) {
  xdp_md context{};
  context.data_end = static_cast<__u32>(frame.size());
  context.ingress_ifindex = ifindex;
  return test_run(program, frame, context, XDP_PASS);
}

Result<> run_tc(int program, const Frame& frame, std::uint32_t ifindex, weir_trace_edge edge) {
  constexpr __u32 kOk = 0;  // TC_ACT_OK
  __sk_buff context{};
  context.ifindex = ifindex;
  context.mark = edge;
  return test_run(program, frame, context, kOk);
}

}  // namespace

Result<Tracer> Tracer::open(const Pins& pins) {
  // First, for its errors: it knows what to say where weir does not run.
  auto answer = MappedArray<weir_trace>::open(pins, "weir_trace", false);
  if (!answer) return std::unexpected{std::move(answer.error())};
  auto locked = pins.lock_trace();
  if (!locked) return std::unexpected{std::move(locked.error())};
  Tracer tracer{std::move(*locked), std::move(*answer)};
  for (const auto& [fd, name] :
       {std::pair{&tracer.xdp_, "weir_trace_xdp"}, std::pair{&tracer.tc_, "weir_trace_tc"},
        std::pair{&tracer.host_, "weir_trace_host"}}) {
    auto program = open_program(pins, name);
    if (!program) return std::unexpected{std::move(program.error())};
    *fd = std::move(*program);
  }
  return tracer;
}

Result<> Tracer::run(TraceCore core, const TracePacket& packet, std::uint32_t ifindex) {
  const Frame frame = frame_of(packet);
  switch (core) {
    case TraceCore::xdp:
      return run_xdp(xdp_.get(), frame, ifindex);
    case TraceCore::uplink:
      return run_tc(tc_.get(), frame, ifindex, WEIR_TRACE_UPLINK);
    case TraceCore::pod:
      return run_tc(tc_.get(), frame, ifindex, WEIR_TRACE_POD);
    case TraceCore::host:
      return run_tc(host_.get(), frame, ifindex, WEIR_TRACE_UPLINK);
  }
  return {};
}

}  // namespace weir::kernel
