// SPDX-License-Identifier: Apache-2.0
#include "cli/netfilter.hpp"

// Before the kernel's headers, which then leave out what both define.
#include <net/if.h>

#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "node/netlink.hpp"

namespace weir::cli {
namespace {

constexpr std::string_view kServicesChain = "KUBE-SERVICES";  // kube-proxy's iptables mode
constexpr std::string_view kNftTable = "kube-proxy";          // its nftables mode
constexpr const char* kIpvsDevice = "kube-ipvs0";             // its IPVS mode

std::string family_name(std::uint8_t family) {
  switch (family) {
    case NFPROTO_IPV4:
      return "ip";
    case NFPROTO_IPV6:
      return "ip6";
    case NFPROTO_INET:
      return "inet";
    default:
      return fmt::format("family {}", family);
  }
}

std::uint8_t family_of(const nlmsghdr& message) {
  return static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(&message))->nfgen_family;
}

std::string text_attribute(const nlmsghdr& message, std::uint16_t wanted) {
  std::string text;
  node::for_each_attribute(
      message, sizeof(nfgenmsg), [&](std::uint16_t type, const nlattr& attribute) {
        if (type == wanted)
          text.assign(mnl_attr_get_str(&attribute),
                      strnlen(mnl_attr_get_str(&attribute), mnl_attr_get_payload_len(&attribute)));
      });
  return text;
}

Result<> dump_nft(std::uint16_t what, const std::function<void(const nlmsghdr&)>& visit) {
  auto socket = node::NetlinkSocket::open(NETLINK_NETFILTER);
  if (!socket) return std::unexpected{std::move(socket.error())};
  node::NetlinkRequest request{static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | what),
                               NLM_F_DUMP};
  auto& header = request.header<nfgenmsg>();
  header.nfgen_family = NFPROTO_UNSPEC;
  header.version = NFNETLINK_V0;
  return socket->request(request, [] {}, visit);
}

// The name of an expression ("masq") or of an x_tables target, wherever it is nested.
bool mentions(const nlmsghdr& message, std::string_view word) {
  const std::string_view bytes{static_cast<const char*>(mnl_nlmsg_get_payload(&message)),
                               mnl_nlmsg_get_payload_len(&message)};
  return bytes.find(word) != bytes.npos;
}

void read_nft(Netfilter& found) {
  auto chains = dump_nft(NFT_MSG_GETCHAIN, [&](const nlmsghdr& message) {
    const auto table = text_attribute(message, NFTA_CHAIN_TABLE);
    const auto chain = text_attribute(message, NFTA_CHAIN_NAME);
    if (chain != kServicesChain && table != kNftTable) return;
    const auto family = family_name(family_of(message));
    auto where = table == kNftTable ? fmt::format("nf_tables {} {}", family, table)
                                    : fmt::format("nf_tables {} {} {}", family, table, chain);
    if (std::ranges::count(found.kube_proxy, where) == 0) found.kube_proxy.push_back(where);
  });
  if (chains)
    chains = dump_nft(NFT_MSG_GETRULE, [&](const nlmsghdr& message) {
      using namespace std::string_view_literals;
      found.masquerade =
          found.masquerade || mentions(message, "\0masq\0"sv) || mentions(message, "MASQUERADE");
    });
  if (!chains) found.unknown.push_back(fmt::format("nf_tables: {}", chains.error().message()));
}

// Asking for a legacy table that is not loaded would load it, and /proc lists those that are.
bool has_legacy_nat(const char* list) {
  std::ifstream file{list};
  for (std::string line; std::getline(file, line);)
    if (line == "nat") return true;
  return false;
}

struct Legacy {
  const char* name;
  const char* list;
  int family;
  int level;
  int get_info;
  int get_entries;
};

constexpr Legacy kLegacy4{"iptables (legacy)", "/proc/net/ip_tables_names", AF_INET, IPPROTO_IP,
                          IPT_SO_GET_INFO,     IPT_SO_GET_ENTRIES};
constexpr Legacy kLegacy6{
    "ip6tables (legacy)", "/proc/net/ip6_tables_names", AF_INET6, IPPROTO_IPV6,
    IP6T_SO_GET_INFO,     IP6T_SO_GET_ENTRIES};

// All rules of the table nat as one block of bytes; chains are named in it.
template <class Info, class Entries>
Result<std::string> legacy_nat(const Legacy& legacy) {
  const UniqueFd socket{::socket(legacy.family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW)};
  if (!socket) return fail(errno, "open a raw socket");
  Info info{};
  std::strcpy(info.name, "nat");
  socklen_t length = sizeof info;
  if (getsockopt(socket.get(), legacy.level, legacy.get_info, &info, &length) != 0)
    return fail(errno, "ask for table nat");
  std::string block(sizeof(Entries) + info.size, '\0');
  auto* entries = reinterpret_cast<Entries*>(block.data());
  std::strcpy(entries->name, "nat");
  entries->size = info.size;
  length = static_cast<socklen_t>(block.size());
  if (getsockopt(socket.get(), legacy.level, legacy.get_entries, entries, &length) != 0)
    return fail(errno, "read table nat");
  return block;
}

template <class Info, class Entries>
void read_legacy(const Legacy& legacy, Netfilter& found) {
  if (!has_legacy_nat(legacy.list)) return;
  const auto block = legacy_nat<Info, Entries>(legacy);
  if (!block) {
    found.unknown.push_back(fmt::format("{}: {}", legacy.name, block.error().message()));
    return;
  }
  if (block->find(kServicesChain) != block->npos)
    found.kube_proxy.push_back(fmt::format("{} nat {}", legacy.name, kServicesChain));
  found.masquerade = found.masquerade || block->find("MASQUERADE") != block->npos;
}

}  // namespace

Netfilter read_netfilter() {
  Netfilter found;
  read_nft(found);
  read_legacy<ipt_getinfo, ipt_get_entries>(kLegacy4, found);
  read_legacy<ip6t_getinfo, ip6t_get_entries>(kLegacy6, found);
  if (if_nametoindex(kIpvsDevice) != 0)
    found.kube_proxy.push_back(fmt::format("IPVS device {}", kIpvsDevice));
  return found;
}

}  // namespace weir::cli
