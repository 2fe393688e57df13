// SPDX-License-Identifier: Apache-2.0
// The service side of the pinned maps, read once: services by id with their frontends, current
// version and counts, and every backend in use.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/abi.hpp"
#include "base/result.hpp"
#include "cli/parse.hpp"
#include "kernel/map.hpp"
#include "kernel/pins.hpp"

namespace weir::cli {

struct FrontendEntry {
  weir_frontend kind = WEIR_FRONTEND_CLUSTER_IP;
  weir_addr address{};
  __be16 port = 0;
};

struct ServiceEntry {
  std::uint32_t id = 0;
  weir_name name{};
  std::uint32_t version_index = 0;
  std::optional<weir_version> version;  // none: withdrawn, but some backend still has flows
  std::vector<std::uint32_t> cluster;   // backend indexes
  std::vector<std::uint32_t> local;
  std::vector<FrontendEntry> frontends;  // by kind, address, port
  std::vector<Cidr> ranges;              // sorted; empty: everybody
  weir_stat stat{};
};

struct BackendEntry {
  std::uint32_t index = 0;
  weir_backend value{};
};

struct ServiceTables {
  std::vector<ServiceEntry> services;         // by name, port, protocol, family
  std::vector<BackendEntry> backends;         // by service as above, then address and port
  std::map<std::uint32_t, std::size_t> rank;  // id -> index into services

  [[nodiscard]] const ServiceEntry* find(std::uint32_t id) const;
};

// What the slots of a list say; those beyond the table are left out.
std::vector<std::uint32_t> backends_of(const kernel::MappedArray<weir_slot>& slots,
                                       const weir_list& list);

Result<ServiceTables> read_service_tables(const kernel::Pins& pins);

// Names alone, for rows that only mention a service.
Result<std::map<std::uint32_t, weir_name>> read_names(const kernel::Pins& pins);

bool matches(const ServiceFilter& filter, const weir_name& name);

}  // namespace weir::cli
