// SPDX-License-Identifier: Apache-2.0
// What of kube-proxy and of masquerading is loaded in this network namespace. Reads nf_tables by
// netlink, the legacy tables by getsockopt and IPVS in /proc, and changes nothing. CAP_NET_ADMIN.
#pragma once

#include <string>
#include <vector>

#include "cli/kube_proxy.hpp"

namespace weir::cli {

struct Netfilter {
  std::vector<Leftover> kube_proxy;
  bool masquerade = false;           // some rule draws source ports
  std::vector<std::string> unknown;  // what could not be looked at, and why
};

Netfilter read_netfilter();

}  // namespace weir::cli
