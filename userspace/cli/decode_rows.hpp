// SPDX-License-Identifier: Apache-2.0
// One element of each map of the ABI as a row: overloads by the types of key and value. The
// columns are asked for with null pointers, since a map may hold no element.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/abi.hpp"
#include "cli/output.hpp"

namespace weir::cli {

// Key of an array.
struct Index {
  std::uint32_t value;
};

using Columns = std::vector<std::string>;
using Row = std::vector<Cell>;

Cell address_bits_text(std::uint32_t set);  // enum weir_address_bit
Columns columns(const weir_addr*, const weir_address*);
Row row(const weir_addr& key, const weir_address& value);
Columns columns(const weir_service_key*, const weir_service*);
Row row(const weir_service_key& key, const weir_service& value);
Columns columns(const Index*, const __u32*);  // weir_current
Row row(const Index& key, const __u32& value);
Columns columns(const weir_affinity_key*, const weir_affinity*);
Row row(const weir_affinity_key& key, const weir_affinity& value);
Columns columns(const weir_range_key*, const __u32*);
Row row(const weir_range_key& key, const __u32& value);
Columns columns(const Index*, const weir_version*);
Row row(const Index& key, const weir_version& value);
Columns columns(const Index*, const weir_slot*);
Row row(const Index& key, const weir_slot& value);
Columns columns(const Index*, const weir_backend*);
Row row(const Index& key, const weir_backend& value);
Columns columns(const weir_flow_key*, const weir_flow*);
Row row(const weir_flow_key& key, const weir_flow& value);
Columns columns(const weir_fragment_key*, const weir_fragment*);
Row row(const weir_fragment_key& key, const weir_fragment& value);
Columns columns(const __u32*, const weir_device*);
Row row(const __u32& key, const weir_device& value);
Columns columns(const Index*, const weir_config*);
Row row(const Index& key, const weir_config& value);
Columns columns(const Index*, const weir_state*);
Row row(const Index& key, const weir_state& value);
Columns columns(const Index*, const weir_stat*);
Row row(const Index& key, const weir_stat& value);
Columns columns(const weir_socket_key*, const weir_peer*);
Row row(const weir_socket_key& key, const weir_peer& value);
Columns columns(const weir_socket_key*, const weir_sticky*);
Row row(const weir_socket_key& key, const weir_sticky& value);
Columns columns(const Index*, const weir_source*);
Row row(const Index& key, const weir_source& value);
Columns columns(const __u32*, const weir_name*);
Row row(const __u32& key, const weir_name& value);

}  // namespace weir::cli
