// SPDX-License-Identifier: Apache-2.0
#include "cli/run_options.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include "cli/kube_proxy_flags.hpp"
#include "cli/parse.hpp"

namespace weir::cli {
namespace {

using agent::Options;

constexpr std::uint16_t kHealthzPort = 10'256;
constexpr std::uint16_t kMetricsPort = 10'249;

Result<> store(Result<std::chrono::seconds> value, std::chrono::seconds& to) {
  if (!value) return std::unexpected{std::move(value.error())};
  to = *value;
  return {};
}

Result<> store_text(const std::string& value, std::string& to) {
  if (value.empty()) return fail("expected a text that is not empty");
  to = value;
  return {};
}

Result<> store_texts(const Values& values, std::vector<std::string>& to) {
  if (std::ranges::count(values, "") > 0) return fail("expected texts that are not empty");
  to = values;
  return {};
}

Result<> store_blocks(const Values& values, std::vector<Cidr>& to) {
  std::vector<Cidr> blocks;
  for (const auto& text : values) {
    auto block = parse_block(text);
    if (!block) return std::unexpected{std::move(block.error())};
    for (const auto& other : blocks)
      if (other.base.family() == block->base.family())
        return fail("{}: expected at most one block of each family", text);
    blocks.push_back(*block);
  }
  to = std::move(blocks);
  return {};
}

// The most is what fits the kernel's tables and the ABI's 32-bit ids.
Result<> store_limit(const std::string& text, std::uint32_t& to, std::uint32_t most = 1U << 28) {
  auto number = parse_number(text, 1, most);
  if (!number) return std::unexpected{std::move(number.error())};
  to = static_cast<std::uint32_t>(*number);
  return {};
}

Result<> store_count(const std::string& text, std::uint32_t& to) {
  auto number = parse_number(text, 0, WEIR_MAX_SERVICES);
  if (!number) return std::unexpected{std::move(number.error())};
  to = static_cast<std::uint32_t>(*number);
  return {};
}

Result<> store_source_ports(const Values& values, std::vector<agent::PortRange>& to) {
  if (values.size() > 2) return fail("expected at most two ranges, got {}", values.size());
  std::vector<agent::PortRange> ranges;
  for (const auto& text : values) {
    auto range = parse_port_range(text);
    if (!range) return std::unexpected{std::move(range.error())};
    ranges.push_back(*range);
  }
  if (ranges.size() == 2 && ranges[0].first <= ranges[1].last && ranges[1].first <= ranges[0].last)
    return fail("{} and {} overlap", values[0], values[1]);
  to = std::move(ranges);
  return {};
}

Result<> store_node_ports(const std::string& text, agent::PortRange& to) {
  auto range = parse_port_range(text);
  if (!range) return std::unexpected{std::move(range.error())};
  to = *range;
  return {};
}

Result<> store_node_port_addresses(const Values& values, std::vector<std::string>& to) {
  std::vector<std::string> addresses;
  for (const auto& text : values) {
    if (text == "primary" || text == "localhost" || text == "all") {
      addresses.push_back(text);
      continue;
    }
    auto block = parse_block(text);
    if (!block)
      return fail("{}: expected a block like 10.0.0.0/8, an address, primary, localhost or all",
                  text);
    addresses.push_back(block->to_string());
  }
  to = std::move(addresses);
  return {};
}

// As kube-proxy takes it: the port may be left out.
Result<> store_listen(const std::string& text, std::uint16_t port,
                      std::optional<serve::ListenAddress>& to) {
  if (text.empty()) {
    to.reset();
    return {};
  }
  auto end = parse_end(text);
  const auto whole = [](const Cidr& block) {
    return block.length == (block.base.family() == Family::ipv4 ? 32 : 128);
  };
  if (!end || !whole(end->block) || text.find('/') != text.npos)
    return fail("{}: expected an address, IP:PORT or [IPv6]:PORT, or nothing", text);
  to = {.address = end->block.base, .port = end->port.value_or(port)};
  return {};
}

Result<> store_xdp(const std::string& text, agent::XdpMode& to) {
  static constexpr std::array<std::pair<std::string_view, agent::XdpMode>, 4> kModes{{
      {"auto", agent::XdpMode::automatic},
      {"native", agent::XdpMode::native},
      {"generic", agent::XdpMode::generic},
      {"off", agent::XdpMode::off},
  }};
  for (const auto& [name, mode] : kModes) {
    if (name != text) continue;
    to = mode;
    return {};
  }
  return fail("{}: expected auto, native, generic or off", text);
}

Result<> store_socket_lb(const std::string& text, agent::SocketLb& to) {
  if (text != "host" && text != "off") return fail("{}: expected host or off", text);
  to = text == "host" ? agent::SocketLb::host : agent::SocketLb::off;
  return {};
}

Result<> store_level(const std::string& text, log::Level& to) {
  static constexpr std::array<std::pair<std::string_view, log::Level>, 4> kLevels{{
      {"debug", log::Level::debug},
      {"info", log::Level::info},
      {"warning", log::Level::warning},
      {"error", log::Level::error},
  }};
  for (const auto& [name, level] : kLevels) {
    if (name != text) continue;
    to = level;
    return {};
  }
  return fail("{}: expected debug, info, warning or error", text);
}

constexpr std::array kFlags{
    RunFlag{"manifests", "PATH...", "Files and directories of YAML or JSON objects", true,
            [](const Values& v, Options& o) { return store_texts(v, o.manifests); }},
    RunFlag{
        "kubeconfig", "FILE",
        "How to reach the Kubernetes API, in place of --manifests ($KUBECONFIG, or in a pod its "
        "service account)",
        false, [](const Values& v, Options& o) { return store_text(v[0], o.kubeconfig); }},
    RunFlag{"server", "URL", "The API server's address, not a Service's (that of the kubeconfig)",
            false, [](const Values& v, Options& o) { return store_text(v[0], o.server); }},
    RunFlag{"node-name", "NAME", "This node's name in the cluster (the host name)", false,
            [](const Values& v, Options& o) { return store_text(v[0], o.node_name); }},
    RunFlag{"uplink", "GLOB...",
            "Interfaces that lead off the node (those with a route off the node)", true,
            [](const Values& v, Options& o) { return store_texts(v, o.uplinks); }},
    RunFlag{"pod-interface", "GLOB...",
            "Host ends of pods (veth* cali* lxc* cni* eni* azv* gke* nk*)", true,
            [](const Values& v, Options& o) { return store_texts(v, o.pod_interfaces); }},
    RunFlag{"node-port-address", "CIDR|primary|localhost|all...",
            "This node's addresses that serve node ports (all)", true,
            [](const Values& v, Options& o) {
              return store_node_port_addresses(v, o.node_port_addresses);
            }},
    RunFlag{"xdp", "auto|native|generic|off",
            "Accelerate uplinks: auto is native where the driver has it (auto)", false,
            [](const Values& v, Options& o) { return store_xdp(v[0], o.xdp); }},
    RunFlag{"socket-lb", "host|off", "Processes of this node itself use Services too (host)", false,
            [](const Values& v, Options& o) { return store_socket_lb(v[0], o.socket_lb); }},
    RunFlag{
        "service-cidr", "CIDR...",
        "Where cluster IPs are; what is unused there is dropped (10.96.0.0/12 fd00:10:96::/112, "
        "and nothing dropped)",
        true, [](const Values& v, Options& o) { return store_blocks(v, o.service_cidrs); }},
    RunFlag{"load-balancer-pool", "CIDR...",
            "Where load-balancer addresses that are left out come from (none)", true,
            [](const Values& v, Options& o) { return store_blocks(v, o.load_balancer_pools); }},
    RunFlag{"node-port-range", "A-B", "Where node ports that are left out come from (30000-32767)",
            false,
            [](const Values& v, Options& o) { return store_node_ports(v[0], o.node_ports); }},
    RunFlag{"source-port-range", "A-B...",
            "Ports of source NAT, at most two ranges (61000-65535 1024-29999)", true,
            [](const Values& v, Options& o) { return store_source_ports(v, o.source_ports); }},
    RunFlag{
        "healthz-bind-address", "IP[:PORT]",
        "Where /healthz and /livez are; empty: nowhere (0.0.0.0:10256)", false,
        [](const Values& v, Options& o) { return store_listen(v[0], kHealthzPort, o.healthz); }},
    RunFlag{
        "metrics-bind-address", "IP[:PORT]", "Where /metrics is; empty: nowhere (127.0.0.1:10249)",
        false,
        [](const Values& v, Options& o) { return store_listen(v[0], kMetricsPort, o.metrics); }},
    RunFlag{"metrics-services", "N",
            "Service ports with metrics of their own, those with the most connections (1000)",
            false,
            [](const Values& v, Options& o) { return store_count(v[0], o.metrics_services); }},
    RunFlag{"pin-path", "DIR", "Where the tables are pinned, on a bpf file system", false,
            [](const Values& v, Options& o) { return store_text(v[0], o.pin_path); }},
    RunFlag{"sysctl-path", "DIR",
            "Where the node's kernel settings are, if not in /proc/sys: in a container", false,
            [](const Values& v, Options& o) { return store_text(v[0], o.sysctl_path); }},
    RunFlag{"cgroup-path", "DIR", "The node's cgroup v2 (its root, wherever that is mounted)",
            false, [](const Values& v, Options& o) { return store_text(v[0], o.cgroup_path); }},
    RunFlag{"max-services", "N", "Service ports, each family by itself (65536)", false,
            [](const Values& v, Options& o) {
              return store_limit(v[0], o.limits.services, WEIR_MAX_SERVICES);
            }},
    RunFlag{"max-backends", "N", "Backends of all service ports (262144)", false,
            [](const Values& v, Options& o) { return store_limit(v[0], o.limits.backends); }},
    RunFlag{"max-slots", "N", "Places in all lists of backends (2097152)", false,
            [](const Values& v, Options& o) { return store_limit(v[0], o.limits.slots); }},
    RunFlag{"max-flows", "N", "Established flows (262144)", false,
            [](const Values& v, Options& o) { return store_limit(v[0], o.limits.flows); }},
    RunFlag{"max-half-open", "N", "Records of each half-open table, two a flow (131072)", false,
            [](const Values& v, Options& o) { return store_limit(v[0], o.limits.half_open); }},
    RunFlag{"max-affinities", "N", "Clients of services with session affinity (65536)", false,
            [](const Values& v, Options& o) { return store_limit(v[0], o.limits.affinities); }},
    RunFlag{
        "tcp-timeout", "DURATION", "Idle TCP flow (24h)", false,
        [](const Values& v, Options& o) { return store(parse_duration(v[0]), o.lifetimes.tcp); }},
    RunFlag{"tcp-half-closed-timeout", "DURATION", "The same after one FIN (1h)", false,
            [](const Values& v, Options& o) {
              return store(parse_duration(v[0]), o.lifetimes.tcp_half_closed);
            }},
    RunFlag{"tcp-closing-timeout", "DURATION", "The same after both FINs or a RST (10s)", false,
            [](const Values& v, Options& o) {
              return store(parse_duration(v[0]), o.lifetimes.tcp_closing);
            }},
    RunFlag{
        "udp-timeout", "DURATION", "Idle UDP flow (120s)", false,
        [](const Values& v, Options& o) { return store(parse_duration(v[0]), o.lifetimes.udp); }},
    RunFlag{"half-open-timeout", "DURATION", "A flow that only one side has confirmed (60s)", false,
            [](const Values& v, Options& o) {
              return store(parse_duration(v[0]), o.lifetimes.half_open);
            }},
    RunFlag{"log-level", "debug|info|warning|error", "What is logged (info)", false,
            [](const Values& v, Options& o) { return store_level(v[0], o.log_level); }},
};

// One source: what two say of the same Service nobody could tell apart.
Result<> check_source(const Options& options) {
  const bool api = !options.kubeconfig.empty() || !options.server.empty();
  if (!options.manifests.empty() && api)
    return fail("--manifests and --{}: expected one source, not both",
                options.kubeconfig.empty() ? "server" : "kubeconfig");
  const auto set = [](const char* name) {
    const char* const value = std::getenv(name);
    return value != nullptr && *value != '\0';
  };
  if (options.manifests.empty() && !api && !set("KUBECONFIG") && !set("KUBERNETES_SERVICE_HOST"))
    return fail("expected --manifests or --kubeconfig; this is no pod of a cluster");
  return {};
}

const RunFlag* find(std::string_view name) {
  const auto* found = std::ranges::find(kFlags, name, &RunFlag::name);
  return found == kFlags.end() ? nullptr : found;
}

Result<> apply_setting(const RunFlag& flag, const Values& values, Options& options) {
  if (values.empty()) return fail("expected a value");
  if (values.size() > 1 && !flag.several) return fail("expected one value, not a list");
  return flag.apply(values, options);
}

// By either of its names; what only kube-proxy has is refused, with the reason.
Result<> apply_named(std::string_view name, const Values& values, Options& options) {
  const auto* alias = find_alias(name);
  const auto* flag = find(alias ? alias->flag : name);
  if (flag) return apply_setting(*flag, alias ? alias_values(*alias, values) : values, options);
  if (const auto why = kube_proxy_only(name); !why.empty()) return fail("{}", why);
  return fail("no such option");
}

}  // namespace

std::span<const RunFlag> run_flags() {
  return kFlags;
}

Result<> apply_flags(const Given& given, Options& options) {
  for (const auto& [name, values] : given)
    if (auto done = apply_named(name, values, options); !done)
      return fail(std::move(done.error()), "--{}", name);
  for (const auto& alias : run_aliases())
    if (given.contains(alias.name) && given.contains(alias.flag))
      return fail("--{} and --{} are the same option", alias.name, alias.flag);
  return {};
}

Result<> apply_file(const std::vector<Setting>& file, Options& options) {
  for (const auto& [key, values, line] : file) {
    if (auto done = apply_named(key, values, options); !done)
      return fail(std::move(done.error()), "line {}: {}", line, key);
    const auto* alias = find_alias(key);
    if (alias && std::ranges::count(file, alias->flag, &Setting::key) > 0)
      return fail("line {}: {} and {} are the same option", line, alias->name, alias->flag);
  }
  return {};
}

Result<> complete(Options& options) {
  if (auto ok = check_source(options); !ok) return ok;
  if (options.node_name.empty()) {
    std::array<char, HOST_NAME_MAX + 1> name{};
    if (gethostname(name.data(), name.size() - 1) != 0) return fail(errno, "ask for the host name");
    if (name[0] == '\0') return fail("--node-name: the host has no name to take instead");
    options.node_name = name.data();
  }
  options.service_cidrs_given = !options.service_cidrs.empty();
  if (options.service_cidrs.empty())
    options.service_cidrs = {*Cidr::parse("10.96.0.0/12"), *Cidr::parse("fd00:10:96::/112")};
  for (const auto& range : options.source_ports)
    if (range.first <= options.node_ports.last && options.node_ports.first <= range.last)
      return fail("--source-port-range: {}-{} overlaps the node ports {}-{}", range.first,
                  range.last, options.node_ports.first, options.node_ports.last);
  return {};
}

}  // namespace weir::cli
