// SPDX-License-Identifier: Apache-2.0
#include "plan/plan.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "plan/endpoints.hpp"

namespace weir {
namespace {

weir_service_type type_of(ServiceType type) {
  switch (type) {
    case ServiceType::node_port:
      return WEIR_TYPE_NODE_PORT;
    case ServiceType::load_balancer:
      return WEIR_TYPE_LOAD_BALANCER;
    case ServiceType::cluster_ip:
    case ServiceType::external_name:
      break;  // the latter is never planned
  }
  return WEIR_TYPE_CLUSTER_IP;
}

weir_service_key frontend_key(const Address& address, std::uint16_t port, Protocol protocol) {
  return {.addr = address.raw(),
          .port = htons(port),
          .proto = static_cast<std::uint8_t>(std::to_underlying(protocol)),
          .zero = 0};
}

// What one service has of one family: the addresses of the others are planned apart.
struct FamilyView {
  Address cluster_ip;
  std::vector<Address> load_balancer;
  std::vector<Address> external_ips;
};

FamilyView view_of(const Service& service, const Address& cluster_ip) {
  FamilyView view{.cluster_ip = cluster_ip, .load_balancer = {}, .external_ips = {}};
  // The unspecified address is where node ports live: nobody may claim it by name.
  const auto usable = [family = cluster_ip.family()](const Address& address) {
    return address.family() == family && !address.is_unspecified();
  };
  for (const auto& entry : service.load_balancer)
    if (!entry.proxied && usable(entry.address)) view.load_balancer.push_back(entry.address);
  for (const auto& address : service.external_ips)
    if (usable(address)) view.external_ips.push_back(address);
  return view;
}

class Planning {
 public:
  Planning(const ClusterState& cluster, const NodeView& node, const SliceIndex& slices)
      : cluster_{cluster}, node_{node}, slices_{slices} {
    if (const auto self = cluster.nodes.find(node.name); self != cluster.nodes.end())
      zone_ = self->second.zone;
  }

  void add_node() {
    for (const auto& address : node_.addresses)
      tables_.addresses[address.raw()] |= WEIR_ADDRESS_NODE;
    for (const auto& address : node_.node_port_addresses)
      tables_.addresses[address.raw()] |= WEIR_ADDRESS_NODE_PORT;
    for (const auto& address : node_.localhost)
      tables_.addresses[address.raw()] |= WEIR_ADDRESS_LOCALHOST;
  }

  void add_service(const Service& service) {
    if (service.type == ServiceType::external_name) return;
    for (const auto& cluster_ip : service.cluster_ips) {
      if (cluster_ip.is_unspecified()) continue;
      const FamilyView view = view_of(service, cluster_ip);
      for (const auto& port : service.ports) plan_port(service, port, view);
    }
  }

  WantedTables take() { return std::move(tables_); }

 private:
  void plan_port(const Service& service, const ServicePort& port, const FamilyView& view) {
    const Family family = view.cluster_ip.family();
    std::string text = service.key.to_string();
    if (!port.name.empty()) text += ":" + port.name;
    const auto [entry, fresh] =
        tables_.services.try_emplace({std::move(text), port.protocol, family});
    if (!fresh) return;  // two ports of one name: the API refuses that
    auto& wanted = entry->second;
    wanted.type = type_of(service.type);
    wanted.port = port.port;
    wanted.affinity = static_cast<std::uint32_t>(service.affinity.count());
    plan_frontends(entry->first, wanted, port, view);
    plan_ranges(service, view, wanted);
    plan_endpoints(service, port, view, wanted);
  }

  void plan_frontends(const ServiceIdentity& self, WantedService& wanted, const ServicePort& port,
                      const FamilyView& view) {
    const auto claim = [&](const Address& address, std::uint16_t number, weir_frontend kind) {
      const auto key = frontend_key(address, number, port.protocol);
      const auto [owner, fresh] = owners_.try_emplace(key, &self);
      if (fresh) {
        wanted.frontends.emplace(key, kind);
        if (kind != WEIR_FRONTEND_NODE_PORT) tables_.addresses[key.addr] |= WEIR_ADDRESS_SERVICE;
      } else if (owner->second != &self) {
        tables_.conflicts.push_back({key, *owner->second, self});
      }
    };
    claim(view.cluster_ip, port.port, WEIR_FRONTEND_CLUSTER_IP);
    // Before the external IPs: of an address that is both, the source ranges are to hold.
    for (const auto& address : view.load_balancer)
      claim(address, port.port, WEIR_FRONTEND_LOAD_BALANCER);
    for (const auto& address : view.external_ips)
      claim(address, port.port, WEIR_FRONTEND_EXTERNAL_IP);
    if (port.node_port != 0)
      claim(Address::unspecified(self.family), port.node_port, WEIR_FRONTEND_NODE_PORT);
  }

  // Without a range of the family nothing is filtered, and /0 is everybody. Whoever may ask as this
  // node may also ask as one of the addresses: where it is bound to a device of the node, the node
  // takes it for its source.
  void plan_ranges(const Service& service, const FamilyView& view, WantedService& wanted) {
    const Family family = view.cluster_ip.family();
    RangeSet ranges;
    for (const auto& range : service.source_ranges)
      if (range.base.family() == family) ranges.push_back(range);
    const auto everybody = [](const Cidr& range) { return range.length == 0; };
    if (view.load_balancer.empty() || ranges.empty() || std::ranges::any_of(ranges, everybody))
      return;
    const bool node_in_range = std::ranges::any_of(node_.addresses, [&](const Address& address) {
      return std::ranges::any_of(ranges,
                                 [&](const Cidr& range) { return range.contains(address); });
    });
    if (node_in_range) {
      wanted.flags |= WEIR_VERSION_RANGES_NODE;
      for (const auto& address : view.load_balancer) ranges.push_back(Cidr::host(address));
    }
    std::ranges::sort(ranges);
    const auto rest = std::ranges::unique(ranges);
    ranges.erase(rest.begin(), rest.end());
    wanted.ranges = std::move(ranges);
  }

  void plan_endpoints(const Service& service, const ServicePort& port, const FamilyView& view,
                      WantedService& wanted) {
    const Family family = view.cluster_ip.family();
    const bool external =
        port.node_port != 0 || !view.load_balancer.empty() || !view.external_ips.empty();
    const bool internal_local = service.internal_policy == TrafficPolicy::local;
    // Without a way in from outside, what externalTrafficPolicy says is a leftover.
    const bool external_local =
        service.external_policy == TrafficPolicy::local && external &&
        (service.type != ServiceType::cluster_ip || !service.external_ips.empty());

    const auto endpoints = slices_.endpoints(cluster_, service.key, family, port, node_.name);
    auto selection = select_endpoints(endpoints, {.uses_cluster = !internal_local || external,
                                                  .uses_local = internal_local || external_local,
                                                  .node = node_.name,
                                                  .zone = zone_});
    wanted.cluster = std::move(selection.cluster);
    wanted.local = std::move(selection.local);
    if (internal_local) wanted.flags |= WEIR_VERSION_INTERNAL_LOCAL;
    if (external_local) wanted.flags |= WEIR_VERSION_EXTERNAL_LOCAL;
    if (selection.has_endpoint) wanted.flags |= WEIR_VERSION_HAS_ENDPOINT;
    for (const auto& endpoint : endpoints) {
      const Endpoint& source = *endpoint.source;
      // A UDP flow has no end of its own: it would stay for good with a server that does not
      // answer. A TCP flow to a server that is not ready is its client's affair.
      if (port.protocol == Protocol::udp && !source.ready && !source.serving) continue;
      wanted.backends.emplace_hint(wanted.backends.end(), endpoint.id,
                                   WantedBackend{.terminating = source.terminating || !source.ready,
                                                 .local = endpoint.local,
                                                 .reset = service.reset_on_removal});
    }
  }

  const ClusterState& cluster_;
  const NodeView& node_;
  const SliceIndex& slices_;
  std::string_view zone_;
  WantedTables tables_;
  std::map<weir_service_key, const ServiceIdentity*> owners_;
};

}  // namespace

WantedTables plan(const ClusterState& cluster, const NodeView& node, const SliceIndex& slices) {
  Planning planning{cluster, node, slices};
  planning.add_node();
  for (const auto& [key, service] : cluster.services) planning.add_service(service);
  return planning.take();
}

WantedTables plan(const ClusterState& cluster, const NodeView& node) {
  return plan(cluster, node, SliceIndex{cluster});
}

WantedTables plan_services(const ClusterState& cluster, const NodeView& node,
                           const SliceIndex& slices, const std::set<ObjectKey>& services) {
  Planning planning{cluster, node, slices};
  for (const auto& key : services)
    if (const auto found = cluster.services.find(key); found != cluster.services.end())
      planning.add_service(found->second);
  return planning.take();
}

}  // namespace weir
