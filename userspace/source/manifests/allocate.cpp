// SPDX-License-Identifier: Apache-2.0
#include "source/manifests/allocate.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "source/manifests/hash.hpp"
#include "source/manifests/pool.hpp"

namespace weir::manifests {
namespace {

const ServiceManifest& manifest_of(const Object& object) {
  return std::get<ServiceManifest>(object.body);
}

class Allocator {
 public:
  explicit Allocator(const Options& options)
      : options_{options},
        ports_{{Protocol::tcp, port_pool()},
               {Protocol::udp, port_pool()},
               {Protocol::sctp, port_pool()}} {
    for (const auto& cidr : options.service_cidrs) cluster_.emplace_back(cidr);
    for (const auto& cidr : options.load_balancer_pools) balancer_.emplace_back(cidr);
  }

  // What the manifests state is never given to another service.
  void reserve(const ServiceManifest& manifest) {
    for (const auto& address : manifest.service.cluster_ips) reserve(address);
    for (const auto& address : manifest.service.external_ips) reserve(address);
    for (const auto& ingress : manifest.service.load_balancer) reserve(ingress.address);
    for (const auto& port : manifest.ports)
      if (port.port.node_port != 0)
        ports_.at(port.port.protocol).reserve(number(port.port.node_port));
    if (manifest.service.health_check_node_port != 0)
      health_check_ports().reserve(number(manifest.service.health_check_node_port));
  }

  // The complete service, or why not; then nothing was taken.
  Result<Service> complete(const Object& object, std::vector<Line>& lines) {
    object_ = &object;
    notes_.clear();
    const ServiceManifest& manifest = manifest_of(object);
    Service service = manifest.service;
    for (const auto& port : manifest.ports) service.ports.push_back(port.port);
    auto done = add_cluster_ips(manifest, service);
    if (done) done = add_node_ports(manifest, service);
    if (done) done = add_health_check_port(service);
    if (!done) {
      give_back(manifest, service);
      return std::unexpected{done.error()};
    }
    add_load_balancer(manifest, service);
    std::move(notes_.begin(), notes_.end(), std::back_inserter(lines));
    return service;
  }

 private:
  [[nodiscard]] NumberPool port_pool() const {
    return NumberPool{options_.node_port_first > options_.node_port_last
                          ? 0U
                          : options_.node_port_last - options_.node_port_first + 1U};
  }
  [[nodiscard]] std::uint64_t number(std::uint16_t port) const {
    // Below the range: wraps to a number outside of it.
    return static_cast<std::uint64_t>(port) - options_.node_port_first;
  }

  // One listens there.
  [[nodiscard]] NumberPool& health_check_ports() { return ports_.at(Protocol::tcp); }

  void reserve(const Address& address) {
    for (auto& pool : cluster_) pool.reserve(address);
    for (auto& pool : balancer_) pool.reserve(address);
  }

  static AddressPool* pool_of(std::vector<AddressPool>& pools, Family family) {
    const auto found = std::find_if(pools.begin(), pools.end(), [&](const AddressPool& pool) {
      return pool.cidr().base.family() == family;
    });
    return found == pools.end() ? nullptr : &*found;
  }

  [[nodiscard]] std::uint64_t hash(std::string_view what, std::string_view port = {},
                                   std::string_view protocol = {}) const {
    return fnv1a({what, object_->key.ns, object_->key.name, port, protocol});
  }

  void note(log::Level level, std::string text) {
    Place place = object_->place;
    place.line = manifest_of(*object_).spec_line;
    notes_.push_back({level, placed(place, fmt::format("Service {}: {}", object_->key.to_string(),
                                                       std::move(text)))});
  }
  void note_move(std::string_view what, std::string_view wished, std::string_view got) {
    note(log::Level::info, fmt::format("{} {} is taken, {} instead", what, wished, got));
  }

  // Families in order, primary first.
  Result<std::vector<Family>> families(const ServiceManifest& manifest) {
    std::vector<Family> families = manifest.families;
    if (families.empty())
      for (const auto& ip : manifest.service.cluster_ips) families.push_back(ip.family());
    if (families.empty() && !cluster_.empty())
      families.push_back(cluster_.front().cidr().base.family());
    if (families.empty())
      return fail("spec.clusterIP: expected an address, since no service CIDR is configured");
    const bool prefer = manifest.family_policy == FamilyPolicy::prefer_dual;
    if (families.size() == 1 && (prefer || manifest.family_policy == FamilyPolicy::require_dual))
      families.push_back(families[0] == Family::ipv4 ? Family::ipv6 : Family::ipv4);
    std::vector<Family> possible;
    for (const Family family : families) {
      if (has_address(manifest.service, family) || pool_of(cluster_, family) != nullptr)
        possible.push_back(family);
      else if (!prefer)
        return fail("spec.ipFamilies: expected families that have a service CIDR, got {}",
                    to_string(family));
    }
    if (possible.empty()) return fail("spec.ipFamilies: expected a family that has a service CIDR");
    return possible;
  }

  static bool has_address(const Service& service, Family family) {
    return std::any_of(service.cluster_ips.begin(), service.cluster_ips.end(),
                       [&](const Address& ip) { return ip.family() == family; });
  }

  Result<> add_cluster_ips(const ServiceManifest& manifest, Service& service) {
    const auto wanted = families(manifest);
    if (!wanted) return std::unexpected{wanted.error()};
    std::vector<Address> ips;
    service.cluster_ips.clear();
    for (const Family family : *wanted) {
      const auto& stated = manifest.service.cluster_ips;
      const auto own = std::find_if(stated.begin(), stated.end(),
                                    [&](const Address& ip) { return ip.family() == family; });
      if (own != stated.end()) {
        service.cluster_ips.push_back(*own);
        continue;
      }
      AddressPool& pool = *pool_of(cluster_, family);
      const auto taken = pool.take(hash("cluster-ip", to_string(family)));
      if (!taken) return fail("spec.clusterIP: no address is left in {}", pool.cidr().to_string());
      reserve(taken->address);
      if (taken->address != taken->wished)
        note_move("cluster IP", taken->wished.to_string(), taken->address.to_string());
      service.cluster_ips.push_back(taken->address);
    }
    return {};
  }

  Result<> add_node_ports(const ServiceManifest& manifest, Service& service) {
    if (manifest.service.type == ServiceType::cluster_ip) return {};
    if (manifest.service.type == ServiceType::load_balancer && !manifest.allocate_node_ports)
      return {};
    for (std::size_t i = 0; i < service.ports.size(); ++i) {
      ServicePort& port = service.ports[i];
      if (port.node_port != 0) continue;
      const auto taken =
          ports_.at(port.protocol).take(hash("node-port", port.name, to_string(port.protocol)));
      if (!taken)
        return fail("spec.ports[{}].nodePort: no {} node port is left from {} to {}", i,
                    to_string(port.protocol), options_.node_port_first, options_.node_port_last);
      port.node_port = static_cast<std::uint16_t>(taken->number + options_.node_port_first);
      if (taken->moved)
        note(log::Level::info, fmt::format("node port {} is not its first choice", port.node_port));
    }
    return {};
  }

  Result<> add_health_check_port(Service& service) {
    if (!needs_health_check(service) || service.health_check_node_port != 0) return {};
    const auto taken = health_check_ports().take(hash("health-check-node-port"));
    if (!taken)
      return fail("spec.healthCheckNodePort: no TCP node port is left from {} to {}",
                  options_.node_port_first, options_.node_port_last);
    service.health_check_node_port =
        static_cast<std::uint16_t>(taken->number + options_.node_port_first);
    if (taken->moved)
      note(log::Level::info, fmt::format("health check node port {} is not its first choice",
                                         service.health_check_node_port));
    return {};
  }

  // Without an address the service still has its others, as one whose load balancer is not
  // there yet has them.
  void add_load_balancer(const ServiceManifest& manifest, Service& service) {
    if (service.type != ServiceType::load_balancer || !manifest.allocate_load_balancer) return;
    for (const auto& ip : service.cluster_ips) {
      AddressPool* pool = pool_of(balancer_, ip.family());
      if (pool == nullptr) continue;
      const auto taken = pool->take(hash("load-balancer", to_string(ip.family())));
      if (!taken) {
        note(log::Level::warning,
             fmt::format("no load-balancer address is left in {}", pool->cidr().to_string()));
        continue;
      }
      reserve(taken->address);
      if (taken->address != taken->wished)
        note_move("load-balancer address", taken->wished.to_string(), taken->address.to_string());
      service.load_balancer.push_back({taken->address, false});
    }
  }

  void give_back(const ServiceManifest& manifest, const Service& service) {
    for (const auto& ip : service.cluster_ips) {
      if (has(manifest.service.cluster_ips, ip)) continue;
      for (auto& pool : cluster_) pool.release(ip);
      for (auto& pool : balancer_) pool.release(ip);
    }
    for (std::size_t i = 0; i < service.ports.size(); ++i)
      if (service.ports[i].node_port != 0 && manifest.ports[i].port.node_port == 0)
        ports_.at(service.ports[i].protocol).release(number(service.ports[i].node_port));
  }

  static bool has(const std::vector<Address>& list, const Address& address) {
    return std::find(list.begin(), list.end(), address) != list.end();
  }

  const Options& options_;
  std::vector<AddressPool> cluster_;
  std::vector<AddressPool> balancer_;
  std::map<Protocol, NumberPool> ports_;
  const Object* object_ = nullptr;  // being completed
  std::vector<Line> notes_;
};

}  // namespace

Allocation allocate(const Services& services, const Options& options) {
  Allocation result;
  Allocator allocator{options};
  for (const auto& [key, object] : services)
    if (!manifest_of(*object).unserved) allocator.reserve(manifest_of(*object));
  for (const auto& [key, object] : services) {
    const ServiceManifest& manifest = manifest_of(*object);
    if (manifest.unserved) continue;
    auto service = allocator.complete(*object, result.lines);
    if (service) {
      result.services.emplace(key, std::move(*service));
      continue;
    }
    Place place = object->place;
    place.line = manifest.spec_line;
    result.failures.emplace(
        key, Line{log::Level::warning, placed(place, fmt::format("Service {}: {}", key.to_string(),
                                                                 service.error().message()))});
  }
  return result;
}

}  // namespace weir::manifests
