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

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string_view>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "node/netlink.hpp"

namespace weir::cli {
namespace {

constexpr std::string_view kNftTable = "kube-proxy";  // of kube-proxy's nftables mode
constexpr const char* kIpvsDevice = "kube-ipvs0";     // of its IPVS mode

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

// kube-proxy's chains in the tables of iptables, of one family.
struct Chains {
  std::size_t count = 0;
  std::set<std::string> tables;

  void add(const std::string& table) {
    ++count;
    tables.insert(table);
  }
  void report(const std::string& where, std::string_view tool, Netfilter& found) const {
    if (count != 0)
      found.kube_proxy.push_back(
          {fmt::format("{}: {} chains KUBE-* in {}", where, count, fmt::join(tables, ", ")),
           remove_chains(tool)});
  }
};

void read_nft(Netfilter& found) {
  std::map<std::uint8_t, Chains> chains;
  std::set<std::uint8_t> own_tables;
  auto read = dump_nft(NFT_MSG_GETCHAIN, [&](const nlmsghdr& message) {
    const auto table = text_attribute(message, NFTA_CHAIN_TABLE);
    if (table == kNftTable)
      own_tables.insert(family_of(message));
    else if (is_kube_proxy_chain(text_attribute(message, NFTA_CHAIN_NAME)))
      chains[family_of(message)].add(table);
  });
  if (read)
    read = dump_nft(NFT_MSG_GETRULE, [&](const nlmsghdr& message) {
      using namespace std::string_view_literals;
      found.masquerade =
          found.masquerade || mentions(message, "\0masq\0"sv) || mentions(message, "MASQUERADE");
    });
  if (!read) found.unknown.push_back(fmt::format("nf_tables: {}", read.error().message()));
  for (const auto family : own_tables)
    found.kube_proxy.push_back(
        {fmt::format("nf_tables: table {} {}", family_name(family), kNftTable),
         fmt::format("nft delete table {} {}", family_name(family), kNftTable)});
  for (const auto& [family, some] : chains)
    some.report(fmt::format("nf_tables {}", family_name(family)),
                family == NFPROTO_IPV6 ? "ip6tables-nft" : "iptables-nft", found);
}

struct Legacy {
  const char* tool;
  const char* list;
  int family;
  int level;
  int get_info;
  int get_entries;
};

constexpr Legacy kLegacy4{"iptables-legacy", "/proc/net/ip_tables_names", AF_INET, IPPROTO_IP,
                          IPT_SO_GET_INFO,   IPT_SO_GET_ENTRIES};
constexpr Legacy kLegacy6{"ip6tables-legacy", "/proc/net/ip6_tables_names", AF_INET6, IPPROTO_IPV6,
                          IP6T_SO_GET_INFO,   IP6T_SO_GET_ENTRIES};

// Asking for a legacy table that is not loaded would load it, and /proc lists those that are.
std::vector<std::string> loaded_tables(const Legacy& legacy) {
  std::vector<std::string> tables;
  std::ifstream file{legacy.list};
  for (std::string line; std::getline(file, line);)
    if (line.size() < XT_TABLE_MAXNAMELEN) tables.push_back(line);
  return tables;
}

// All rules of a table as one block of bytes.
template <class Info, class Entries>
Result<std::string> legacy_rules(const Legacy& legacy, const std::string& table) {
  // Any socket of the family will do; a raw one would take a capability that nothing else needs.
  const UniqueFd socket{::socket(legacy.family, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!socket) return fail(errno, "open a socket");
  Info info{};
  std::strcpy(info.name, table.c_str());
  socklen_t length = sizeof info;
  if (getsockopt(socket.get(), legacy.level, legacy.get_info, &info, &length) != 0)
    return fail(errno, "ask for table {}", table);
  std::string block(sizeof(Entries) + info.size, '\0');
  auto* entries = reinterpret_cast<Entries*>(block.data());
  std::strcpy(entries->name, table.c_str());
  entries->size = info.size;
  length = static_cast<socklen_t>(block.size());
  if (getsockopt(socket.get(), legacy.level, legacy.get_entries, entries, &length) != 0)
    return fail(errno, "read table {}", table);
  return block.substr(sizeof(Entries));
}

// A chain begins with a rule whose target is ERROR and says the chain's name.
template <class Entry>
std::vector<std::string> chain_names(std::string_view rules) {
  std::vector<std::string> names;
  while (rules.size() >= sizeof(Entry)) {
    Entry entry{};
    rules.copy(reinterpret_cast<char*>(&entry), sizeof entry);
    if (entry.next_offset < sizeof(Entry) || entry.next_offset > rules.size()) break;
    xt_error_target target{};
    if (entry.target_offset + sizeof target <= entry.next_offset) {
      rules.copy(reinterpret_cast<char*>(&target), sizeof target, entry.target_offset);
      if (std::string_view{target.target.u.user.name} == XT_ERROR_TARGET)
        names.emplace_back(target.errorname, strnlen(target.errorname, sizeof target.errorname));
    }
    rules.remove_prefix(entry.next_offset);
  }
  return names;
}

template <class Info, class Entries, class Entry>
void read_legacy(const Legacy& legacy, Netfilter& found) {
  Chains chains;
  for (const auto& table : loaded_tables(legacy)) {
    const auto rules = legacy_rules<Info, Entries>(legacy, table);
    if (!rules) {
      found.unknown.push_back(fmt::format("{}: {}", legacy.tool, rules.error().message()));
      continue;
    }
    for (const auto& name : chain_names<Entry>(*rules))
      if (is_kube_proxy_chain(name)) chains.add(table);
    found.masquerade = found.masquerade || rules->find("MASQUERADE") != rules->npos;
  }
  chains.report(legacy.tool, legacy.tool, found);
}

void read_ipvs(Netfilter& found) {
  if (if_nametoindex(kIpvsDevice) != 0)
    found.kube_proxy.push_back({fmt::format("IPVS: device {}", kIpvsDevice),
                                fmt::format("ip link delete {}", kIpvsDevice)});
  std::ifstream file{"/proc/net/ip_vs"};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  if (const auto count = virtual_servers(text); count != 0)
    found.kube_proxy.push_back(
        {fmt::format("IPVS: {} virtual servers, its own or others' (ipvsadm -Ln)", count),
         "ipvsadm --clear"});
}

}  // namespace

Netfilter read_netfilter() {
  Netfilter found;
  if (kube_proxy_runs())
    found.kube_proxy.push_back({"a process kube-proxy, which makes its rules again",
                                "kubectl -n kube-system delete daemonset kube-proxy"});
  read_nft(found);
  read_legacy<ipt_getinfo, ipt_get_entries, ipt_entry>(kLegacy4, found);
  read_legacy<ip6t_getinfo, ip6t_get_entries, ip6t_entry>(kLegacy6, found);
  read_ipvs(found);
  return found;
}

}  // namespace weir::cli
