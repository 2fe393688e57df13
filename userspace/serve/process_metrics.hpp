// SPDX-License-Identifier: Apache-2.0
// This process in the eyes of the kernel, by the names that every Prometheus client has for it.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <string>
#include <utility>
#include <vector>

namespace weir::serve {

// What /proc does not tell is left out.
class ProcessMetrics : public prometheus::Collectable {
 public:
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;
};

// Families with one series and no label, for those who read numbers and keep none.
prometheus::MetricFamily gauge_family(std::string name, std::string help, double value);
prometheus::MetricFamily counter_family(std::string name, std::string help, double value);

using Labels = std::vector<prometheus::ClientMetric::Label>;
// One more series of a counter's or a gauge's family.
void add_series(prometheus::MetricFamily& family, Labels labels, double value);
prometheus::MetricFamily empty_family(std::string name, std::string help,
                                      prometheus::MetricType type);

}  // namespace weir::serve
