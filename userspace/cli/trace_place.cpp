// SPDX-License-Identifier: Apache-2.0
#include "cli/trace_place.hpp"

#include <algorithm>
#include <vector>

#include "base/abi.hpp"
#include "cli/text.hpp"
#include "kernel/attach.hpp"
#include "kernel/map.hpp"
#include "kernel/objects.hpp"
#include "node/route.hpp"

namespace weir::cli {
namespace {

bool of_edge(Edge edge, const std::string& program) {
  if (edge == Edge::pod) return program == "weir_pod_in";
  return program == "weir_up_in" || program == "weir_l3_in";
}

// Every device with a program of the edge, by ifindex.
Result<std::vector<TracePlace>> places_of(const kernel::Pins& pins, Edge edge) {
  const auto programs = kernel::list_attached(pins.links());
  if (!programs) return std::unexpected{programs.error()};

  const auto names = kernel::program_names(pins);
  if (!names) return std::unexpected{names.error()};
  std::vector<TracePlace> places;
  for (const auto& attached : *programs) {
    const auto name = names->find(attached.prog_id);
    if (attached.live && name != names->end() && of_edge(edge, name->second))
      places.push_back({.ifindex = attached.ifindex,
                        .device = device_text(attached.ifindex),
                        .program = name->second,
                        .xdp = false});
  }
  for (const auto& attached : *programs)
    if (attached.live && attached.hook == kernel::Hook::xdp)
      for (auto& place : places)
        if (place.ifindex == attached.ifindex) place.xdp = true;
  std::ranges::sort(places, {}, &TracePlace::ifindex);
  return places;
}

// Of a bridge, whose ports are what programs are on.
Result<std::uint32_t> bridge_of(const kernel::Pins& pins, std::uint32_t ifindex) {
  auto devices = kernel::Map<__u32, weir_device>::open(pins, "weir_device");
  if (!devices) return std::unexpected{std::move(devices.error())};
  auto found = devices->find(ifindex);
  if (!found) return std::unexpected{std::move(found.error())};
  return *found ? (*found)->bridge : 0;
}

Result<TracePlace> likeliest(const kernel::Pins& pins, const std::vector<TracePlace>& places,
                             const Address& from) {
  const auto towards = node::route_device(from);
  if (!towards) return places.front();  // no way back is no reason to explain nothing
  if (const auto at = std::ranges::find(places, *towards, &TracePlace::ifindex); at != places.end())
    return *at;
  for (const auto& place : places) {
    auto bridge = bridge_of(pins, place.ifindex);
    if (!bridge) return std::unexpected{std::move(bridge.error())};
    if (*bridge == *towards) return place;
  }
  return places.front();
}

Result<TracePlace> host_place(const kernel::Pins& pins, const Address& from) {
  const auto config = kernel::MappedArray<weir_config>::open(pins, "weir_config", false);
  if (!config) return std::unexpected{config.error()};
  if ((*config)[0].netns == 0)
    return fail("edge host: processes of this node use no Services here (--socket-lb off)");
  TracePlace place;
  place.program = from.family() == Family::ipv4 ? "weir_connect4" : "weir_connect6";
  return place;
}

}  // namespace

Result<TracePlace> find_place(const kernel::Pins& pins, Edge edge, const Address& from,
                              const std::string& device) {
  if (edge == Edge::host) return host_place(pins, from);
  auto places = places_of(pins, edge);
  if (!places) return std::unexpected{std::move(places.error())};
  const auto* const edge_name = edge == Edge::pod ? "pod" : "uplink";
  if (places->empty()) return fail("edge {}: no device has a program of it", edge_name);
  if (device.empty()) return likeliest(pins, *places, from);
  const auto at = std::ranges::find(*places, device, &TracePlace::device);
  if (at == places->end()) return fail("{}: has no program of the edge {}", device, edge_name);
  return *at;
}

}  // namespace weir::cli
