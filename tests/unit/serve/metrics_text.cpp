// SPDX-License-Identifier: Apache-2.0
// Writes every family that weir has, for the tests of what names them: docs, dashboard, alerts.
#include <prometheus/text_serializer.h>

#include <iostream>
#include <iterator>

#include "unit/serve/every_metric.hpp"

int main() {
  weir::serve::Metrics metrics;
  weir::test::call_everything(metrics);
  auto reading = weir::test::full_reading();
  auto tables = weir::serve::table_families(reading);
  std::ranges::move(weir::serve::ServiceFamilies{1}.make(reading.services),
                    std::back_inserter(tables));
  tables.push_back(weir::serve::scrape_failures(1));
  std::cout << metrics.text()
            << prometheus::TextSerializer{}.prometheus::Serializer::Serialize(tables);
}
