// SPDX-License-Identifier: Apache-2.0
// What kube-proxy leaves behind, as names and texts: what is its own and not the kubelet's or a
// network plugin's, and which command removes it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weir::cli {

struct Leftover {
  std::string what;    // "nf_tables ip: 57 chains KUBE-* in nat, filter"
  std::string remove;  // a command for a shell, one line
};

// "KUBE-SVC-6CN2DWZVDQJQFQ6K", "KUBE-SERVICES"; not the kubelet's "KUBE-FIREWALL", and not
// kube-router's "KUBE-ROUTER-INPUT" or "KUBE-POD-FW-...".
bool is_kube_proxy_chain(std::string_view name);

// Takes these chains and the rules that lead to them out of iptables' tables, and leaves the rest.
// tool: "iptables-nft", "ip6tables-legacy", ...
std::string remove_chains(std::string_view tool);

// Lines of /proc/net/ip_vs that are virtual servers, kube-proxy's or not.
std::size_t virtual_servers(std::string_view ip_vs);

// Is there a process of that name that is not seen to be in another network namespace?
bool kube_proxy_runs();

}  // namespace weir::cli
