// SPDX-License-Identifier: Apache-2.0
#include "cli/checks.hpp"

#include <linux/capability.h>

#include <cerrno>

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
  CHECK(judge_cgroup(kernel::Cgroup{"/sys/fs/cgroup", 1}).verdict == Verdict::ok);
  CHECK(judge_cgroup(kernel::Cgroup{"/sys/fs/cgroup", 1}).detail == "v2 at /sys/fs/cgroup");
  CHECK(judge_cgroup(kernel::Cgroup{"/sys/fs/cgroup", 4711}).verdict == Verdict::warning);
  CHECK(judge_cgroup(fail(ENOENT, "cgroup v2 is not mounted"))
            .detail.starts_with("cgroup v2 is not mounted: No such file or directory: no host"));
  const auto own = judge_cgroup(fail("/sys/fs/cgroup is not the root"));
  CHECK(own.verdict == Verdict::warning);
  CHECK(own.detail.ends_with(": /sys/fs/cgroup is not the root; see --cgroup-path"));
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
  REQUIRE(judge_kube_proxy(nothing).size() == 1);
  CHECK(judge_kube_proxy(nothing)[0].verdict == Verdict::ok);
  CHECK(judge_masquerade(nothing).verdict == Verdict::ok);

  Netfilter found;
  found.kube_proxy = {{.what = "nf_tables: table ip kube-proxy", .remove = "nft delete"},
                      {.what = "IPVS: device kube-ipvs0", .remove = "ip link delete kube-ipvs0"}};
  REQUIRE(judge_kube_proxy(found).size() == 2);
  CHECK(judge_kube_proxy(found)[0].verdict == Verdict::warning);
  CHECK(judge_kube_proxy(found)[1].detail ==
        "IPVS: device kube-ipvs0; to remove: ip link delete kube-ipvs0");
  CHECK(judge_masquerade(found).verdict == Verdict::ok);

  Netfilter masquerade;
  masquerade.masquerade = true;
  CHECK(judge_masquerade(masquerade).verdict == Verdict::warning);
  CHECK(judge_kube_proxy(masquerade)[0].verdict == Verdict::ok);

  Netfilter blind;
  blind.unknown = {"nf_tables: Operation not permitted"};
  CHECK(judge_kube_proxy(blind)[0].verdict == Verdict::warning);
  CHECK(judge_masquerade(blind).verdict == Verdict::warning);
}

TEST_CASE("check: which chains are kube-proxy's") {
  for (const auto* name :
       {"KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ", "KUBE-FORWARD",
        "KUBE-PROXY-CANARY", "KUBE-PROXY-FIREWALL", "KUBE-EXTERNAL-SERVICES", "KUBE-SVC-AB",
        "KUBE-SVL-AB", "KUBE-SEP-AB", "KUBE-EXT-AB", "KUBE-FW-AB", "KUBE-XLB-AB", "KUBE-NODE-PORT",
        "KUBE-LOAD-BALANCER", "KUBE-SOURCE-RANGES-FIREWALL", "KUBE-IPVS-FILTER"})
    CHECK(is_kube_proxy_chain(name));
  // The kubelet's, kube-router's (k3s has its network policies), and anybody's.
  for (const auto* name :
       {"KUBE-FIREWALL", "KUBE-KUBELET-CANARY", "KUBE-IPTABLES-HINT", "KUBE-MARK-DROP",
        "KUBE-ROUTER-INPUT", "KUBE-NWPLCY-DEFAULT", "KUBE-POD-FW-AB", "KUBE-SRC-AB", "KUBE-DST-AB",
        "KUBE-SERVICES-OF-MINE", "MY-KUBE-SERVICES", "SERVICES", "KUBE-", ""})
    CHECK_FALSE(is_kube_proxy_chain(name));
}

TEST_CASE("check: virtual servers of IPVS") {
  CHECK(virtual_servers("") == 0);
  CHECK(virtual_servers("IP Virtual Server version 1.2.1 (size=4096)\n"
                        "Prot LocalAddress:Port Scheduler Flags\n"
                        "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n"
                        "TCP  0A600001:01BB rr \n"
                        "  -> 0A5A000B:192B      Masq    1      0          0         \n"
                        "UDP  0A60000A:0035 rr \n") == 2);
}
