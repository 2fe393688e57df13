// SPDX-License-Identifier: Apache-2.0
#include "cli/checks.hpp"

#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <utility>

#include "base/capabilities.hpp"
#include "base/release.hpp"
#include "kernel/attach.hpp"
#include "kernel/objects.hpp"

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

Check check_capabilities() {
  const auto effective = effective_capabilities();
  if (!effective) return failed("capabilities", effective.error().message());
  auto judged = judge_capabilities(*effective);
  const auto allowed = kernel::bpf_allowed();
  if (judged.verdict == Verdict::ok && !allowed)
    return failed("capabilities",
                  fmt::format("{}, but {}", judged.detail, allowed.error().message()));
  return judged;
}

constexpr const char* kReserved = "net/ipv4/ip_local_reserved_ports";

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

Check check_forwarding(const Paths& paths) {
  const auto forwarding = node::forwarding(paths.sysctl);
  if (!forwarding) return warning("forwarding", forwarding.error().message());
  return judge_forwarding(*forwarding);
}

Check check_ports(const Ports& ports, const Paths& paths) {
  const auto local = node::local_port_range(paths.sysctl);
  if (!local) return warning("source_ports", local.error().message());
  auto text = node::read_sysctl(kReserved, paths.sysctl);
  if (!text) return warning("source_ports", text.error().message());
  const auto reserved = node::parse_ports(*text);
  if (!reserved) return warning("source_ports", reserved.error().message());
  auto judged = judge_ports(ports, *local, *reserved);
  const auto file = fmt::format("{}/{}", paths.sysctl, kReserved);
  if (judged.verdict == Verdict::warning && ::access(file.c_str(), W_OK) != 0)
    return failed("source_ports", fmt::format("{}: which fails here: {}", judged.detail,
                                              fail(errno, "write {}", file).error().message()));
  return judged;
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
  const auto missing = missing_capabilities(effective);
  if (missing.empty()) return ok("capabilities", "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
  return failed("capabilities", fmt::format("missing {}; run as root or with these", missing));
}

Check judge_cgroup(const Result<kernel::Cgroup>& found) {
  if (!found && found.error().code() == std::errc::no_such_file_or_directory)
    return warning("cgroup", fmt::format("{}: no host edge, processes of this node do not reach "
                                         "Services; mount -t cgroup2 none /sys/fs/cgroup",
                                         found.error().message()));
  if (!found)
    return warning("cgroup", fmt::format("no host edge, processes of this node do not reach "
                                         "Services: {}; see --cgroup-path",
                                         found.error().message()));
  if (!found->is_root())
    return warning("cgroup", fmt::format("{} is not the root of cgroup v2: only processes in it "
                                         "reach Services",
                                         found->path));
  return ok("cgroup", fmt::format("v2 at {}", found->path));
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

std::vector<Check> judge_kube_proxy(const Netfilter& found) {
  std::vector<Check> checks;
  checks.reserve(found.kube_proxy.size() + 1);
  for (const auto& [what, remove] : found.kube_proxy)
    checks.push_back(warning("kube_proxy", fmt::format("{}; to remove: {}", what, remove)));
  if (!found.unknown.empty())
    checks.push_back(
        warning("kube_proxy", fmt::format("could not look: {}", fmt::join(found.unknown, "; "))));
  if (checks.empty()) checks.push_back(ok("kube_proxy", "nothing of it"));
  return checks;
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

std::vector<Check> run_checks(const kernel::Pins& pins, const Ports& ports, const Paths& paths) {
  const auto netfilter = read_netfilter();
  std::vector<Check> checks{
      check_kernel(),
      check_capabilities(),
      check_pin_path(pins),
      check_program_type("tc", BPF_PROG_TYPE_SCHED_CLS),
      check_program_type("xdp", BPF_PROG_TYPE_XDP),
      check_program_type("host_edge", BPF_PROG_TYPE_CGROUP_SOCK_ADDR),
      check_tcx(),
      judge_cgroup(kernel::find_cgroup(paths.cgroup)),
      check_forwarding(paths),
      check_ports(ports, paths),
  };
  std::ranges::move(judge_kube_proxy(netfilter), std::back_inserter(checks));
  checks.push_back(judge_masquerade(netfilter));
  checks.push_back(check_agent(pins));
  return checks;
}

}  // namespace weir::cli
