// SPDX-License-Identifier: Apache-2.0
// The families that are made of the tables: traffic by service, fill, drops. How many services are
// named is bounded, since each is several series of every node.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "serve/table_reader.hpp"

namespace weir::serve {

// Which services have series of their own: those with the most connections, ties by name. The
// others are one series. That grows by what they count while they are in it, so that it never
// falls when a service gets a series of its own, nor jumps when one loses it: a counter that falls
// is one that began anew, to Prometheus.
class ServiceFamilies {
 public:
  explicit ServiceFamilies(std::size_t most) : most_{most} {}

  // Reorders the services.
  std::vector<prometheus::MetricFamily> make(std::vector<ServiceReading>& services);

 private:
  struct Seen {
    std::uint64_t name = 0;  // hash: an id is another service's one day
    weir_stat stat{};
  };
  // What was counted since the last call.
  static weir_stat grown(const ServiceReading& service, const Seen* before);

  std::size_t most_;
  std::unordered_map<std::uint32_t, Seen> seen_;
  weir_stat others_{};
};

// All but traffic by service.
std::vector<prometheus::MetricFamily> table_families(const TableReading& reading);

// How many scrapes had no tables.
prometheus::MetricFamily scrape_failures(std::size_t count);

class TableMetrics : public prometheus::Collectable {
 public:
  // `addresses`, which outlives this: entries of weir_address, as far as the agent has said.
  static Result<std::unique_ptr<TableMetrics>> open(const kernel::Pins& pins, std::size_t services,
                                                    const std::atomic<std::size_t>& addresses);

  // By one thread. Tables that cannot be read are none, and weir_scrape_failures_total says so.
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  TableMetrics(TableReader reader, std::size_t services, const std::atomic<std::size_t>& addresses)
      : reader_{std::move(reader)}, services_{services}, addresses_{addresses} {}

  // The library's interface calls it const to read; this remembers what it has read.
  mutable TableReader reader_;
  mutable ServiceFamilies services_;
  const std::atomic<std::size_t>& addresses_;
  mutable std::size_t failures_ = 0;
};

}  // namespace weir::serve
