// SPDX-License-Identifier: Apache-2.0
#include "node/classify.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "node/usable.hpp"

namespace weir::node {
namespace {

bool has_wildcard(const std::string& pattern) {
  return pattern.find_first_of("*?[") != std::string::npos;
}

bool matches(const std::string& pattern, const Device& device) {
  return fnmatch(pattern.c_str(), device.name.c_str(), 0) == 0;
}

bool matches_any(const std::vector<std::string>& patterns, const Device& device) {
  return std::ranges::any_of(patterns, [&](const auto& each) { return matches(each, device); });
}

// weir can parse its frames. Loopback is neither: its link layer is ARPHRD_LOOPBACK.
bool usable_device(const Device& device) {
  return device.ethernet() || device.raw();
}

// Nothing that is sent there reaches another machine, or not by this device.
bool leads_nowhere(const Device& device) {
  static constexpr std::array<std::string_view, 4> kKinds{"dummy", "ifb", "vrf", "nlmon"};
  return std::ranges::find(kKinds, device.kind) != kKinds.end();
}

bool has_broadcast_domain(const InterfaceAddress& address) {
  const int full = address.address.family() == Family::ipv4 ? 32 : 128;
  return usable(address) && address.length < full;
}

class Classifier {
 public:
  Classifier(const NodeNetwork& network, const Selection& selection)
      : network_{network}, selection_{selection} {
    for (const auto& [ifindex, device] : network.devices) {
      if (is_pod(device) && bridge_of(device)) pod_bridges_.insert(device.master);
    }
  }

  [[nodiscard]] std::optional<Edge> edge(const Device& device) const {
    if (!usable_device(device)) return std::nullopt;
    if (is_named_uplink(device)) return Edge::uplink;
    if (is_pod(device)) return Edge::pod;
    const bool uplink =
        selection_.uplink.empty() ? leads_off(device) : matches_any(selection_.uplink, device);
    return uplink ? std::optional{Edge::uplink} : std::nullopt;
  }

  [[nodiscard]] Attachment attachment(const Device& device, Edge edge) const {
    const Device* bridge = bridge_of(device);
    return {.ifindex = device.ifindex,
            .name = device.name,
            .edge = edge,
            .ethernet = device.ethernet(),
            .bridge = bridge ? bridge->ifindex : 0,
            .source4 = source(device, Family::ipv4),
            .source6 = source(device, Family::ipv6)};
  }

 private:
  [[nodiscard]] bool is_named_uplink(const Device& device) const {
    return std::ranges::any_of(selection_.uplink, [&](const std::string& pattern) {
      return !has_wildcard(pattern) && pattern == device.name;
    });
  }

  [[nodiscard]] bool is_pod(const Device& device) const {
    return usable_device(device) && !device.bridge() &&
           matches_any(selection_.pod_interface, device);
  }

  [[nodiscard]] const Device* bridge_of(const Device& device) const {
    const Device* master = device.master != 0 ? network_.find(device.master) : nullptr;
    return master && master->bridge() ? master : nullptr;
  }

  [[nodiscard]] bool leads_off(const Device& device) const {
    if (!device.up || leads_nowhere(device) || pod_bridges_.contains(device.ifindex)) return false;
    if (has_route_off(device)) return true;
    // A NIC in the bridge of the pods: addresses and routes are the bridge's, but its other ports
    // are pods, so the edge is the port.
    const Device* bridge = bridge_of(device);
    return bridge && pod_bridges_.contains(bridge->ifindex) && bridge->up && has_route_off(*bridge);
  }

  [[nodiscard]] bool has_route_off(const Device& device) const {
    const bool any_route = device.tunnel() || device.raw();
    return std::ranges::any_of(device.addresses, has_broadcast_domain) ||
           std::ranges::any_of(network_.routes, [&](const Route& route) {
             return route.ifindex == device.ifindex &&
                    (any_route || route.gateway || route.is_default());
           });
  }

  [[nodiscard]] std::optional<Address> source(const Device& device, Family family) const {
    if (auto own = own_address(device, family)) return own;
    if (const Device* bridge = bridge_of(device)) {
      if (auto own = own_address(*bridge, family)) return own;
    }
    for (const Route& route : network_.routes) {
      if (route.ifindex == device.ifindex && route.family() == family && route.source)
        return route.source;
    }
    return primary_address(network_, family);
  }

  const NodeNetwork& network_;
  const Selection& selection_;
  std::set<std::uint32_t> pod_bridges_;  // ifindex
};

}  // namespace

std::vector<Attachment> classify(const NodeNetwork& network, const Selection& selection) {
  const Classifier classifier{network, selection};
  std::vector<Attachment> attachments;
  for (const auto& [ifindex, device] : network.devices) {
    if (const auto edge = classifier.edge(device))
      attachments.push_back(classifier.attachment(device, *edge));
  }
  return attachments;
}

weir_device to_abi(const Attachment& attachment) {
  weir_device device{};
  if (attachment.source4) device.source4 = attachment.source4->raw();
  if (attachment.source6) device.source6 = attachment.source6->raw();
  device.bridge = attachment.bridge;
  device.flags = attachment.ethernet ? WEIR_DEVICE_ETHERNET : 0;
  return device;
}

std::vector<std::string> unmatched_uplinks(const NodeNetwork& network, const Selection& selection) {
  const Classifier classifier{network, selection};
  std::vector<std::string> unmatched;
  for (const std::string& pattern : selection.uplink) {
    const bool found = std::ranges::any_of(network.devices, [&](const auto& item) {
      return matches(pattern, item.second) && classifier.edge(item.second) == Edge::uplink;
    });
    if (!found) unmatched.push_back(pattern);
  }
  return unmatched;
}

}  // namespace weir::node
