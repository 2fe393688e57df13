// SPDX-License-Identifier: Apache-2.0
// Metrics with every function called, and readings with something of everything, so that no family
// is without a series.
#pragma once

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>

#include "serve/metrics.hpp"
#include "serve/table_metrics.hpp"

namespace weir::test {

inline void call_everything(serve::Metrics& metrics) {
  using enum serve::WatchEnd;
  metrics.changed(1, 2);
  metrics.sync_began();
  metrics.sync_done();
  metrics.sync_began();
  metrics.sync_failed();
  const std::array triggers{std::chrono::system_clock::now()};
  metrics.programmed(triggers);
  metrics.refused(1, 2);
  const std::array<serve::AttachedDevices, 1> kinds{{{"uplink", "tc", 1}}};
  metrics.attached(kinds);
  metrics.answered(serve::Probe::healthz, 200);
  metrics.answered(serve::Probe::livez, 503);
  for (const auto resource :
       {serve::Watched::services, serve::Watched::endpointslices, serve::Watched::node}) {
    metrics.watch_connected(resource, true);
    metrics.watch_heard(resource);
    metrics.watch_listed(resource);
    metrics.watch_received(resource, 100);
    for (const auto why : {ended, expired, throttled, status, connection, silent, content})
      metrics.watch_restarted(resource, why);
  }
}

inline serve::ServiceReading reading(std::uint32_t id, std::string_view name,
                                     std::uint64_t connections, std::uint64_t flows = 0) {
  serve::ServiceReading service{
      .id = id,
      .name = {},
      .stat = {.connections = connections, .packets = 10 * connections, .bytes = 100 * connections},
      .flows = flows};
  std::ranges::copy(name, static_cast<char*>(service.name.text));
  service.name.port = htons(80);
  service.name.proto = IPPROTO_TCP;
  service.name.family = 4;
  return service;
}

inline serve::TableReading full_reading() {
  serve::TableReading all;
  all.services = {reading(1, "default/web:http", 3, 2), reading(2, "default/db", 1)};
  all.tables = {{.table = "weir_slot", .entries = 7, .limit = 64},
                {.table = "weir_half_tcp", .entries = {}, .limit = 128}};
  for (std::uint64_t i = 0; i < WEIR_COUNTER_MAX; ++i) all.counters.push_back(1000 + i);
  all.state.flows = 5;
  all.state.expiry_runs = 8;
  all.state.expiry_deleted = 9;
  all.no_local_internal = 1;
  all.no_local_external = 2;
  return all;
}

}  // namespace weir::test
