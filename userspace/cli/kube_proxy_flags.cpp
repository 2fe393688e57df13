// SPDX-License-Identifier: Apache-2.0
#include "cli/kube_proxy_flags.hpp"

#include <algorithm>
#include <array>
#include <ranges>

namespace weir::cli {
namespace {

constexpr std::array kAliases{
    RunAlias{"hostname-override", "node-name", "NAME"},
    RunAlias{"master", "server", "URL"},
    RunAlias{"nodeport-addresses", "node-port-address", "CIDR|primary,...", true},
};

struct Foreign {
  std::string_view name;  // "ipvs-*": all that begin so
  std::string_view why;
};

constexpr std::string_view kPods = "weir knows pods by their interfaces; see --pod-interface";
constexpr std::string_view kTables =
    "weir keeps connections in tables of its own; see --max-flows and --tcp-timeout";
constexpr std::string_view kLog = "leave it out; see --log-level";
constexpr std::string_view kAtOnce = "weir programs each change at once; leave it out";

// The flags of kube-proxy 1.20 to 1.36 that have no meaning here.
constexpr std::array<Foreign, 33> kForeign{{
    {"cluster-cidr", kPods},
    {"detect-local-mode", kPods},
    {"pod-bridge-interface", kPods},
    {"pod-interface-name-prefix", kPods},
    {"proxy-mode", "weir has one mode, its own; leave it out"},
    {"iptables-*", "weir makes no iptables rules; leave it out"},
    {"nftables-*", "weir makes no nftables rules; leave it out"},
    {"ipvs-*", "weir makes no IPVS servers; leave it out"},
    {"conntrack-*", kTables},
    {"masquerade-all",
     "weir changes the source only where replies would not come back without; "
     "leave it out"},
    {"bind-address", "weir serves both families of the node; see --healthz-bind-address"},
    {"bind-address-hard-fail", "an address that is taken is said in the log; leave it out"},
    {"cleanup",
     "`weir cleanup` removes what weir left, `kube-proxy --cleanup` what kube-proxy did"},
    {"cleanup-ipvs", "`kube-proxy --cleanup` removes what kube-proxy left"},
    {"init-only", "weir needs no privileged start; leave it out"},
    {"write-config-to", "weir's file is short: see --config"},
    {"config-sync-period", kAtOnce},
    {"proxy-port-range",
     "weir has no user space mode; for ports of source NAT --source-port-range"},
    {"oom-score-adj", "the pod's priority class or the unit (OOMScoreAdjust=) sets it"},
    {"feature-gates", "weir has none; leave it out"},
    {"kube-api-*", "weir's own pace with the API server is slow; leave it out"},
    {"healthz-port", "give --healthz-bind-address IP:PORT"},
    {"metrics-port", "give --metrics-bind-address IP:PORT"},
    {"profiling", "weir has none; leave it out"},
    {"show-hidden-metrics-for-version", "weir hides no metrics; leave it out"},
    {"windows-*", "weir runs on Linux"},
    {"v", kLog},
    {"vmodule", kLog},
    {"logging-format", kLog},
    {"log-*", kLog},
    {"alsologtostderr", kLog},
    {"logtostderr", kLog},
    {"stderrthreshold", kLog},
}};

bool matches(std::string_view pattern, std::string_view name) {
  if (!pattern.ends_with('*')) return pattern == name;
  pattern.remove_suffix(1);
  return name.starts_with(pattern);
}

}  // namespace

std::span<const RunAlias> run_aliases() {
  return kAliases;
}

const RunAlias* find_alias(std::string_view name) {
  const auto* found = std::ranges::find(kAliases, name, &RunAlias::name);
  return found == kAliases.end() ? nullptr : found;
}

std::vector<std::string> alias_values(const RunAlias& alias,
                                      const std::vector<std::string>& values) {
  if (!alias.commas) return values;
  std::vector<std::string> parts;
  for (const auto& value : values)
    for (const auto part : std::views::split(value, ','))
      parts.emplace_back(part.begin(), part.end());
  return parts;
}

std::string_view kube_proxy_only(std::string_view name) {
  const auto* found =
      std::ranges::find_if(kForeign, [&](const Foreign& one) { return matches(one.name, name); });
  return found == kForeign.end() ? std::string_view{} : found->why;
}

}  // namespace weir::cli
