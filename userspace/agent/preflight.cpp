// SPDX-License-Identifier: Apache-2.0
#include "agent/preflight.hpp"

#include <sys/utsname.h>

#include <string_view>
#include <utility>
#include <vector>

#include "base/capabilities.hpp"
#include "base/log.hpp"
#include "base/release.hpp"
#include "kernel/cgroup.hpp"
#include "node/sysctl.hpp"

namespace weir::agent {

Result<kernel::DatapathSettings> datapath_settings(const Options& options) {
  kernel::DatapathSettings settings{.source_ports = {},
                                    .life_tcp = options.lifetimes.tcp,
                                    .life_tcp_half_closed = options.lifetimes.tcp_half_closed,
                                    .life_tcp_closing = options.lifetimes.tcp_closing,
                                    .life_udp = options.lifetimes.udp,
                                    .life_half = options.lifetimes.half_open,
                                    .service_blocks = {}};
  if (options.service_cidrs_given) settings.service_blocks = options.service_cidrs;
  if (options.socket_lb == SocketLb::host) {
    const auto cookie = kernel::netns_cookie();
    if (!cookie) return std::unexpected{cookie.error()};
    settings.netns = *cookie;
  }
  for (const auto& range : options.source_ports)
    settings.source_ports.push_back(
        {.first = range.first, .count = static_cast<__u16>(range.last - range.first + 1)});
  return settings;
}

Result<> check_machine() {
  const auto capabilities = effective_capabilities();
  if (!capabilities) return std::unexpected{capabilities.error()};
  if (const auto missing = missing_capabilities(*capabilities); !missing.empty())
    return fail("missing {}: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON", missing);
  if (auto ok = kernel::bpf_allowed(); !ok) return ok;
  utsname name{};
  if (uname(&name) != 0) return {};
  const std::string_view release{static_cast<const char*>(name.release)};
  const auto parsed = parse_kernel_release(release);  // a name of its own may be anything
  if (parsed && *parsed < kOldestKernel)
    return fail("kernel {} is too old: weir needs {}.{}", release, kOldestKernel.major,
                kOldestKernel.minor);
  return {};
}

// Source NAT must not draw a port that some process of the node may be given, or a node port.
Result<> reserve_source_ports(const Options& options) {
  std::vector<node::PortRange> ports;
  ports.reserve(options.source_ports.size());
  for (const auto& range : options.source_ports) ports.push_back({range.first, range.last});
  auto reservation = node::reserve_ports(ports, {options.node_ports.first, options.node_ports.last},
                                         options.sysctl_path);
  if (!reservation && reservation.error().code() == std::errc::read_only_file_system)
    return fail(
        "{}; in a container, mount the node's /proc/sys/net and give --sysctl-path, or "
        "reserve them on the node",
        reservation.error().message());
  if (!reservation) return fail(std::move(reservation.error()), "reserve ports for source NAT");
  if (!reservation->contradicts.empty())
    return fail("--source-port-range and --node-port-range overlap: {}",
                node::format_ports(reservation->contradicts));
  if (!reservation->added.empty())
    log::info("reserved for source NAT, in net.ipv4.ip_local_reserved_ports: {}",
              node::format_ports(reservation->added));
  return {};
}

void warn_of_forwarding(const std::string& sysctl_path) {
  auto forwarding = node::forwarding(sysctl_path);
  if (!forwarding) return log::warning("{}", forwarding.error().message());
  if (!forwarding->ipv4)
    log::warning("net.ipv4.ip_forward is 0: IPv4 services on other nodes and in pods will fail");
  if (!forwarding->ipv6)
    log::warning("net.ipv6.conf.all.forwarding is 0: IPv6 services will fail likewise");
}

}  // namespace weir::agent
