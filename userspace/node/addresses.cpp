// SPDX-License-Identifier: Apache-2.0
// The part of classify.hpp that is about the node's addresses.
#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <set>

#include "node/classify.hpp"
#include "node/usable.hpp"

namespace weir::node {
namespace {

constexpr std::array<Family, 2> kFamilies{Family::ipv4, Family::ipv6};

const Route* best_default(const NodeNetwork& network, Family family) {
  const Route* best = nullptr;
  for (const Route& route : network.routes) {
    if (!route.is_default() || route.family() != family) continue;
    if (!best || route.metric < best->metric) best = &route;
  }
  return best;
}

struct Options {
  bool all = false;
  bool primary = false;
  std::vector<Cidr> cidrs;
};

Address loopback(Family family) {
  weir_addr raw{};
  raw.word[2] = family == Family::ipv4 ? htonl(0xffff) : 0;
  raw.word[3] = htonl(family == Family::ipv4 ? INADDR_LOOPBACK : 1);
  return Address{raw};
}

Result<Options> parse(const std::vector<std::string>& texts) {
  Options options;
  options.all = texts.empty();
  for (const std::string& text : texts) {
    if (text == "all")
      options.all = true;
    else if (text == "primary")
      options.primary = true;
    else if (text == "localhost")
      options.cidrs.insert(options.cidrs.end(),
                           {*Cidr::parse("127.0.0.0/8"), *Cidr::parse("::1/128")});
    else if (const auto cidr = Cidr::parse(text))
      options.cidrs.push_back(*cidr);
    else
      return fail("node port address {}: expected a CIDR, \"primary\", \"localhost\" or \"all\"",
                  text);
  }
  return options;
}

// Whether nothing was said about this family, so that all its addresses serve.
bool unrestricted(const Options& options, Family family) {
  if (options.all) return true;
  return !options.primary && std::ranges::none_of(options.cidrs, [&](const Cidr& cidr) {
    return cidr.base.family() == family;
  });
}

}  // namespace

bool usable(const InterfaceAddress& address) {
  return address.scope < Scope::link && !address.tentative && !address.deprecated &&
         node_address(address);
}

bool node_address(const InterfaceAddress& address) {
  const Address& at = address.address;
  return !address.tentative && !at.is_loopback() && !at.is_link_local() && !at.is_multicast() &&
         !at.is_unspecified();
}

std::optional<Address> own_address(const Device& device, Family family) {
  const InterfaceAddress* best = nullptr;
  for (const auto& address : device.addresses) {
    if (address.address.family() != family || !usable(address)) continue;
    if (!best || (best->secondary && !address.secondary)) best = &address;
  }
  return best ? std::optional{best->address} : std::nullopt;
}

std::optional<Address> primary_address(const NodeNetwork& network, Family family) {
  if (const Route* route = best_default(network, family)) {
    const Device* device = network.find(route->ifindex);
    if (device) {
      if (auto own = own_address(*device, family)) return own;
    }
    if (route->source) return route->source;
  }
  // By ifindex, so loopback first: a global address there is the node's own by intention.
  for (const auto& [ifindex, device] : network.devices) {
    if (auto own = own_address(device, family)) return own;
  }
  return std::nullopt;
}

std::vector<Address> node_addresses(const NodeNetwork& network) {
  std::set<Address> found;
  for (const auto& [ifindex, device] : network.devices) {
    for (const auto& address : device.addresses) {
      if (node_address(address)) found.insert(address.address);
    }
  }
  return {found.begin(), found.end()};
}

Result<std::vector<Address>> node_port_addresses(const NodeNetwork& network,
                                                 const std::vector<std::string>& options) {
  const auto wanted = parse(options);
  if (!wanted) return std::unexpected{wanted.error()};
  std::set<Address> found;
  for (const Address& address : node_addresses(network)) {
    const bool inside = std::ranges::any_of(
        wanted->cidrs, [&](const Cidr& cidr) { return cidr.contains(address); });
    if (inside || unrestricted(*wanted, address.family())) found.insert(address);
  }
  for (const Family family : kFamilies) {
    if (!wanted->primary) break;
    if (auto primary = primary_address(network, family)) found.insert(*primary);
  }
  return std::vector<Address>{found.begin(), found.end()};
}

Result<std::vector<Address>> localhost_addresses(const std::vector<std::string>& options) {
  const auto wanted = parse(options);
  if (!wanted) return std::unexpected{wanted.error()};
  std::vector<Address> found;
  for (const Family family : kFamilies) {
    const Address localhost = loopback(family);
    const bool inside = std::ranges::any_of(
        wanted->cidrs, [&](const Cidr& cidr) { return cidr.contains(localhost); });
    if (inside || unrestricted(*wanted, family)) found.push_back(localhost);
  }
  return found;
}

}  // namespace weir::node
