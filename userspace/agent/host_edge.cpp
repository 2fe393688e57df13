// SPDX-License-Identifier: Apache-2.0
#include "agent/host_edge.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "kernel/cgroup.hpp"

namespace weir::agent {

Result<HostEdge> HostEdge::open(const kernel::Pins& pins, const kernel::Objects& objects) {
  auto peer = kernel::Map<weir_socket_key, weir_peer>::open(pins, "weir_peer");
  if (!peer) return std::unexpected{std::move(peer.error())};
  return HostEdge{pins, objects, std::move(*peer)};
}

Result<> HostEdge::attach(const std::string& path) {
  const auto cgroup = kernel::find_cgroup(path);
  if (!cgroup) return std::unexpected{cgroup.error()};
  auto outcome = kernel::attach_cgroup(
      cgroup->path, [&](std::string_view name) { return objects_->program(name); }, pins_.links());
  if (!outcome) return std::unexpected{std::move(outcome.error())};
  log::info("cgroup {} attached as host", cgroup->path);
  if (!cgroup->is_root())
    log::warning(
        "{} is not the root of cgroup v2: of this node's processes, only those in it are "
        "balanced",
        cgroup->path);
  return {};
}

void HostEdge::start(bool wanted, const std::string& cgroup) {
  if (wanted) {
    if (auto ok = attach(cgroup); !ok)
      log::warning("no host edge, so that processes of this node do not reach Services: {}",
                   ok.error().message());
    return;
  }
  auto detached = kernel::detach_cgroup(pins_.links());
  if (!detached)
    log::warning("{}", detached.error().message());
  else if (*detached != 0)
    log::info("host edge detached");
}

bool HostEdge::end_sockets(std::span<const GoneBackend> gone) {
  if (gone.empty()) return false;
  std::vector<node::UdpConnection> wanted;
  auto walked = peer_.for_each([&](const weir_socket_key& key, const weir_peer& peer) {
    if (key.end.proto == IPPROTO_UDP &&
        std::ranges::binary_search(gone, GoneBackend{peer.backend, peer.generation}))
      wanted.push_back({key.cookie, Address{key.end.addr}, ntohs(key.end.port)});
  });
  if (!walked) log::warning("{}", walked.error().message());
  end(std::move(wanted));
  return !late_.empty();
}

void HostEdge::end_late_sockets() {
  end(std::exchange(late_, {}));
  late_.clear();
}

void HostEdge::end(std::vector<node::UdpConnection> wanted) {
  if (wanted.empty()) return;
  std::ranges::sort(wanted);
  auto all = node::connected_udp_sockets();
  Result<> done;
  if (all) {
    const auto sockets = node::select_sockets(*all, wanted);
    done = node::end_connections(sockets);
    if (done && !sockets.empty())
      log::info("{} UDP sockets of this node were connected to backends that went: ended",
                sockets.size());
    for (const auto& socket : sockets) std::erase(wanted, socket.connection);
    late_.insert(late_.end(), wanted.begin(), wanted.end());
  } else {
    done = std::unexpected{std::move(all.error())};
  }
  if (done || std::exchange(complained_, true)) return;
  log::warning("processes of this node will not notice that their UDP backend went: {}",
               done.error().message());
}

}  // namespace weir::agent
