// SPDX-License-Identifier: Apache-2.0
// What `weir run` was asked for: checked values, filled by the command line and read by the agent.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "kernel/pins.hpp"
#include "model/address.hpp"
#include "node/sysctl.hpp"
#include "plan/tables.hpp"
#include "serve/listen_address.hpp"

namespace weir::agent {

enum class XdpMode : std::uint8_t {
  automatic,  // native where the driver has it, else none
  native,     // native, or refuse to start
  generic,    // the kernel's emulation: for tests
  off,
};

enum class SocketLb : std::uint8_t {
  host,  // processes of this network namespace use Services too
  off,
};

// Both ends included, host order, first <= last.
struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

// How long a flow lives after its last packet.
struct Lifetimes {
  std::chrono::seconds tcp = std::chrono::hours{24};
  std::chrono::seconds tcp_half_closed = std::chrono::hours{1};  // one FIN seen
  std::chrono::seconds tcp_closing{10};                          // both FINs, or a RST
  std::chrono::seconds udp{120};
  std::chrono::seconds half_open{60};
  friend bool operator==(const Lifetimes&, const Lifetimes&) = default;
};

struct Options {
  // Where the cluster's state comes from: these files and directories, or if there are none, the
  // Kubernetes API.
  std::vector<std::string> manifests;
  std::string kubeconfig;  // empty: $KUBECONFIG, else what a pod finds in its container
  std::string server;      // URL of the API server; empty: what the configuration says
  std::string node_name;   // never empty

  // Globs of interface names. No uplink glob: the devices with a route off the node.
  std::vector<std::string> uplinks;
  std::vector<std::string> pod_interfaces{"veth*", "cali*", "lxc*", "cni*",
                                          "eni*",  "azv*",  "gke*", "nk*"};
  // CIDRs, "primary", "localhost" or "all", as node::node_port_addresses() takes them. None: all.
  std::vector<std::string> node_port_addresses;
  XdpMode xdp = XdpMode::automatic;
  SocketLb socket_lb = SocketLb::host;

  // At most one CIDR of each family.
  std::vector<Cidr> service_cidrs;
  // They were given, and not only assumed: what no service has of them is dropped.
  bool service_cidrs_given = false;
  std::vector<Cidr> load_balancer_pools;
  PortRange node_ports{30'000, 32'767};
  // For source NAT: one or two, not overlapping.
  std::vector<PortRange> source_ports{{61'000, 65'535}, {1'024, 29'999}};

  // Where /healthz and /livez are; none: nowhere.
  std::optional<serve::ListenAddress> healthz = serve::ListenAddress{.address = {}, .port = 10'256};
  // Where /metrics is; none: nowhere.
  std::optional<serve::ListenAddress> metrics =
      serve::ListenAddress{.address = Address::parse("127.0.0.1").value(), .port = 10'249};
  std::uint32_t metrics_services = 1000;  // that have series of their own

  std::string pin_path = kernel::kDefaultPinPath;
  std::string sysctl_path = node::kSysctlPath;
  std::string
      cgroup_path;  // of the host edge; empty: the root of cgroup v2, wherever it is mounted
  Limits limits;
  Lifetimes lifetimes;
  log::Level log_level = log::Level::info;
};

}  // namespace weir::agent
