// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "source/manifests/readers.hpp"

namespace weir::manifests {
namespace {

constexpr std::array<Choice<ServiceType>, 4> kTypes{{{"ClusterIP", ServiceType::cluster_ip},
                                                     {"NodePort", ServiceType::node_port},
                                                     {"LoadBalancer", ServiceType::load_balancer},
                                                     {"ExternalName", ServiceType::external_name}}};
constexpr std::array<Choice<TrafficPolicy>, 2> kPolicies{
    {{"Cluster", TrafficPolicy::cluster}, {"Local", TrafficPolicy::local}}};
constexpr std::array<Choice<Family>, 2> kFamilies{{{"IPv4", Family::ipv4}, {"IPv6", Family::ipv6}}};
constexpr std::array<Choice<FamilyPolicy>, 3> kFamilyPolicies{
    {{"SingleStack", FamilyPolicy::single},
     {"PreferDualStack", FamilyPolicy::prefer_dual},
     {"RequireDualStack", FamilyPolicy::require_dual}}};
constexpr std::array<Choice<bool>, 2> kAffinities{{{"None", false}, {"ClientIP", true}}};
constexpr std::array<Choice<bool>, 2> kOnRemoval{{{"keep", false}, {"reset", true}}};
constexpr std::array<Choice<bool>, 2> kIpModes{{{"VIP", false}, {"Proxy", true}}};

bool is_text(const Field& field, std::string_view text) {
  return field.present() && field.value()->kind == ValueKind::text && field.value()->scalar == text;
}

// IANA_SVC_NAME, as the API server checks a targetPort that is a name.
bool is_target_name(std::string_view text) {
  const bool letter = std::any_of(text.begin(), text.end(), [](char c) { return c >= 'a'; });
  return letter && text.size() <= 15 && is_dns_name(text, 15, false) &&
         text.find("--") == std::string_view::npos;
}

void read_target(const Field& target, ServicePortManifest& port) {
  port.target = port.port.port;
  // The API server's default applies to 0 and "" too.
  if (!target.present() || is_text(target, "") ||
      (target.value()->kind == ValueKind::number && target.value()->scalar == "0"))
    return;
  if (target.value()->kind == ValueKind::text) {
    if (!is_target_name(target.value()->scalar))
      target.expected("a number from 1 to 65535 or the name of a container's port");
    port.target_name = target.value()->scalar;
    return;
  }
  port.target = static_cast<std::uint16_t>(target.number(1, 65'535).value_or(0));
}

void read_node_port(const Field& field, ServiceType type, const Options& options,
                    ServicePortManifest& port) {
  port.node_port_line = field.line();
  if (!field.present() ||
      (field.value()->kind == ValueKind::number && field.value()->scalar == "0"))
    return;
  if (type == ServiceType::cluster_ip) return field.expected("none, since spec.type is ClusterIP");
  // Outside of the range, a node port could be one that source NAT uses.
  port.port.node_port = static_cast<std::uint16_t>(
      field.number(options.node_port_first, options.node_port_last).value_or(0));
}

// Only a load balancer that must find the nodes with local endpoints asks for it.
void read_health_check(const Field& field, const Options& options, ServiceManifest& manifest) {
  Service& service = manifest.service;
  manifest.health_check_line = field.line();
  if (!field.present() ||
      (field.value()->kind == ValueKind::number && field.value()->scalar == "0"))
    return;
  if (!needs_health_check(service))
    return field.expected(
        "none, since spec.type is not LoadBalancer with spec.externalTrafficPolicy Local");
  const auto number = field.number(options.node_port_first, options.node_port_last).value_or(0);
  service.health_check_node_port = static_cast<std::uint16_t>(number);
  for (const auto& port : manifest.ports)
    if (number != 0 && port.port.protocol == Protocol::tcp && port.port.node_port == number)
      field.expected("a TCP node port that no port of the service has");
}

// Ports of one service that exclude each other.
class PortChecks {
 public:
  void check(const Field& field, const ServicePort& port) {
    if (!names_.insert(port.name).second)
      field["name"].expected("a name that no other port of the service has");
    if (port.port != 0 && !ports_.emplace(port.protocol, port.port).second)
      field["port"].expected(
          fmt::format("a {} port that the service has only once", to_string(port.protocol)));
    if (port.node_port != 0 && !node_ports_.emplace(port.protocol, port.node_port).second)
      field["nodePort"].expected(
          fmt::format("a {} node port that the service has only once", to_string(port.protocol)));
  }

 private:
  std::set<std::string> names_;
  std::set<std::pair<Protocol, std::uint16_t>> ports_;
  std::set<std::pair<Protocol, std::uint16_t>> node_ports_;
};

void read_ports(const Field& spec, const Options& options, ServiceManifest& manifest) {
  const Field list = spec["ports"].list();
  if (!manifest.unserved && list.size() == 0 && (!spec["ports"].present() || list.present()))
    spec["ports"].expected("at least one port");
  if (list.size() > kMostPorts) {
    list.expected(fmt::format("at most {} ports", kMostPorts));
    return;
  }
  PortChecks checks;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Field item = list.item(i);
    const Field field = item.map();
    if (!item.present()) item.expected("a map");
    if (!field.present()) continue;
    ServicePortManifest port;
    port.port.name = read_port_name(field["name"]);
    if (list.size() > 1 && (!field["name"].present() || is_text(field["name"], "")))
      field["name"].expected("a name, since the service has several ports");
    port.port.protocol = field["protocol"].choice(kProtocols, Protocol::tcp);
    port.port.port = static_cast<std::uint16_t>(field["port"].number(1, 65'535).value_or(0));
    read_target(field["targetPort"], port);
    read_node_port(field["nodePort"], manifest.service.type, options, port);
    if (list.size() == 1 || !port.port.name.empty()) checks.check(field, port.port);
    manifest.ports.push_back(std::move(port));
  }
}

void read_families(const Field& spec, ServiceManifest& manifest) {
  manifest.family_policy = spec["ipFamilyPolicy"].choice(kFamilyPolicies, FamilyPolicy::unset);
  const Field list = spec["ipFamilies"].list();
  if (list.size() > 2) list.expected("at most two families");
  for (std::size_t i = 0; i < std::min<std::size_t>(list.size(), 2); ++i) {
    const Field field = list.item(i);
    const Family family = field.choice(kFamilies, Family::ipv4);
    if (!manifest.families.empty() && manifest.families[0] == family &&
        is_text(field, to_string(family)))
      field.expected("a family that is not there already");
    manifest.families.push_back(family);
  }
}

void read_cluster_ip(const Field& field, ServiceManifest& manifest) {
  auto& ips = manifest.service.cluster_ips;
  const std::size_t i = ips.size();
  const auto address =
      i < manifest.families.size() ? field.address(manifest.families[i]) : field.address();
  if (!address) return;
  if (i == 1 && ips[0].family() == address->family())
    return field.expected("an address of the other family than the first");
  ips.push_back(*address);
  manifest.cluster_ip_lines.push_back(field.line());
}

void read_cluster_ips(const Field& spec, ServiceManifest& manifest) {
  const Field one = spec["clusterIP"];
  const Field list = spec["clusterIPs"].list();
  const Field first = list.size() > 0 ? list.item(0) : list;
  if (is_text(one, "None") || (list.size() > 0 && is_text(first, "None"))) {
    manifest.unserved = true;
    return;
  }
  const bool given = one.present() && !is_text(one, "");
  if (list.size() == 0) {
    if (given) read_cluster_ip(one, manifest);
    return;
  }
  if (list.size() > 2) return list.expected("at most two addresses");
  const auto address = given ? one.address() : std::nullopt;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Field field = list.item(i);
    read_cluster_ip(field, manifest);
  }
  if (address && !manifest.service.cluster_ips.empty() &&
      *address != manifest.service.cluster_ips[0])
    one.expected(fmt::format("the first of spec.clusterIPs, {}",
                             manifest.service.cluster_ips[0].to_string()));
}

void check_families(const Field& spec, ServiceManifest& manifest) {
  const auto stated = std::max(manifest.families.size(), manifest.service.cluster_ips.size());
  if (stated == 2 && manifest.family_policy == FamilyPolicy::single)
    spec["ipFamilyPolicy"].expected("PreferDualStack or RequireDualStack for two families");
  // As the API server completes it.
  if (stated == 2 && manifest.family_policy == FamilyPolicy::unset)
    manifest.family_policy = FamilyPolicy::require_dual;
}

void read_load_balancer(const Field& root, ServiceManifest& manifest) {
  if (manifest.service.type != ServiceType::load_balancer) return;
  const Field status = root["status"].map();
  const Field balancer = status["loadBalancer"].map();
  const Field list = balancer["ingress"].list();
  manifest.allocate_load_balancer = list.size() == 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Field item = list.item(i);
    const Field ingress = item.map();
    const bool proxied = ingress["ipMode"].choice(kIpModes, false);
    if (!ingress["ip"].present() || is_text(ingress["ip"], "")) continue;  // a host name
    if (const auto address = ingress["ip"].address())
      manifest.service.load_balancer.push_back({*address, proxied});
  }
}

// sessionAffinity and sessionAffinityConfig.clientIP.timeoutSeconds, with the API's defaults.
void read_affinity(const Field& spec, Service& service) {
  constexpr std::int64_t kLongest = 86'400;
  const bool by_client =
      !is_text(spec["sessionAffinity"], "") && spec["sessionAffinity"].choice(kAffinities, false);
  const Field config = spec["sessionAffinityConfig"].map();
  const Field client = config["clientIP"].map();
  const Field timeout = client["timeoutSeconds"];
  const auto seconds = timeout.present() ? timeout.number(1, kLongest).value_or(0) : 10'800;
  if (by_client) service.affinity = std::chrono::seconds{seconds};
}

void read_source_ranges(const Field& spec, Service& service) {
  const Field list = spec["loadBalancerSourceRanges"].list();
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Field item = list.item(i);
    if (const auto range = item.range()) service.source_ranges.push_back(*range);
  }
}

// One of ours that is not known is a wish that would silently not come true.
void read_annotations(const Field& metadata, Service& service) {
  constexpr std::string_view kOnlyOne = "service.weir/on-removal";
  const Field annotations = metadata["annotations"].map();
  service.reset_on_removal = annotations[kOnlyOne].choice(kOnRemoval, false);
  if (!annotations.present()) return;
  for (const Value& value : annotations.value()->items())
    if (value.name.starts_with("service.weir/") && value.name != kOnlyOne)
      annotations[value.name].expected(
          fmt::format("no other annotation of weir's than {}", kOnlyOne));
}

}  // namespace

ServiceManifest read_service(const Field& root, const Options& options) {
  ServiceManifest manifest;
  Service& service = manifest.service;
  const Field metadata = root["metadata"].map();
  const Field spec = root["spec"].map();
  manifest.spec_line = spec.line();
  if (root["spec"].present() && !spec.present()) return manifest;  // reported
  manifest.unserved = is_for_another_proxy(metadata["labels"].labels());
  service.type = is_text(spec["type"], "") ? ServiceType::cluster_ip
                                           : spec["type"].choice(kTypes, ServiceType::cluster_ip);
  if (service.type == ServiceType::external_name) {
    manifest.unserved = true;
    return manifest;
  }
  manifest.selector = spec["selector"].labels();
  manifest.publish_not_ready = spec["publishNotReadyAddresses"].boolean(false);
  manifest.allocate_node_ports = spec["allocateLoadBalancerNodePorts"].boolean(true);
  service.internal_policy = spec["internalTrafficPolicy"].choice(kPolicies, TrafficPolicy::cluster);
  service.external_policy = spec["externalTrafficPolicy"].choice(kPolicies, TrafficPolicy::cluster);
  read_affinity(spec, service);
  read_source_ranges(spec, service);
  read_annotations(metadata, service);
  read_families(spec, manifest);
  read_cluster_ips(spec, manifest);
  check_families(spec, manifest);
  read_ports(spec, options, manifest);
  read_health_check(spec["healthCheckNodePort"], options, manifest);
  const Field externals = spec["externalIPs"].list();
  for (std::size_t i = 0; i < externals.size(); ++i) {
    const Field external = externals.item(i);
    if (const auto address = external.address()) service.external_ips.push_back(*address);
  }
  read_load_balancer(root, manifest);
  return manifest;
}

}  // namespace weir::manifests
