// SPDX-License-Identifier: Apache-2.0
#include "bpf/oracle/naive.hpp"

#include <algorithm>
#include <ostream>

namespace weir::test::naive {
namespace {

bool within(const Address& address, const Cidr& block) {
  if (address.family() != block.base.family()) return false;
  const unsigned skip = address.family() == Family::ipv4 ? 96 : 0;
  const auto* a = reinterpret_cast<const unsigned char*>(&address.raw());
  const auto* b = reinterpret_cast<const unsigned char*>(&block.base.raw());
  for (unsigned bit = 0; bit < skip + block.length; ++bit)
    if (((a[bit / 8] ^ b[bit / 8]) >> (7 - bit % 8) & 1) != 0) return false;
  return true;
}

bool has(const std::vector<Address>& list, const Address& address) {
  return std::ranges::find(list, address) != list.end();
}

bool has(const std::vector<std::string>& list, const std::string& text) {
  return std::ranges::find(list, text) != list.end();
}

bool lives_in(const Service& service, Family family) {
  if (service.type == ServiceType::external_name) return false;
  return std::ranges::any_of(service.cluster_ips,
                             [&](const Address& ip) { return ip.family() == family; });
}

// VIPs that this node answers for: a load balancer that must see the traffic itself keeps its own.
std::vector<Address> vips(const Service& service) {
  std::vector<Address> list;
  for (const auto& entry : service.load_balancer)
    if (!entry.proxied) list.push_back(entry.address);
  return list;
}

// "ClusterIP", ..., or nothing if the address is none of the service's.
std::string address_kind(const Service& service, const Address& to) {
  if (!lives_in(service, to.family())) return {};
  if (has(service.cluster_ips, to)) return "ClusterIP";
  if (has(vips(service), to)) return "LoadBalancer";
  if (has(service.external_ips, to)) return "ExternalIP";
  return {};
}

struct Claim {
  const Service* service;
  const ServicePort* port;
  std::string kind;
};

std::vector<Claim> claims(const ClusterState& cluster, const Question& asked, bool node_ports) {
  std::vector<Claim> found;
  for (const auto& [key, service] : cluster.services)
    for (const auto& port : service.ports) {
      if (port.protocol != asked.protocol) continue;
      if (node_ports) {
        if (lives_in(service, asked.to.family()) && port.node_port == asked.port)
          found.push_back({&service, &port, "NodePort"});
        continue;
      }
      const auto kind = address_kind(service, asked.to);
      if (!kind.empty() && port.port == asked.port) found.push_back({&service, &port, kind});
    }
  return found;
}

struct Candidate {
  Endpoint endpoint;
  std::string text;
};

std::vector<Candidate> candidates(const ClusterState& cluster, const Claim& claim, Family family) {
  std::vector<Candidate> found;
  for (const auto& [key, slice] : cluster.slices) {
    if (key.ns != claim.service->key.ns || slice->service != claim.service->key.name) continue;
    if (slice->family != family) continue;
    for (const auto& port : slice->ports)
      if (port.name == claim.port->name && port.protocol == claim.port->protocol)
        for (const auto& endpoint : slice->endpoints)
          found.push_back({endpoint, endpoint_text(endpoint.address, port.port)});
  }
  return found;
}

bool dying(const Endpoint& endpoint) {
  return !endpoint.ready && endpoint.serving && endpoint.terminating;
}

// Those that are ready; if there is none, those that still answer while they shut down.
std::vector<Candidate> in_use(const std::vector<Candidate>& all) {
  std::vector<Candidate> ready, last;
  for (const auto& one : all) {
    if (one.endpoint.ready) ready.push_back(one);
    if (dying(one.endpoint)) last.push_back(one);
  }
  return ready.empty() ? last : ready;
}

// A level of hints counts if every ready endpoint has some and one of them names what is ours.
std::vector<Candidate> hinted(const std::vector<Candidate>& ready,
                              const std::vector<std::string> Endpoint::* hints,
                              const std::string& ours) {
  std::vector<Candidate> chosen;
  for (const auto& one : ready) {
    if ((one.endpoint.*hints).empty()) return {};
    if (has(one.endpoint.*hints, ours)) chosen.push_back(one);
  }
  return chosen;
}

std::vector<Candidate> cluster_list(const std::vector<Candidate>& all, const Node& node,
                                    const std::string& zone) {
  const auto used = in_use(all);
  if (used.empty() || !used.front().endpoint.ready) return used;
  auto chosen = hinted(used, &Endpoint::node_hints, node.name);
  if (chosen.empty() && !zone.empty()) chosen = hinted(used, &Endpoint::zone_hints, zone);
  return chosen.empty() ? used : chosen;
}

std::vector<Candidate> local_list(const std::vector<Candidate>& all, const Node& node) {
  std::vector<Candidate> here;
  for (const auto& one : all)
    if (one.endpoint.node == node.name) here.push_back(one);
  return in_use(here);
}

bool externally_accessible(const Service& service, const ServicePort& port, Family family) {
  const auto of_family = [&](const Address& address) { return address.family() == family; };
  return port.node_port != 0 || std::ranges::any_of(vips(service), of_family) ||
         std::ranges::any_of(service.external_ips, of_family);
}

bool takes_local(const Claim& claim, const Question& asked) {
  const Service& service = *claim.service;
  if (claim.kind == "ClusterIP") return service.internal_policy == TrafficPolicy::local;
  return service.external_policy == TrafficPolicy::local && asked.from == From::outside &&
         externally_accessible(service, *claim.port, asked.to.family());
}

// Source ranges bind VIPs alone.
bool admitted(const Claim& claim, const Node& node, const Question& asked) {
  if (claim.kind != "LoadBalancer") return true;
  std::vector<Cidr> ranges;
  for (const auto& range : claim.service->source_ranges)
    if (range.base.family() == asked.to.family()) ranges.push_back(range);
  if (ranges.empty()) return true;
  bool client = false, this_node = false;
  for (const auto& range : ranges) {
    if (range.length == 0) return true;
    if (within(asked.client, range)) client = true;
    for (const auto& address : node.addresses)
      if (within(address, range)) this_node = true;
  }
  if (asked.from == From::host) return this_node;  // it may come from any of its addresses
  // A VIP that is bound on the node is what the node takes for its source.
  return client || (this_node && has(vips(*claim.service), asked.client));
}

std::string zone_of(const ClusterState& cluster, const Node& node) {
  const auto self = cluster.nodes.find(node.name);
  return self == cluster.nodes.end() ? "" : self->second.zone;
}

Answer answer_of(const ClusterState& cluster, const Node& node, const Question& asked,
                 const Claim& claim) {
  Answer answer;
  answer.service = claim.service->key.to_string();
  if (!claim.port->name.empty()) answer.service += ":" + claim.port->name;
  answer.frontend = claim.kind;
  if (!admitted(claim, node, asked)) {
    answer.fate = Fate::drop;
    return answer;
  }
  const auto all = candidates(cluster, claim, asked.to.family());
  const bool local = takes_local(claim, asked);
  answer.list = local ? "local" : "cluster";
  for (const auto& one :
       local ? local_list(all, node) : cluster_list(all, node, zone_of(cluster, node))) {
    answer.backends.insert(one.text);
    if (one.endpoint.node == node.name) answer.here.insert(one.text);
  }
  if (!answer.backends.empty())
    answer.fate = Fate::forward;
  else
    answer.fate = in_use(all).empty() ? Fate::reject : Fate::drop;
  return answer;
}

}  // namespace

std::optional<Answer> decide(const ClusterState& cluster, const Node& node, const Question& asked) {
  if (asked.protocol == Protocol::sctp && asked.from == From::host)
    return Answer{};  // no hook of the kernel's sees such a socket
  auto claimed = claims(cluster, asked, false);
  const bool node_ports = has(node.node_port_addresses, asked.to) ||
                          (asked.from == From::host && has(node.localhost, asked.to));
  if (claimed.empty() && node_ports) claimed = claims(cluster, asked, true);
  if (claimed.size() > 1) return std::nullopt;
  if (!claimed.empty()) return answer_of(cluster, node, asked, claimed.front());

  Answer answer;
  const bool ours = std::ranges::any_of(cluster.services, [&](const auto& entry) {
    return !entry.second.ports.empty() && !address_kind(entry.second, asked.to).empty();
  });
  if (has(node.addresses, asked.to) || node_ports) return answer;
  if (ours)
    answer.fate = Fate::reject;
  else if (std::ranges::any_of(node.cluster_ip_blocks,
                               [&](const Cidr& block) { return within(asked.to, block); }))
    answer.fate = Fate::drop;
  return answer;
}

std::ostream& operator<<(std::ostream& out, const Question& question) {
  constexpr const char* kFrom[] = {"outside", "pod", "host"};
  return out << kFrom[static_cast<int>(question.from)] << ' ' << to_string(question.protocol) << ' '
             << question.client.to_string() << " -> " << endpoint_text(question.to, question.port);
}

std::ostream& operator<<(std::ostream& out, const Answer& answer) {
  constexpr const char* kFate[] = {"pass", "forward", "drop", "reject"};
  out << kFate[static_cast<int>(answer.fate)] << ' ' << answer.service << ' ' << answer.frontend
      << ' ' << answer.list << ':';
  for (const auto& text : answer.backends) out << ' ' << text;
  return out;
}

}  // namespace weir::test::naive
