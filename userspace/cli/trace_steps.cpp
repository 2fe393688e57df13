// SPDX-License-Identifier: Apache-2.0
#include "cli/trace_steps.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "cli/decode_rows.hpp"
#include "cli/text.hpp"

namespace weir::cli {
namespace {

struct Decoded {
  Record key;
  Record value;
};

using Decode = Decoded (*)(const weir_trace_step&);

// The first columns of a row are of the key.
template <class Key, class Value, std::size_t KeyColumns>
Decoded decode(const weir_trace_step& step) {
  Key key{};
  Value value{};
  static_assert(sizeof key <= sizeof step.key && sizeof value <= sizeof step.value);
  std::memcpy(&key, step.key, sizeof key);
  if (step.found != 0) std::memcpy(&value, step.value, sizeof value);
  const auto names = columns(&key, &value);
  const auto cells = row(key, value);
  Decoded out;
  for (std::size_t i = 0; i < cells.size(); ++i)
    (i < KeyColumns ? out.key : out.value).fields.emplace_back(names[i], cells[i]);
  return out;
}

// A range that was found says no more than that it was.
Decoded decode_range(const weir_trace_step& step) {
  auto out = decode<weir_range_key, __u32, 2>(step);
  out.value.fields.emplace_back("admitted", true);
  return out;
}

constexpr std::array<std::pair<std::string_view, Decode>, 13> kDecoders{{
    {"weir_address", decode<weir_addr, weir_address, 1>},
    {"weir_service", decode<weir_service_key, weir_service, 3>},
    {"weir_current", decode<Index, __u32, 1>},
    {"weir_version", decode<Index, weir_version, 1>},
    {"weir_affinity", decode<weir_affinity_key, weir_affinity, 2>},
    {"weir_source_range", decode_range},
    {"weir_slot", decode<Index, weir_slot, 1>},
    {"weir_backend", decode<Index, weir_backend, 1>},
    {"weir_flow", decode<weir_flow_key, weir_flow, 3>},
    {"weir_half_tcp", decode<weir_flow_key, weir_flow, 3>},
    {"weir_half_udp", decode<weir_flow_key, weir_flow, 3>},
    {"weir_device", decode<__u32, weir_device, 2>},
    {"weir_state", decode<Index, weir_state, 1>},
}};

}  // namespace

Listing list_steps(const weir_trace& trace) {
  Listing listing{.columns = {"map", "key", "value"}, .rows = {}};
  const auto kept = std::min<std::size_t>(trace.steps, std::size(trace.step));
  for (const auto& step : std::span{trace.step}.first(kept)) {
    const std::string_view map{step.map, strnlen(step.map, sizeof step.map)};
    const auto* known = std::ranges::find(kDecoders, map, &decltype(kDecoders)::value_type::first);
    if (known == kDecoders.end()) continue;  // counts and the like
    auto decoded = known->second(step);
    listing.rows.push_back({std::string{map}, std::move(decoded.key),
                            step.found != 0 ? Cell{std::move(decoded.value)} : Cell{}});
  }
  return listing;
}

}  // namespace weir::cli
