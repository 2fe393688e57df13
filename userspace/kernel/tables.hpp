// SPDX-License-Identifier: Apache-2.0
// The pinned maps as the agent holds them: read back at start, written by operations.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernel/address_filter.hpp"
#include "kernel/map.hpp"
#include "plan/reconcile.hpp"

namespace weir::kernel {

// weir_source_range by set, each in order.
Result<std::map<std::uint32_t, RangeSet>> read_range_sets(
    const Map<weir_range_key, __u32>& source_range);

// How long execute() took.
struct WriteTiming {
  std::chrono::nanoseconds write{0};
  std::chrono::nanoseconds grace{0};
};

class Tables {
 public:
  static Result<Tables> open(const Pins& pins);

  // What the maps hold now. Leftovers of an agent that died in the middle of a publication are
  // taken out on the way.
  Result<ProgrammedTables> adopt();

  // Carries the operations out, in their order. On an error the rest is not done; what was done
  // is a safe state, and adopt() says which.
  Result<> execute(const std::vector<Operation>& operations, WriteTiming* timing = nullptr);

  // Flows that a backend entry has; for reconcile().
  [[nodiscard]] std::uint64_t live_flows(std::uint32_t backend) const;

 private:
  friend struct Executor;
  void know_port_of(const weir_service_key& frontend);
  // NOLINTNEXTLINE(readability-function-size): one for each map
  Tables(MappedArray<__u32> current, MappedArray<weir_version> version, MappedArray<weir_slot> slot,
         MappedArray<weir_backend> backend, MappedArray<weir_stat> stat,
         MappedArray<weir_config> config, Map<weir_addr, weir_address> address,
         Map<weir_service_key, weir_service> service, Map<__u32, weir_name> name,
         Map<weir_range_key, __u32> source_range, AddressFilter filter, KnownPorts ports)
      : current_{std::move(current)},
        version_{std::move(version)},
        slot_{std::move(slot)},
        backend_{std::move(backend)},
        stat_{std::move(stat)},
        config_{std::move(config)},
        address_{std::move(address)},
        service_{std::move(service)},
        name_{std::move(name)},
        source_range_{std::move(source_range)},
        filter_{std::move(filter)},
        ports_{std::move(ports)} {}

  // Elements from the first on that are in memory.
  struct Reach {
    std::uint32_t backends = 0;
    std::uint32_t slots = 0;
    std::uint32_t versions = 0;
  };
  static Reach reach_of(const std::vector<Operation>& operations);
  Result<> reach(const Reach& wanted);
  Result<> keep_in_reach(const ProgrammedTables& tables);
  [[nodiscard]] std::vector<std::uint32_t> backends_in(const weir_list& list) const;
  Result<> adopt_names(ProgrammedTables& tables, std::map<std::uint32_t, ServiceIdentity>& ids);
  Result<> adopt_frontends(ProgrammedTables& tables,
                           const std::map<std::uint32_t, ServiceIdentity>& ids);
  void adopt_backends(ProgrammedTables& tables,
                      const std::map<std::uint32_t, ServiceIdentity>& ids);

  MappedArray<__u32> current_;
  MappedArray<weir_version> version_;
  MappedArray<weir_slot> slot_;
  MappedArray<weir_backend> backend_;
  MappedArray<weir_stat> stat_;
  MappedArray<weir_config> config_;
  Map<weir_addr, weir_address> address_;
  Map<weir_service_key, weir_service> service_;
  Map<__u32, weir_name> name_;
  Map<weir_range_key, __u32> source_range_;
  AddressFilter filter_;
  KnownPorts ports_;
};

}  // namespace weir::kernel
