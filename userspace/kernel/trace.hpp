// SPDX-License-Identifier: Apache-2.0
// What the datapath would do with a packet: test runs of the weir_trace_* programs, which are its
// core in a form that writes nothing (bpf/lib/trace.h), over the maps in use.
#pragma once

#include <cstdint>
#include <utility>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "kernel/map.hpp"
#include "model/address.hpp"

namespace weir::kernel {

// Whose core is asked: of weir_xdp, of weir_up_in and weir_l3_in, of weir_pod_in, of weir_sock.
enum class TraceCore : std::uint8_t { xdp, uplink, pod, host };

// The first packet of a client: a SYN, an empty datagram, an SCTP header. Both of one family.
struct TracePacket {
  Address from;
  Address to;
  std::uint16_t from_port = 0;  // host order
  std::uint16_t to_port = 0;
  Protocol protocol = Protocol::tcp;
};

// Holds the right to trace on a pin path, which one process has at a time, as there is one answer.
class Tracer {
 public:
  static Result<Tracer> open(const Pins& pins);

  // ifindex: the device that the packet comes in by, of this namespace. EINVAL with `xdp` on one
  // that has no XDP program.
  Result<> run(TraceCore core, const TracePacket& packet, std::uint32_t ifindex);
  // Of the last run.
  [[nodiscard]] const weir_trace& answer() const { return answer_[0]; }

 private:
  Tracer(UniqueFd lock, MappedArray<weir_trace> answer)
      : lock_{std::move(lock)}, answer_{std::move(answer)} {}

  UniqueFd lock_;
  MappedArray<weir_trace> answer_;
  UniqueFd xdp_;
  UniqueFd tc_;
  UniqueFd host_;
};

}  // namespace weir::kernel
