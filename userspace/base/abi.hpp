// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "weir/abi.h"

// Byte-wise order and equality: the structs have no padding, and the kernel compares keys so too.
#define WEIR_BYTEWISE(type)                                                        \
  inline bool operator==(const type& a, const type& b) noexcept {                  \
    return std::memcmp(&a, &b, sizeof a) == 0;                                     \
  }                                                                                \
  inline std::strong_ordering operator<=>(const type& a, const type& b) noexcept { \
    return std::memcmp(&a, &b, sizeof a) <=> 0;                                    \
  }

WEIR_BYTEWISE(weir_addr)
WEIR_BYTEWISE(weir_service_key)
WEIR_BYTEWISE(weir_service)
WEIR_BYTEWISE(weir_version)
WEIR_BYTEWISE(weir_affinity_key)
WEIR_BYTEWISE(weir_range_key)
WEIR_BYTEWISE(weir_flow_key)
WEIR_BYTEWISE(weir_fragment_key)
WEIR_BYTEWISE(weir_device)
WEIR_BYTEWISE(weir_name)
WEIR_BYTEWISE(weir_end)
WEIR_BYTEWISE(weir_socket_key)

namespace weir {

// A struct that may cross a map. has_unique_object_representations is false
// for a type with padding, which is the one thing a map key must not have.
template <class T>
concept MapData = std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T> &&
                  std::has_unique_object_representations_v<T>;

static_assert(MapData<weir_addr> && MapData<weir_address> && MapData<weir_service_key> &&
              MapData<weir_service> && MapData<weir_version> && MapData<weir_affinity_key> &&
              MapData<weir_affinity> && MapData<weir_range_key> && MapData<weir_slot> &&
              MapData<weir_backend> && MapData<weir_flow_key> && MapData<weir_flow> &&
              MapData<weir_expiry> && MapData<weir_device> && MapData<weir_config> &&
              MapData<weir_state> && MapData<weir_stat> && MapData<weir_name> &&
              MapData<weir_end> && MapData<weir_socket_key> && MapData<weir_peer> &&
              MapData<weir_sticky> && MapData<weir_socket> && MapData<weir_stream_set> &&
              MapData<weir_fragment_key> && MapData<weir_fragment> && MapData<weir_source> &&
              MapData<weir_trace>);

struct CounterText {
  std::string_view name;  // as in `weir drops` and metrics: "drop_no_route"
  std::string_view text;  // what it counts, for a person
};

// Indexed by enum weir_counter.
inline constexpr std::array<CounterText, WEIR_COUNTER_MAX> kCounters{{
#define WEIR_COUNTER_TEXT(name, text) CounterText{#name, text},
    WEIR_COUNTERS(WEIR_COUNTER_TEXT)
#undef WEIR_COUNTER_TEXT
}};

}  // namespace weir
