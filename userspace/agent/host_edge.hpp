// SPDX-License-Identifier: Apache-2.0
// The host edge of this node: its programs on the root cgroup, and the connected UDP sockets whose
// backend went away.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "kernel/map.hpp"
#include "kernel/objects.hpp"
#include "kernel/pins.hpp"
#include "node/udp_sockets.hpp"
#include "plan/gone.hpp"

namespace weir::agent {

class HostEdge {
 public:
  static Result<HostEdge> open(const kernel::Pins& pins, const kernel::Objects& objects);

  // Attaches the programs, or takes them off. Where they cannot be attached, a warning: the other
  // edges do without.
  // cgroup: where; empty: kernel::find_cgroup() knows.
  void start(bool wanted, const std::string& cgroup);

  // Ends the connections of this namespace's UDP sockets to these backends, so that their owners
  // notice and connect anew; a TCP connection is never touched. True if some socket that was sent
  // to one of them is not connected (yet): see end_late_sockets().
  bool end_sockets(std::span<const GoneBackend> gone);
  // Those that end_sockets() did not find, once more and for the last time.
  void end_late_sockets();

 private:
  HostEdge(kernel::Pins pins, const kernel::Objects& objects,
           kernel::Map<weir_socket_key, weir_peer> peer)
      : pins_{std::move(pins)}, objects_{&objects}, peer_{std::move(peer)} {}

  Result<> attach(const std::string& path);
  void end(std::vector<node::UdpConnection> wanted);

  kernel::Pins pins_;
  const kernel::Objects* objects_;
  kernel::Map<weir_socket_key, weir_peer> peer_;
  std::vector<node::UdpConnection> late_;
  bool complained_ = false;
};

}  // namespace weir::agent
