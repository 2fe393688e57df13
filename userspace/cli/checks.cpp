// SPDX-License-Identifier: Apache-2.0
#include "cli/checks.hpp"

#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <utility>

#include "base/release.hpp"
#include "kernel/attach.hpp"
#include "kernel/cgroup.hpp"

namespace weir::cli {
namespace {

Check ok(std::string name, std::string detail) {
  return {std::move(name), Verdict::ok, std::move(detail)};
}
Check warning(std::string name, std::string detail) {
  return {std::move(name), Verdict::warning, std::move(detail)};
}
Check failed(std::string name, std::string detail) {
  return {std::move(name), Verdict::failed, std::move(detail)};
}

std::uint64_t effective_capabilities() {
  std::ifstream file{"/proc/self/status"};
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("CapEff:")) return std::stoull(line.substr(7), nullptr, 16);
  return 0;
}

Check check_kernel() {
  utsname name{};
  uname(&name);
  return judge_kernel(name.release);
}

// The first part of the path that exists decides, since `weir run` makes the rest.
Check check_pin_path(const kernel::Pins& pins) {
  std::filesystem::path at{pins.path()};
  std::error_code ignored;
  while (at.has_relative_path() && !std::filesystem::exists(at, ignored)) at = at.parent_path();
  struct statfs info{};
  if (statfs(at.c_str(), &info) != 0)
    return failed("pin_path", fail(errno, "look at {}", at.string()).error().message());
  if (info.f_type != BPF_FS_MAGIC)
    return failed("pin_path", fmt::format("{}: {} is not on a bpf file system; mount -t bpf bpf "
                                          "/sys/fs/bpf",
                                          pins.path(), at.string()));
  if (::access(at.c_str(), W_OK) != 0)
    return failed("pin_path", fail(errno, "write to {}", at.string()).error().message());
  return ok("pin_path", pins.path());
}

Check check_agent(const kernel::Pins& pins) {
  std::error_code ignored;
  if (!std::filesystem::exists(pins.path(), ignored)) return ok("agent", "none is running");
  const auto locked = pins.locked();
  if (!locked) return failed("agent", locked.error().message());
  if (*locked)
    return warning(
        "agent", fmt::format("one is running on {}; a second would refuse to start", pins.path()));
  return ok("agent", "none is running");
}

Check check_program_type(const char* name, bpf_prog_type type) {
  const int rc = libbpf_probe_bpf_prog_type(type, nullptr);
  if (rc == 1) return ok(name, "programs of this type load");
  return failed(name, rc == 0 ? "the kernel has no programs of this type"
                              : fail(rc, "load a program").error().message());
}

// Without tcx, clsact filters do the same, but are not pinned.
Check check_tcx() {
  const auto has = kernel::has_tcx();
  if (!has) return failed("tcx", has.error().message());
  if (*has) return ok("tcx", "links are pinned and outlive the agent");
  return warning("tcx", "not in this kernel (6.6): clsact filters are used instead");
}

Check check_cgroup() {
  const auto mount = kernel::cgroup2_mount();
  if (!mount && mount.error().code() != std::errc::no_such_file_or_directory)
    return warning("cgroup", mount.error().message());
  if (!mount) return judge_cgroup(std::nullopt, 0);
  const auto id = kernel::cgroup_id(*mount);
  if (!id) return warning("cgroup", id.error().message());
  return judge_cgroup(*mount, *id);
}

Check check_forwarding() {
  const auto forwarding = node::forwarding();
  if (!forwarding) return warning("forwarding", forwarding.error().message());
  return judge_forwarding(*forwarding);
}

Check check_ports(const Ports& ports) {
  const auto local = node::local_port_range();
  if (!local) return warning("source_ports", local.error().message());
  auto text = node::read_sysctl("net/ipv4/ip_local_reserved_ports");
  if (!text) return warning("source_ports", text.error().message());
  const auto reserved = node::parse_ports(*text);
  if (!reserved) return warning("source_ports", reserved.error().message());
  return judge_ports(ports, *local, *reserved);
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::warning:
      return "warning";
    case Verdict::failed:
      return "failed";
  }
  return "?";
}

Check judge_kernel(std::string_view release) {
  const auto parsed = parse_kernel_release(release);
  if (!parsed)
    return warning("kernel", fmt::format("{}: not a version that can be compared", release));
  if (*parsed < kOldestKernel)
    return failed("kernel", fmt::format("{}: {}.{} or newer is needed", release,
                                        kOldestKernel.major, kOldestKernel.minor));
  return ok("kernel", std::string{release});
}

Check judge_capabilities(std::uint64_t effective) {
  static constexpr std::array<std::pair<unsigned, std::string_view>, 3> kNeeded{{
      {CAP_NET_ADMIN, "CAP_NET_ADMIN"},
      {CAP_PERFMON, "CAP_PERFMON"},
      {CAP_BPF, "CAP_BPF"},
  }};
  const auto has = [&](unsigned bit) { return (effective >> bit & 1) != 0; };
  std::vector<std::string_view> missing;
  for (const auto& [bit, name] : kNeeded) {
    // The kernel takes CAP_SYS_ADMIN for both BPF capabilities.
    const bool implied = bit != CAP_NET_ADMIN && has(CAP_SYS_ADMIN);
    if (!has(bit) && !implied) missing.push_back(name);
  }
  if (missing.empty()) return ok("capabilities", "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
  return failed("capabilities",
                fmt::format("missing {}; run as root or with these", fmt::join(missing, ", ")));
}

Check judge_cgroup(const std::optional<std::string>& mount, std::uint64_t id) {
  if (!mount)
    return warning("cgroup",
                   "cgroup v2 is not mounted: no host edge, processes of this node do not reach "
                   "Services; mount -t cgroup2 none /sys/fs/cgroup");
  if (id != kernel::kRootCgroup)
    return warning("cgroup", fmt::format("{} is not the root of cgroup v2: only processes in it "
                                         "reach Services",
                                         *mount));
  return ok("cgroup", fmt::format("v2 at {}", *mount));
}

Check judge_forwarding(const node::Forwarding& forwarding) {
  if (forwarding.ipv4 && forwarding.ipv6) return ok("forwarding", "IPv4 and IPv6");
  std::vector<std::string_view> off;
  if (!forwarding.ipv4) off.push_back("net.ipv4.ip_forward");
  if (!forwarding.ipv6) off.push_back("net.ipv6.conf.all.forwarding");
  return warning("forwarding", fmt::format("off: {}; traffic of that family does not reach pods",
                                           fmt::join(off, ", ")));
}

Check judge_ports(const Ports& ports, node::PortRange local,
                  const std::vector<node::PortRange>& reserved) {
  const auto plan = node::plan_reservation(ports.source, local, reserved, ports.node);
  const auto source = node::format_ports(ports.source);
  if (!plan.contradicts.empty())
    return failed("source_ports",
                  fmt::format("{} are node ports too (--source-port-range, --node-port-range)",
                              node::format_ports(plan.contradicts)));
  if (!plan.added.empty())
    return warning("source_ports", fmt::format("{} are also ip_local_port_range's; weir run "
                                               "reserves them in ip_local_reserved_ports",
                                               node::format_ports(plan.added)));
  return ok("source_ports", fmt::format("{} are nobody else's", source));
}

Check judge_kube_proxy(const Netfilter& found) {
  if (!found.kube_proxy.empty())
    return warning("kube_proxy",
                   fmt::format("left in {}; stop kube-proxy and run kube-proxy --cleanup",
                               fmt::join(found.kube_proxy, ", ")));
  if (!found.unknown.empty())
    return warning("kube_proxy", fmt::format("could not look: {}", fmt::join(found.unknown, "; ")));
  return ok("kube_proxy", "no rules of it");
}

Check judge_masquerade(const Netfilter& found) {
  if (found.masquerade)
    return warning("masquerade",
                   "some rule masquerades, and may draw the ports of weir's source NAT: give it "
                   "others (--to-ports), or weir (--source-port-range)");
  if (!found.unknown.empty())
    return warning("masquerade", fmt::format("could not look: {}", fmt::join(found.unknown, "; ")));
  return ok("masquerade", "no rule masquerades");
}

std::vector<Check> run_checks(const kernel::Pins& pins, const Ports& ports) {
  const auto netfilter = read_netfilter();
  return {
      check_kernel(),
      judge_capabilities(effective_capabilities()),
      check_pin_path(pins),
      check_program_type("tc", BPF_PROG_TYPE_SCHED_CLS),
      check_program_type("xdp", BPF_PROG_TYPE_XDP),
      check_program_type("host_edge", BPF_PROG_TYPE_CGROUP_SOCK_ADDR),
      check_tcx(),
      check_cgroup(),
      check_forwarding(),
      check_ports(ports),
      judge_kube_proxy(netfilter),
      judge_masquerade(netfilter),
      check_agent(pins),
  };
}

}  // namespace weir::cli
