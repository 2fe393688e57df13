// SPDX-License-Identifier: Apache-2.0
#include "bpf/oracle/random_cluster.hpp"

#include <fmt/format.h>

#include <array>
#include <string>
#include <utility>

#include "bpf/topology.hpp"

namespace weir::test {
namespace {

constexpr unsigned kServices = 4;
constexpr const char* kThisNode = "node-a";
constexpr std::array kFamilies{Family::ipv4, Family::ipv6};

Address ip(const std::string& text) {
  return Address::parse(text).value();
}

Cidr block(const std::string& text) {
  return Cidr::parse(text).value();
}

const World& world(Family family) {
  return family == Family::ipv4 ? kV4 : kV6;
}

Address cluster_ip(unsigned number, Family family) {
  return ip(fmt::format("{}{}", family == Family::ipv4 ? "10.96.0.1" : "fd00:96::1", number));
}

// Shared by all services.
Address vip(unsigned number, Family family) {
  return ip(fmt::format("{}{}", family == Family::ipv4 ? "198.18.0." : "2001:db8:18::", number));
}

Address external_ip(unsigned number, Family family) {
  if (number == 0) return ip(world(family).node);  // of this node too
  return ip(fmt::format("{}{}", family == Family::ipv4 ? "198.18.1." : "2001:db8:19::", number));
}

}  // namespace

naive::Node this_node() {
  return {.name = kThisNode,
          .addresses = {ip(kV4.node), ip(kV4.node1), ip(kV6.node), ip(kV6.node1)},
          .node_port_addresses = {ip(kV4.node), ip(kV6.node)},
          .localhost = {ip("127.0.0.1")},
          .cluster_ip_blocks = {block("10.96.0.0/16"), block("fd00:96::/112")}};
}

std::uint32_t RandomCluster::below(std::uint32_t end) {
  return std::uniform_int_distribution<std::uint32_t>{0, end - 1}(random_);
}

const ClusterState& RandomCluster::next() {
  for (auto changes = 1 + below(3); changes > 0; --changes) {
    const unsigned number = below(kServices);
    switch (below(5)) {
      case 0:
      case 1:
        change_service(number);
        break;
      case 2:
      case 3:
        change_slices(number);
        break;
      default:
        change_node();
    }
  }
  return state_;
}

void RandomCluster::change_node() {
  if (one_in(4)) {
    state_.nodes.erase(kThisNode);
    return;
  }
  auto& node = state_.nodes[kThisNode];
  node.name = kThisNode;
  node.zone = one_in(4) ? "" : one_in(2) ? "here" : "there";
}

void RandomCluster::change_service(unsigned number) {
  const ObjectKey key{.ns = "test", .name = fmt::format("s{}", number)};
  if (one_in(12)) {
    state_.services.erase(key);
    return;
  }
  Service service;
  service.key = key;
  service.type = static_cast<ServiceType>(one_in(10) ? 3 : below(3));
  for (const auto family : kFamilies) {
    if (one_in(6)) continue;
    service.cluster_ips.push_back(cluster_ip(number, family));
    if (one_in(3)) service.external_ips.push_back(external_ip(below(3), family));
    if (service.type == ServiceType::load_balancer && !one_in(4))
      service.load_balancer.push_back({.address = vip(below(2), family), .proxied = one_in(4)});
  }
  constexpr std::array kProtocols{Protocol::tcp, Protocol::udp, Protocol::tcp, Protocol::sctp};
  for (unsigned i = 0; i < 3; ++i) {
    if (one_in(3)) continue;
    const auto protocol = kProtocols.at(below(4));
    const auto port = static_cast<std::uint16_t>(80 + i + 3 * below(2) * number);
    const bool exposed = service.type == ServiceType::node_port ||
                         (service.type == ServiceType::load_balancer && !one_in(3));
    const auto node_port = static_cast<std::uint16_t>(30'000 + 3 * number + i);
    service.ports.push_back({.name = i == 2 ? "" : fmt::format("p{}", i),
                             .protocol = protocol,
                             .port = port,
                             .node_port = exposed ? node_port : std::uint16_t{0}});
  }
  service.internal_policy = one_in(3) ? TrafficPolicy::local : TrafficPolicy::cluster;
  service.external_policy = one_in(2) ? TrafficPolicy::local : TrafficPolicy::cluster;
  const std::array ranges{"8.0.113.5/32",       "8.0.0.0/8",   "192.0.2.0/24",       "0.0.0.0/0",
                          "2001:db8:86dd::/64", "fd00:1::/32", "2001:db8:a::10/128", "::/0"};
  if (one_in(3))
    for (auto count = 1 + below(3); count > 0; --count)
      service.source_ranges.push_back(block(ranges.at(below(ranges.size()))));
  service.reset_on_removal = one_in(4);
  state_.services[key] = std::move(service);
}

Endpoint RandomCluster::endpoint(Family family, bool hinted) {
  Endpoint made;
  const bool here = one_in(3);
  made.node = here ? kThisNode : one_in(8) ? "" : "node-b";
  const bool client = here && one_in(4);  // the pod that asks may be a backend itself
  const auto number = (here ? 100 : 1) + below(6);
  made.address =
      client ? ip(world(family).pod0)
             : ip(fmt::format("{}{}", family == Family::ipv4 ? "10.244.77." : "fd00:77::", number));
  switch (below(6)) {
    case 0:
      made.ready = made.serving = false;
      break;
    case 1:
      made.ready = false;
      made.terminating = true;
      break;
    case 2:
      made.ready = false;  // serves and is not ending: never used
      break;
    default:
      break;
  }
  if (one_in(10)) made.serving = false;  // publishNotReadyAddresses: ready without serving
  if (hinted && !one_in(12)) {
    made.zone_hints = {one_in(2) ? "here" : "there"};
    if (one_in(4)) made.zone_hints.emplace_back("yonder");
    if (one_in(2)) made.node_hints = {one_in(2) ? kThisNode : "node-b"};
  }
  return made;
}

EndpointSlice RandomCluster::slice(unsigned number, Family family, unsigned part) {
  EndpointSlice made;
  made.key = {.ns = "test", .name = fmt::format("s{}-{}-{}", number, to_string(family), part)};
  made.service = one_in(20) ? "nobody" : fmt::format("s{}", number);
  made.family = family;
  for (const auto* name : {"p0", "p1", ""})
    for (const auto protocol : {Protocol::tcp, Protocol::udp, Protocol::sctp})
      if (!one_in(6))  // a part of its own number for each: no endpoint is in two parts
        made.ports.push_back(
            {.name = name, .protocol = protocol, .port = static_cast<std::uint16_t>(8000 + part)});
  const bool hinted = one_in(2);
  std::set<Address> taken;
  for (auto count = below(5); count > 0; --count) {
    auto one = endpoint(family, hinted);
    if (taken.insert(one.address).second) made.endpoints.push_back(std::move(one));
  }
  return made;
}

void RandomCluster::change_slices(unsigned number) {
  for (const auto family : kFamilies)
    for (unsigned part = 0; part < 2; ++part) {
      auto made = slice(number, family, part);
      state_.slices.erase(made.key);
      if (!one_in(4)) state_.slices.emplace(made.key, std::move(made));
    }
}

Address RandomCluster::some_address(Family family) {
  switch (below(8)) {
    case 0:
      return vip(below(2), family);
    case 1:
      return external_ip(below(3), family);
    case 2:
      return ip(world(family).node);
    case 3:
      return one_in(2) ? ip(world(family).node1) : ip(world(family).stranger);
    case 4:
      return family == Family::ipv4 && one_in(2) ? ip("127.0.0.1") : ip(world(family).node);
    default:
      return cluster_ip(below(kServices + 1), family);
  }
}

Address RandomCluster::client(naive::From from, Family family) {
  if (from == naive::From::pod) return ip(world(family).pod0);
  if (from == naive::From::host) return ip(world(family).node);
  return one_in(6) ? vip(below(2), family)
                   : ip(one_in(2) ? world(family).client : world(family).stranger);
}

naive::Question RandomCluster::question() {
  naive::Question asked;
  const auto family = kFamilies.at(below(2));
  asked.from = static_cast<naive::From>(below(3));
  asked.protocol = one_in(12) ? Protocol::sctp : one_in(3) ? Protocol::udp : Protocol::tcp;
  asked.client = client(asked.from, family);
  asked.to = some_address(family);
  asked.port = static_cast<std::uint16_t>(80 + below(12));
  // Mostly what some service has.
  if (state_.services.empty() || one_in(8)) return asked;
  const auto& service =
      std::next(state_.services.begin(), below(static_cast<std::uint32_t>(state_.services.size())))
          ->second;
  if (service.ports.empty()) return asked;
  const auto& port = service.ports.at(below(static_cast<std::uint32_t>(service.ports.size())));
  if (!one_in(12)) asked.protocol = port.protocol;
  asked.port = port.port;
  if (port.node_port != 0 && one_in(3)) {
    asked.port = port.node_port;
    asked.to = one_in(4) ? some_address(family) : ip(world(family).node);
  } else if (!service.load_balancer.empty() && one_in(2)) {
    asked.to = service.load_balancer.front().address;
  } else if (!service.external_ips.empty() && one_in(2)) {
    asked.to = service.external_ips.front();
  } else if (!service.cluster_ips.empty()) {
    asked.to =
        service.cluster_ips.at(below(static_cast<std::uint32_t>(service.cluster_ips.size())));
  }
  asked.client = client(asked.from, asked.to.family());
  return asked;
}

}  // namespace weir::test
