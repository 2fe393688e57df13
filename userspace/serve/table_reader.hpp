// SPDX-License-Identifier: Apache-2.0
// The numbers in the pinned maps, read beside the agent that writes them: what a scrape is made of.
// The time that it takes grows with services and backends, and not with flows: their number is what
// the kernel half keeps of each backend.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/abi.hpp"
#include "base/result.hpp"
#include "kernel/pins.hpp"

namespace weir::serve {

// One service port of one family.
struct ServiceReading {
  std::uint32_t id = 0;
  weir_name name{};
  weir_stat stat{};
  std::uint64_t flows = 0;  // established, on all of its backends
};

struct TableFill {
  std::string table;                     // "weir_slot"
  std::optional<std::uint64_t> entries;  // none: to count them takes too long
  std::uint64_t limit = 0;
};

struct TableReading {
  std::vector<ServiceReading> services;  // in no order
  std::vector<TableFill> tables;         // by name
  std::vector<std::uint64_t> counters;   // by enum weir_counter, over all CPUs
  weir_state state{};
  // Service ports with endpoints, but none on this node, which a policy Local wants.
  std::uint64_t no_local_internal = 0;
  std::uint64_t no_local_external = 0;
};

class TableReader {
 public:
  static Result<TableReader> open(const kernel::Pins& pins);
  TableReader(TableReader&&) noexcept;
  TableReader& operator=(TableReader&&) noexcept;
  ~TableReader();

  // The arrays are in this process's memory only as long as this takes.
  Result<TableReading> read();

 private:
  struct Maps;
  explicit TableReader(std::unique_ptr<Maps> maps);

  std::unique_ptr<Maps> maps_;
};

}  // namespace weir::serve
