// SPDX-License-Identifier: Apache-2.0
#include "agent/edges.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace weir::agent {
namespace {

std::string_view program_name(const node::Attachment& at, kernel::Direction direction) {
  const bool in = direction == kernel::Direction::ingress;
  if (at.edge == node::Edge::pod) return in ? "weir_pod_in" : "weir_pod_out";
  if (at.ethernet) return in ? "weir_up_in" : "weir_up_out";
  return in ? "weir_l3_in" : "weir_l3_out";
}

std::string_view edge_name(node::Edge edge) {
  return edge == node::Edge::pod ? "pod" : "uplink";
}

}  // namespace

Result<Edges> Edges::open(const kernel::Pins& pins, const kernel::Objects& objects,
                          const Options& options) {
  auto tcx = kernel::has_tcx();
  if (!tcx) return std::unexpected{std::move(tcx.error())};
  auto device = kernel::Map<__u32, weir_device>::open(pins, "weir_device");
  if (!device) return std::unexpected{std::move(device.error())};
  auto redirect = kernel::Map<__u32, __u32>::open(pins, "weir_xdp_tx");
  if (!redirect) return std::unexpected{std::move(redirect.error())};

  Edges edges{pins, objects, options, *tcx, std::move(*device), std::move(*redirect)};
  auto read = edges.device_.for_each([&](const __u32& ifindex, const weir_device& value) {
    edges.written_.emplace(ifindex, value);
  });
  if (!read) return std::unexpected{std::move(read.error())};
  // A devmap has no batched read.
  __u32 key = 0;
  for (int rc = bpf_map_get_next_key(edges.redirect_.fd(), nullptr, &key); rc == 0;
       rc = bpf_map_get_next_key(edges.redirect_.fd(), &key, &key))
    edges.redirectable_.insert(key);
  if (!*tcx) log::info("no tcx links before kernel 6.6: clsact filters instead");
  return edges;
}

node::Selection Edges::selection() const {
  return {.pod_interface = options_->pod_interfaces, .uplink = options_->uplinks};
}

Result<> Edges::write_devices(const std::vector<node::Attachment>& wanted) {
  std::map<std::uint32_t, weir_device> target;
  for (const auto& attachment : wanted)
    target.emplace(attachment.ifindex, node::to_abi(attachment));
  for (const auto& [ifindex, value] : target) {
    const auto found = written_.find(ifindex);
    if (found != written_.end() && found->second == value) continue;
    if (auto ok = device_.put(ifindex, value); !ok) return ok;
    written_.insert_or_assign(ifindex, value);
  }
  std::erase_if(written_, [&](const auto& entry) {
    if (target.contains(entry.first)) return false;
    if (auto ok = device_.erase(entry.first); !ok) log::warning("{}", ok.error().message());
    return true;
  });
  return {};
}

void Edges::set_redirect(std::uint32_t ifindex, bool wanted) {
  if (redirectable_.contains(ifindex) == wanted) return;
  if (auto ok = wanted ? redirect_.put(ifindex, ifindex) : redirect_.erase(ifindex); !ok) {
    log::warning("{}", ok.error().message());
    return;
  }
  if (wanted)
    redirectable_.insert(ifindex);
  else
    redirectable_.erase(ifindex);
}

void Edges::refresh_redirects(const node::NodeNetwork& network) {
  std::set<std::uint32_t> gone = redirectable_;
  if (options_->xdp != XdpMode::off) {
    for (const auto& [ifindex, attachment] : attached_) {
      const auto* device = network.find(ifindex);
      if (attachment.edge != node::Edge::uplink || !device) continue;
      auto support = node::xdp_support(network, *device);
      // The kernel's emulation sends through the device's ordinary queue, whatever its driver.
      const bool can = support && (support->redirect || options_->xdp == XdpMode::generic);
      set_redirect(ifindex, can);
      gone.erase(ifindex);
    }
  }
  for (const auto ifindex : gone) set_redirect(ifindex, false);
}

Result<> Edges::attach_direction(const node::Attachment& at, kernel::Direction direction) {
  const int program = objects_->program(program_name(at, direction));
  auto outcome = tcx_ ? kernel::attach_tcx(program, at.ifindex, direction, pins_.links())
                      : kernel::attach_clsact(program, at.ifindex, direction, pins_.links());
  if (!outcome) return std::unexpected{std::move(outcome.error())};
  return {};
}

Result<> Edges::attach_xdp(const node::NodeNetwork& network, const node::Attachment& at) {
  const kernel::LinkName link{.ifindex = at.ifindex, .hook = kernel::Hook::xdp};
  xdp_.erase(at.ifindex);
  const auto* device = network.find(at.ifindex);
  // What comes out of a tunnel has been through its carrier's queue: XDP is for the carrier.
  if (options_->xdp == XdpMode::off || !at.ethernet || !device || device->tunnel())
    return kernel::detach(link, pins_.links());
  auto mode = kernel::XdpMode::generic;
  if (options_->xdp != XdpMode::generic) {
    mode = kernel::XdpMode::native;
    auto support = node::xdp_support(network, *device);
    if (!support) return std::unexpected{std::move(support.error())};
    if (!support->native) {
      if (options_->xdp == XdpMode::native)
        return fail("no native XDP on {}: {}", at.name, support->why_not_native);
      log::info("{}: without XDP, tc does all the work: {}", at.name, support->why_not_native);
      return kernel::detach(link, pins_.links());
    }
  }
  auto outcome = kernel::attach_xdp(objects_->program("weir_xdp"), at.ifindex, mode, pins_.links());
  if (outcome) {
    xdp_[at.ifindex] = mode;
    return {};
  }
  if (options_->xdp != XdpMode::automatic) return std::unexpected{std::move(outcome.error())};
  log::warning("{}: without XDP, tc does all the work: {}", at.name, outcome.error().message());
  return {};
}

Result<> Edges::attach(const node::NodeNetwork& network, const node::Attachment& at) {
  for (const auto direction : {kernel::Direction::egress, kernel::Direction::ingress}) {
    if (auto ok = attach_direction(at, direction); !ok) return ok;
  }
  if (at.edge == node::Edge::uplink) {
    if (auto ok = attach_xdp(network, at); !ok) return ok;
  }
  attached_.insert_or_assign(at.ifindex, at);
  return {};
}

std::vector<serve::AttachedDevices> Edges::attached() const {
  std::vector<serve::AttachedDevices> kinds;
  for (const auto& [ifindex, attachment] : attached_) {
    const auto xdp = xdp_.find(ifindex);
    const auto mode = attachment.edge == node::Edge::pod || xdp == xdp_.end() ? "tc"
                      : xdp->second == kernel::XdpMode::native                ? "xdp-native"
                                                                              : "xdp-generic";
    kinds.push_back({.edge = edge_name(attachment.edge), .mode = mode, .devices = 1});
  }
  return kinds;
}

void Edges::detach(std::uint32_t ifindex) {
  using enum kernel::Hook;
  const auto hooks = tcx_ ? std::vector{xdp, tcx_ingress, tcx_egress}
                          : std::vector{xdp, clsact_ingress, clsact_egress};
  for (const auto hook : hooks) {
    if (auto ok = kernel::detach({.ifindex = ifindex, .hook = hook}, pins_.links()); !ok)
      log::warning("{}", ok.error().message());
  }
  attached_.erase(ifindex);
  xdp_.erase(ifindex);
}

// Devices that are no longer edges, and pins of devices that are no more.
void Edges::detach_others(const node::NodeNetwork& network,
                          const std::vector<node::Attachment>& wanted) {
  const auto present = [&](std::uint32_t ifindex) { return network.find(ifindex) != nullptr; };
  if (auto gone = kernel::detach_gone(pins_.links(), present); !gone)
    log::warning("{}", gone.error().message());
  std::set<std::uint32_t> others;
  for (const auto& [ifindex, attachment] : attached_) others.insert(ifindex);
  if (auto links = kernel::list_links(pins_.links()); links)
    for (const auto& link : *links) others.insert(link.ifindex);
  for (const auto& attachment : wanted) others.erase(attachment.ifindex);
  for (const auto ifindex : others) {
    if (const auto* device = network.find(ifindex)) {
      log::info("{} is no edge any more: detached", device->name);
      detach(ifindex);
    } else {
      attached_.erase(ifindex);
      xdp_.erase(ifindex);
    }
  }
}

Result<> Edges::start(const node::NodeNetwork& network) {
  const auto wanted = node::classify(network, selection());
  if (const auto unmatched = node::unmatched_uplinks(network, selection()); !unmatched.empty())
    return fail("--uplink {}: no such interface, or none that is up with Ethernet or IP frames",
                unmatched.front());
  auto before = kernel::list_links(pins_.links());
  if (!before) return std::unexpected{std::move(before.error())};
  const auto was_attached = [&](std::uint32_t ifindex) {
    return std::ranges::any_of(*before, [&](const auto& link) { return link.ifindex == ifindex; });
  };
  if (auto ok = write_devices(wanted); !ok) return ok;
  std::vector<std::uint32_t> fresh;
  for (const auto& attachment : wanted) {
    if (!was_attached(attachment.ifindex)) fresh.push_back(attachment.ifindex);
    if (auto ok = attach(network, attachment); !ok) {
      for (const auto ifindex : fresh) detach(ifindex);
      return fail(std::move(ok.error()), "attach to {}", attachment.name);
    }
    log::info("{} attached as {}", attachment.name, edge_name(attachment.edge));
  }
  detach_others(network, wanted);
  refresh_redirects(network);
  return {};
}

void Edges::follow(const node::NodeNetwork& network) {
  const auto wanted = node::classify(network, selection());
  if (auto ok = write_devices(wanted); !ok) log::error("{}", ok.error().message());
  for (const auto& attachment : wanted) {
    const auto found = attached_.find(attachment.ifindex);
    if (found != attached_.end() && found->second == attachment) continue;
    const bool fresh = found == attached_.end();
    if (auto ok = attach(network, attachment); !ok) {
      if (complained_.insert(attachment.ifindex).second)
        log::warning("attach to {}: {}", attachment.name, ok.error().message());
      continue;
    }
    complained_.erase(attachment.ifindex);
    if (fresh) log::info("{} attached as {}", attachment.name, edge_name(attachment.edge));
  }
  detach_others(network, wanted);
  refresh_redirects(network);
}

}  // namespace weir::agent
