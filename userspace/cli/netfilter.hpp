// SPDX-License-Identifier: Apache-2.0
// What of kube-proxy and of masquerading is loaded in this network namespace. Reads nf_tables by
// netlink and the legacy tables by getsockopt, and changes nothing.
#pragma once

#include <string>
#include <vector>

namespace weir::cli {

struct Netfilter {
  std::vector<std::string> kube_proxy;  // where: "nf_tables ip nat KUBE-SERVICES"
  bool masquerade = false;              // some rule draws source ports
  std::vector<std::string> unknown;     // what could not be looked at, and why
};

Netfilter read_netfilter();

}  // namespace weir::cli
