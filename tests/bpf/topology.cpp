// SPDX-License-Identifier: Apache-2.0
#include "bpf/topology.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>

namespace weir::test {

const World kV4{
    .family = 4,
    .node = "192.0.2.10",
    .node1 = "198.51.100.10",
    .pod_gateway = "10.244.1.1",
    .bridge = "10.244.2.1",
    .client = "8.0.113.5",
    .stranger = "203.0.113.77",
    .cluster_ip = "10.96.0.10",
    .vip = "198.18.0.10",
    .pod0 = "10.244.1.11",
    .pod1 = "10.244.1.12",
    .bridged0 = "10.244.2.11",
    .bridged1 = "10.244.2.12",
    .remote = "10.244.20.7",
    .far = "10.244.30.7",
    .unresolved = "10.244.40.7",
    .unreachable = "10.244.50.7",
    .narrow = "10.244.60.7",
    .raw_pod = "8.0.1.13",
};

const World kV6{
    .family = 6,
    .node = "2001:db8:a::10",
    .node1 = "2001:db8:b::10",
    .pod_gateway = "fd00:1::1",
    .bridge = "fd00:2::1",
    .client = "2001:db8:86dd::5",
    .stranger = "2001:db8:c::77",
    .cluster_ip = "fd00:96::10",
    .vip = "2001:db8:18::10",
    .pod0 = "fd00:1::11",
    .pod1 = "fd00:1::12",
    .bridged0 = "fd00:2::11",
    .bridged1 = "fd00:2::12",
    .remote = "fd00:20::7",
    .far = "fd00:30::7",
    .unresolved = "fd00:40::7",
    .unreachable = "fd00:50::7",
    .narrow = "fd00:60::7",
    .raw_pod = "2001:db8:86dd:1::13",
};

namespace {

// Peers stay in the same namespace: nothing is ever sent to them.
constexpr std::string_view kDevices = R"(
link add up0 address 02:00:00:00:00:10 type veth peer name up0p
link add up1 address 02:00:00:00:00:11 type veth peer name up1p
link add pod0 address 02:00:00:00:00:12 type veth peer name pod0p
link add pod1 address 02:00:00:00:00:12 type veth peer name pod1p
link add br0 address 02:00:00:00:00:20 type bridge
link add port0 type veth peer name port0p
link add port1 type veth peer name port1p
link set port0 master br0
link set port1 master br0
)";

constexpr std::string_view kAddresses = R"(
address add 192.0.2.10/24 dev up0
address add 198.51.100.10/24 dev up1
address add 10.244.1.1/32 dev pod0
address add 10.244.2.1/24 dev br0
address add 2001:db8:a::10/64 dev up0 nodad
address add 2001:db8:b::10/64 dev up1 nodad
address add fd00:1::1/128 dev pod0 nodad
address add fd00:2::1/64 dev br0 nodad
neighbour add 192.0.2.1 lladdr 02:00:00:00:01:01 dev up0
neighbour add 192.0.2.20 lladdr 02:00:00:00:01:20 dev up0
neighbour add 198.51.100.20 lladdr 02:00:00:00:02:20 dev up1
neighbour add 10.244.1.11 lladdr 02:00:00:00:03:11 dev pod0
neighbour add 10.244.1.12 lladdr 02:00:00:00:03:11 dev pod1
neighbour add 10.244.2.11 lladdr 02:00:00:00:04:11 dev br0
neighbour add 10.244.2.12 lladdr 02:00:00:00:04:12 dev br0
neighbour add 2001:db8:a::1 lladdr 02:00:00:00:01:01 dev up0
neighbour add 2001:db8:a::20 lladdr 02:00:00:00:01:20 dev up0
neighbour add 2001:db8:b::20 lladdr 02:00:00:00:02:20 dev up1
neighbour add fd00:1::11 lladdr 02:00:00:00:03:11 dev pod0
neighbour add fd00:1::12 lladdr 02:00:00:00:03:11 dev pod1
neighbour add fd00:2::11 lladdr 02:00:00:00:04:11 dev br0
neighbour add fd00:2::12 lladdr 02:00:00:00:04:12 dev br0
)";

constexpr std::string_view kRoutes = R"(
route add default via 192.0.2.1
route add 10.244.1.11/32 dev pod0
route add 10.244.1.12/32 dev pod1
route add 10.244.20.0/24 via 192.0.2.20
route add 10.244.30.0/24 via 198.51.100.20
route add 10.244.40.0/24 via 192.0.2.99
route add unreachable 10.244.50.0/24
route add 10.244.60.0/24 via 192.0.2.20 mtu lock 1280
route add default via 2001:db8:a::1
route add fd00:1::11/128 dev pod0
route add fd00:1::12/128 dev pod1
route add fd00:20::/64 via 2001:db8:a::20
route add fd00:30::/64 via 2001:db8:b::20
route add fd00:40::/64 via 2001:db8:a::99
route add unreachable fd00:50::/64
route add fd00:60::/64 via 2001:db8:a::20 mtu lock 1280
)";

constexpr std::array<const char*, 12> kAllDevices{"up0",   "up0p",  "up1",    "up1p",
                                                  "pod0",  "pod0p", "pod1",   "pod1p",
                                                  "port0", "port1", "port0p", "port1p"};

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "topology: %s: %s\n", what, std::strerror(errno));
  std::exit(EXIT_FAILURE);
}

void ip(std::string_view commands) {
  // The shell finds ip where a user's PATH has no sbin.
  FILE* batch = ::popen("PATH=$PATH:/usr/sbin:/sbin ip -batch -", "w");
  if (batch == nullptr) give_up("ip");
  std::fwrite(commands.data(), 1, commands.size(), batch);
  if (::pclose(batch) != 0) give_up("ip -batch");
}

void sysctl(const char* name, const char* value) {
  std::ofstream file{std::string{"/proc/sys/net/"} + name};
  file << value << std::flush;
  if (!file) give_up(name);
}

// A test run on a device needs its receive queues registered for XDP, as they are while a program
// is attached. Not one of ours: no packet but the tests' may count.
void attach_pass(Device device) {
  const std::array<bpf_insn, 2> program{
      bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K,
               .dst_reg = 0,
               .src_reg = 0,
               .off = 0,
               .imm = XDP_PASS},
      bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  const int fd =
      bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", program.data(), program.size(), nullptr);
  if (fd < 0) give_up("load an XDP program");
  if (bpf_xdp_attach(static_cast<int>(ifindex(device)), fd, 0, nullptr) != 0)
    give_up("attach an XDP program");
  ::close(fd);  // the device keeps it
}

void build() {
  if (::geteuid() != 0) {
    std::fputs("skipped: needs root\n", stderr);
    std::exit(77);
  }
  if (::unshare(CLONE_NEWNET) != 0) give_up("unshare");
  sysctl("ipv6/conf/default/accept_dad", "0");
  sysctl("ipv6/conf/all/forwarding", "1");
  sysctl("ipv4/conf/all/forwarding", "1");
  ip(kDevices);
  std::string up = "link set lo up\nlink set br0 addrgenmode none\nlink set br0 up\n";
  for (const char* device : kAllDevices)  // without addresses of their own, which would talk
    up += fmt::format("link set {0} addrgenmode none\nlink set {0} up\n", device);
  ip(up);
  ip(kAddresses);
  ip(kRoutes);
  attach_pass(Device::kUp0);
  attach_pass(Device::kUp1);
}

}  // namespace

void enter_topology() {
  static const bool built = (build(), true);
  static_cast<void>(built);
}

std::uint32_t ifindex(Device device) {
  constexpr std::array<const char*, 7> kNames{"up0",   "up1",   "pod0", "pod1",
                                              "port0", "port1", "br0"};
  const auto index = ::if_nametoindex(kNames.at(static_cast<std::size_t>(device)));
  if (index == 0) give_up("if_nametoindex");
  return index;
}

}  // namespace weir::test
