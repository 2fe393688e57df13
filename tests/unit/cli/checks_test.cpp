// SPDX-License-Identifier: Apache-2.0
#include "cli/checks.hpp"

#include <linux/capability.h>

#include "support/catch.hpp"

using namespace weir;
using namespace weir::cli;

namespace {

constexpr std::uint64_t bit(unsigned capability) {
  return std::uint64_t{1} << capability;
}

}  // namespace

TEST_CASE("check: the kernel's version") {
  CHECK(judge_kernel("6.1.0-18-amd64").verdict == Verdict::ok);
  CHECK(judge_kernel("6.18.44").verdict == Verdict::ok);
  CHECK(judge_kernel("7.0").verdict == Verdict::ok);
  CHECK(judge_kernel("6.0.12").verdict == Verdict::failed);
  CHECK(judge_kernel("5.19.0").verdict == Verdict::failed);
  CHECK(judge_kernel("5.19.0").detail == "5.19.0: 6.1 or newer is needed");
  CHECK(judge_kernel("custom").verdict == Verdict::warning);
}

TEST_CASE("check: capabilities") {
  const auto all = bit(CAP_BPF) | bit(CAP_NET_ADMIN) | bit(CAP_PERFMON);
  CHECK(judge_capabilities(all).verdict == Verdict::ok);
  CHECK(judge_capabilities(bit(CAP_SYS_ADMIN) | bit(CAP_NET_ADMIN)).verdict == Verdict::ok);
  CHECK(judge_capabilities(bit(CAP_SYS_ADMIN)).detail.find("missing CAP_NET_ADMIN;") !=
        std::string::npos);
  CHECK(judge_capabilities(all & ~bit(CAP_BPF)).detail.find("missing CAP_BPF;") !=
        std::string::npos);
  CHECK(judge_capabilities(all & ~bit(CAP_PERFMON)).verdict == Verdict::failed);
  CHECK(judge_capabilities(0).verdict == Verdict::failed);
}

TEST_CASE("check: cgroup v2") {
  CHECK(judge_cgroup("/sys/fs/cgroup", 1).verdict == Verdict::ok);
  CHECK(judge_cgroup("/sys/fs/cgroup", 1).detail == "v2 at /sys/fs/cgroup");
  CHECK(judge_cgroup("/sys/fs/cgroup", 4711).verdict == Verdict::warning);
  CHECK(judge_cgroup(std::nullopt, 0).detail.starts_with("cgroup v2 is not mounted:"));
}

TEST_CASE("check: forwarding of each family") {
  CHECK(judge_forwarding({.ipv4 = true, .ipv6 = true}).verdict == Verdict::ok);
  const auto no6 = judge_forwarding({.ipv4 = true, .ipv6 = false});
  CHECK(no6.verdict == Verdict::warning);
  CHECK(no6.detail.starts_with("off: net.ipv6.conf.all.forwarding;"));
  CHECK(judge_forwarding({.ipv4 = false, .ipv6 = true})
            .detail.starts_with("off: net.ipv4.ip_forward;"));
}

TEST_CASE("check: source ports that others draw from") {
  const Ports ports{.source = {{61'000, 65'535}}, .node = {30'000, 32'767}};
  CHECK(judge_ports(ports, {32'768, 60'999}, {}).verdict == Verdict::ok);

  const auto shared = judge_ports(ports, {32'768, 62'000}, {});
  CHECK(shared.verdict == Verdict::warning);
  CHECK(shared.detail.starts_with("61000-62000 are also ip_local_port_range's"));
  CHECK(judge_ports(ports, {32'768, 62'000}, {{61'000, 62'000}}).verdict == Verdict::ok);

  const auto clash =
      judge_ports({.source = {{30'100, 30'200}}, .node = {30'000, 32'767}}, {40'000, 50'000}, {});
  CHECK(clash.verdict == Verdict::failed);
  CHECK(clash.detail.starts_with("30100-30200 are node ports too"));
}

TEST_CASE("check: kube-proxy and masquerading") {
  const Netfilter nothing{};
  CHECK(judge_kube_proxy(nothing).verdict == Verdict::ok);
  CHECK(judge_masquerade(nothing).verdict == Verdict::ok);

  Netfilter found;
  found.kube_proxy = {"nf_tables ip nat KUBE-SERVICES"};
  CHECK(judge_kube_proxy(found).verdict == Verdict::warning);
  CHECK(judge_kube_proxy(found).detail.starts_with("left in nf_tables ip nat KUBE-SERVICES;"));
  CHECK(judge_masquerade(found).verdict == Verdict::ok);

  Netfilter masquerade;
  masquerade.masquerade = true;
  CHECK(judge_masquerade(masquerade).verdict == Verdict::warning);
  CHECK(judge_kube_proxy(masquerade).verdict == Verdict::ok);

  Netfilter blind;
  blind.unknown = {"nf_tables: Operation not permitted"};
  CHECK(judge_kube_proxy(blind).verdict == Verdict::warning);
  CHECK(judge_masquerade(blind).verdict == Verdict::warning);
}
