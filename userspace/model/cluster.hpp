// SPDX-License-Identifier: Apache-2.0
// Kubernetes objects as far as weir reads them: plain values, no I/O. Field
// comments name the field of the API (core/v1, discovery.k8s.io/v1).
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/address.hpp"

namespace weir {

struct ObjectKey {
  std::string ns;
  std::string name;
  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;
  [[nodiscard]] std::string to_string() const { return ns + "/" + name; }
};

enum class ServiceType : std::uint8_t { cluster_ip, node_port, load_balancer, external_name };
enum class TrafficPolicy : std::uint8_t { cluster, local };

struct ServicePort {
  std::string name;                   // spec.ports[].name, may be empty
  Protocol protocol = Protocol::tcp;  // spec.ports[].protocol
  std::uint16_t port = 0;             // spec.ports[].port
  std::uint16_t node_port = 0;        // spec.ports[].nodePort, 0: none
  friend bool operator==(const ServicePort&, const ServicePort&) = default;
};

struct LoadBalancerAddress {
  Address address;       // status.loadBalancer.ingress[].ip
  bool proxied = false;  // ipMode: Proxy; such an address is not programmed
  friend bool operator==(const LoadBalancerAddress&, const LoadBalancerAddress&) = default;
};

struct Service {
  ObjectKey key;
  ServiceType type = ServiceType::cluster_ip;
  // spec.clusterIPs, at most one of each family, primary first. Empty: headless.
  std::vector<Address> cluster_ips;
  std::vector<ServicePort> ports;
  std::vector<Address> external_ips;
  std::vector<LoadBalancerAddress> load_balancer;
  TrafficPolicy internal_policy = TrafficPolicy::cluster;  // spec.internalTrafficPolicy
  TrafficPolicy external_policy = TrafficPolicy::cluster;  // spec.externalTrafficPolicy
  std::uint16_t health_check_node_port = 0;                // spec.healthCheckNodePort, 0: none
  // spec.sessionAffinity: ClientIP with sessionAffinityConfig.clientIP.timeoutSeconds; 0: None
  std::chrono::seconds affinity{0};
  std::vector<Cidr> source_ranges;  // spec.loadBalancerSourceRanges, host bits cleared
  bool reset_on_removal = false;    // annotation service.weir/on-removal: reset
  friend bool operator==(const Service&, const Service&) = default;
};

// Whether the API has a healthCheckNodePort for it.
inline bool needs_health_check(const Service& service) {
  return service.type == ServiceType::load_balancer &&
         service.external_policy == TrafficPolicy::local;
}

struct EndpointPort {
  std::string name;  // nil is ""
  Protocol protocol = Protocol::tcp;
  std::uint16_t port = 0;
  friend bool operator==(const EndpointPort&, const EndpointPort&) = default;
};

struct Endpoint {
  Address address;    // addresses[0]
  std::string node;   // nodeName, nil is ""
  bool ready = true;  // conditions, nil resolved
  bool serving = true;
  bool terminating = false;
  std::vector<std::string> zone_hints;  // hints.forZones[].name
  std::vector<std::string> node_hints;  // hints.forNodes[].name
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

struct EndpointSlice {
  ObjectKey key;
  std::string service;  // label kubernetes.io/service-name
  Family family = Family::ipv4;
  std::vector<EndpointPort> ports;
  std::vector<Endpoint> endpoints;
  friend bool operator==(const EndpointSlice&, const EndpointSlice&) = default;
};

// Slices are most of a cluster: who reads them and who keeps them share them.
class SharedSlice {
 public:
  SharedSlice() : SharedSlice{EndpointSlice{}} {}
  // NOLINTNEXTLINE(google-explicit-constructor): one is as good as the other
  SharedSlice(EndpointSlice slice)
      : slice_{std::make_shared<const EndpointSlice>(std::move(slice))} {}
  const EndpointSlice& operator*() const { return *slice_; }
  const EndpointSlice* operator->() const { return slice_.get(); }
  friend bool operator==(const SharedSlice& a, const SharedSlice& b) {
    return a.slice_ == b.slice_ || *a.slice_ == *b.slice_;
  }

 private:
  std::shared_ptr<const EndpointSlice> slice_;
};

struct Node {
  std::string name;
  std::string zone;                 // label topology.kubernetes.io/zone
  std::vector<Address> addresses;   // status.addresses of type InternalIP, ExternalIP
  bool deleted = false;             // metadata.deletionTimestamp is there
  std::vector<std::string> taints;  // spec.taints[].key
  friend bool operator==(const Node&, const Node&) = default;
};

// A complete view of one source. Ordered, so that planning does not depend on arrival.
struct ClusterState {
  std::map<ObjectKey, Service> services;
  std::map<ObjectKey, SharedSlice> slices;
  std::map<std::string, Node> nodes;
  friend bool operator==(const ClusterState&, const ClusterState&) = default;
};

// Where one ClusterState may differ from the one before.
struct StateChanges {
  bool whole = false;            // anywhere
  std::set<ObjectKey> services;  // they, or the slices that are theirs or were
  std::set<ObjectKey> slices;
  std::set<std::string> nodes;
  [[nodiscard]] bool empty() const {
    return !whole && services.empty() && slices.empty() && nodes.empty();
  }
  void merge(StateChanges other) {
    whole = whole || other.whole;
    services.merge(other.services);
    slices.merge(other.slices);
    nodes.merge(other.nodes);
  }
};

}  // namespace weir
