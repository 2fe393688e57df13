// SPDX-License-Identifier: Apache-2.0
#include "bpf/publish/scene.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <cstring>
#include <ostream>

#include "bpf/topology.hpp"

namespace weir::test {
namespace {

constexpr std::uint32_t kV6Prefix = 0xfd550000;  // of backends; their routes are the default ones
constexpr const char* kThisNode = "node-a";
constexpr const char* kZone = "here";

struct Policies {
  bool external_local;
  bool internal_local;
  bool has_local;  // endpoints on this node
};

// Both policies of a service turn over with each round, and so do the lists: a packet that sees
// the policy of one round and the lists of another ends at a backend of the wrong list, or nowhere.
Policies policies_at(unsigned service, std::uint32_t round) {
  const bool even = (round & 1) == 0;
  switch (service) {
    case 0:
      return {.external_local = even, .internal_local = !even, .has_local = true};
    case 1:  // in odd rounds no local list at all
      return {.external_local = even, .internal_local = even, .has_local = even};
    case 2:  // in odd rounds nobody for clients outside
      return {.external_local = !even, .internal_local = false, .has_local = even};
    default:
      return {.external_local = !even, .internal_local = even, .has_local = true};
  }
}

unsigned list_size(unsigned service, List list, std::uint32_t round) {
  return 1 + (round * 7 + service * 3 + (list == List::kLocal ? 1U : 0U)) % 4;
}

Address address(const std::string& text) {
  return Address::parse(text).value();
}

std::string ip_of(unsigned service, Kind kind, Family family) {
  const unsigned net = kind == Kind::kClusterIp ? 16 : kind == Kind::kLoadBalancer ? 17 : 18;
  if (family == Family::ipv4) return fmt::format("172.{}.{}.1", net, service);
  return fmt::format("fd{}::{}:1", net, service);
}

EndpointSlice slice_at(unsigned service, List list, Family family, std::uint32_t round) {
  EndpointSlice slice;
  slice.key = {.ns = "test",
               .name = fmt::format("s{}-{}-{}", service, list == List::kLocal ? "local" : "remote",
                                   to_string(family))};
  slice.service = fmt::format("s{}", service);
  slice.family = family;
  for (const auto protocol : kProtocols)
    slice.ports.push_back({.name = std::string{to_string(protocol)},
                           .protocol = protocol,
                           .port = backend_port(round, protocol)});
  for (unsigned i = 0; i < list_size(service, list, round); ++i) {
    weir::Endpoint endpoint;
    endpoint.address =
        Address{backend_addr({.service = service, .list = list, .round = round}, i, family)};
    endpoint.node = list == List::kLocal ? kThisNode : "node-b";
    // Hints keep the local ones out of the cluster list: no backend is in both.
    endpoint.zone_hints = {list == List::kLocal ? "elsewhere" : kZone};
    slice.endpoints.push_back(std::move(endpoint));
  }
  return slice;
}

weir::Service service_at(unsigned number, std::uint32_t round) {
  const auto policies = policies_at(number, round);
  weir::Service service;
  service.key = {.ns = "test", .name = fmt::format("s{}", number)};
  service.type = ServiceType::load_balancer;
  for (const auto family : kFamilies) {
    service.cluster_ips.push_back(address(ip_of(number, Kind::kClusterIp, family)));
    service.external_ips.push_back(address(ip_of(number, Kind::kExternalIp, family)));
    service.load_balancer.push_back(
        {.address = address(ip_of(number, Kind::kLoadBalancer, family)), .proxied = false});
  }
  for (const auto protocol : kProtocols) {
    const Target at{.service = number, .protocol = protocol, .kind = Kind::kClusterIp};
    const Target node{.service = number, .protocol = protocol, .kind = Kind::kNodePort};
    service.ports.push_back({.name = std::string{to_string(protocol)},
                             .protocol = protocol,
                             .port = frontend_port(at),
                             .node_port = frontend_port(node)});
  }
  service.external_policy = policies.external_local ? TrafficPolicy::local : TrafficPolicy::cluster;
  service.internal_policy = policies.internal_local ? TrafficPolicy::local : TrafficPolicy::cluster;
  return service;
}

}  // namespace

std::vector<Target> all_targets() {
  std::vector<Target> targets;
  for (unsigned service = 0; service < kServices; ++service)
    for (const auto protocol : kProtocols)
      for (const auto family : kFamilies)
        for (const auto kind : kKinds)
          for (const auto side : kSides) targets.push_back({service, protocol, family, kind, side});
  return targets;
}

std::ostream& operator<<(std::ostream& out, const Target& target) {
  constexpr std::array kNames{"cluster IP", "node port", "load balancer", "external IP"};
  return out << "service " << target.service << ' ' << to_string(target.protocol) << ' '
             << to_string(target.family) << ' ' << kNames.at(static_cast<std::size_t>(target.kind))
             << (target.side == Side::kUplink ? " by uplink" : " from pod");
}

std::string frontend_ip(const Target& target) {
  if (target.kind == Kind::kNodePort) return target.family == Family::ipv4 ? kV4.node : kV6.node;
  return ip_of(target.service, target.kind, target.family);
}

std::uint16_t frontend_port(const Target& target) {
  const bool udp = target.protocol == Protocol::udp;
  if (target.kind != Kind::kNodePort) return udp ? 53 : 80;
  return static_cast<std::uint16_t>(30'000 + 2 * target.service + (udp ? 1 : 0));
}

weir_addr backend_addr(const BackendTag& backend, unsigned number, Family family) {
  const std::uint32_t tag = 10U << 24 | backend.service << 20 |
                            (backend.list == List::kLocal ? 1U << 19 : 0U) | number << 16 |
                            backend.round;
  weir_addr addr{};
  if (family == Family::ipv4)
    addr.word[2] = htonl(0xffff);
  else
    addr.word[0] = htonl(kV6Prefix);
  addr.word[3] = htonl(tag);
  return addr;
}

std::uint16_t backend_port(std::uint32_t round, Protocol protocol) {
  return static_cast<std::uint16_t>(20'000 + 2 * (round % 20'000) +
                                    (protocol == Protocol::udp ? 1 : 0));
}

std::optional<BackendTag> to_backend(const weir_addr& addr, std::uint16_t port, Protocol protocol,
                                     Family family) {
  const std::uint32_t tag = ntohl(addr.word[3]);
  const BackendTag backend{.service = tag >> 20 & 0xf,
                           .list = (tag & 1U << 19) != 0 ? List::kLocal : List::kCluster,
                           .round = tag & 0xffff};
  const weir_addr same = backend_addr(backend, tag >> 16 & 7, family);
  if (std::memcmp(&same, &addr, sizeof same) != 0) return std::nullopt;
  if (port != backend_port(backend.round, protocol)) return std::nullopt;
  return backend;
}

std::optional<List> who_answers(const Target& target, std::uint32_t round) {
  const auto policies = policies_at(target.service, round);
  const bool local = target.kind == Kind::kClusterIp
                         ? policies.internal_local
                         : policies.external_local && target.side == Side::kUplink;
  if (!local) return List::kCluster;
  return policies.has_local ? std::optional{List::kLocal} : std::nullopt;
}

ClusterState cluster_at(std::uint32_t round) {
  ClusterState cluster;
  cluster.nodes[kThisNode].name = kThisNode;
  cluster.nodes[kThisNode].zone = kZone;
  for (unsigned number = 0; number < kServices; ++number) {
    auto service = service_at(number, round);
    cluster.services.emplace(service.key, service);
    for (const auto family : kFamilies)
      for (const auto list : {List::kCluster, List::kLocal}) {
        if (list == List::kLocal && !policies_at(number, round).has_local) continue;
        auto slice = slice_at(number, list, family, round);
        cluster.slices.emplace(slice.key, std::move(slice));
      }
  }
  return cluster;
}

NodeView node_view() {
  const std::vector<Address> addresses{address(kV4.node), address(kV6.node)};
  return {.name = kThisNode, .addresses = addresses, .node_port_addresses = addresses};
}

ServiceIdentity identity_of(unsigned service, Protocol protocol, Family family) {
  return {.text = fmt::format("test/s{}:{}", service, to_string(protocol)),
          .protocol = protocol,
          .family = family};
}

}  // namespace weir::test
