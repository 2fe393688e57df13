// SPDX-License-Identifier: Apache-2.0
// Whether this machine can run weir, question by question. What is asked of the kernel and how the
// answer is judged are apart, so that the judging is tested.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "cli/netfilter.hpp"
#include "kernel/cgroup.hpp"
#include "kernel/pins.hpp"
#include "node/sysctl.hpp"

namespace weir::cli {

enum class Verdict : std::uint8_t { ok, warning, failed };

std::string_view to_string(Verdict verdict);

struct Check {
  std::string name;
  Verdict verdict = Verdict::ok;
  std::string detail;  // one line; of a warning or failure, also what to do
};

struct Ports {
  std::vector<node::PortRange> source;  // of source NAT
  node::PortRange node;
};

// As `weir run` will be given them.
struct Paths {
  std::string sysctl = node::kSysctlPath;
  std::string cgroup;
};

std::vector<Check> run_checks(const kernel::Pins& pins, const Ports& ports, const Paths& paths);

Check judge_kernel(std::string_view release);       // "6.1.0-18-amd64"
Check judge_capabilities(std::uint64_t effective);  // bit CAP_x as in CapEff of /proc/self/status
Check judge_cgroup(const Result<kernel::Cgroup>& found);
Check judge_forwarding(const node::Forwarding& forwarding);
Check judge_ports(const Ports& ports, node::PortRange local,
                  const std::vector<node::PortRange>& reserved);
std::vector<Check> judge_kube_proxy(const Netfilter& found);  // each thing that is left, or one
Check judge_masquerade(const Netfilter& found);

}  // namespace weir::cli
