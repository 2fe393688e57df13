// SPDX-License-Identifier: Apache-2.0
// What has to be so before the agent begins, and what the datapath is told once.
#pragma once

#include <string>

#include "agent/options.hpp"
#include "base/result.hpp"
#include "kernel/objects.hpp"

namespace weir::agent {

Result<kernel::DatapathSettings> datapath_settings(const Options& options);

// The capabilities and the kernel's version.
Result<> check_machine();

// Source NAT must not draw a port that some process of the node may be given, or a node port.
Result<> reserve_source_ports(const Options& options);

void warn_of_forwarding(const std::string& sysctl_path);

}  // namespace weir::agent
