// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "cli/shared.hpp"
#include "node/sysctl.hpp"

namespace weir::cli {

struct Removed {
  std::size_t attachments = 0;
  std::size_t programs = 0;
  std::size_t maps = 0;
  std::string reserved_ports;  // taken out of ip_local_reserved_ports, in its form
};

struct Cleanup {
  bool force = false;  // also while an agent is running on the path
  std::string sysctl_path = node::kSysctlPath;
};

// Takes off every program and removes every pin of every version of the tables. An agent that
// runs on the path is an error, unless `force`. Nothing there is none.
Result<Removed> clean_up(const kernel::Pins& pins, const Cleanup& how);

// `weir cleanup`
void add_cleanup_command(CLI::App& app, Shared& shared);

}  // namespace weir::cli
