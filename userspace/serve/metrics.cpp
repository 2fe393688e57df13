// SPDX-License-Identifier: Apache-2.0
#include "serve/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <iterator>
#include <mutex>
#include <sstream>
#include <vector>

#include "base/abi.hpp"
#include "base/log.hpp"
#include "serve/process_metrics.hpp"
#include "serve/table_metrics.hpp"

namespace weir::serve {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using Buckets = Histogram::BucketBoundaries;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr std::array<const char*, 3> kWatched{"services", "endpointslices", "node"};
constexpr std::array<const char*, 7> kWatchEnds{"ended",      "expired", "throttled", "status",
                                                "connection", "silent",  "content"};

// 1 ms, doubled 14 times.
Buckets sync_buckets() {
  constexpr int kCount = 15;
  Buckets buckets;
  for (double bound = 0.001; buckets.size() < kCount; bound *= 2) buckets.push_back(bound);
  return buckets;
}

// Fine where most are, to the second for a minute, and coarse up to five.
Buckets programming_buckets() {
  Buckets buckets{0.25, 0.5};
  for (int s = 1; s < 60; ++s) buckets.push_back(s);
  for (int s = 60; s < 120; s += 5) buckets.push_back(s);
  for (int s = 120; s <= 300; s += 30) buckets.push_back(s);
  return buckets;
}

double unix_seconds(Metrics::Date date) {
  return Seconds{date.time_since_epoch()}.count();
}

double unix_now() {
  return unix_seconds(std::chrono::system_clock::now());
}

Family<Counter>& counters(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

Family<Gauge>& gauges(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

Histogram& histogram(prometheus::Registry& registry, const char* name, const char* help,
                     const Buckets& buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, buckets);
}

const char* name_of(Watched resource) {
  return kWatched.at(static_cast<std::size_t>(resource));
}

}  // namespace

// In the order of docs/OPERATING.md.
struct Metrics::Families {
  prometheus::Registry registry;

  Histogram& sync =
      histogram(registry, "kubeproxy_sync_proxy_rules_duration_seconds",
                "How long it took to bring the tables to the latest state", sync_buckets());
  Gauge& synced = gauges(registry, "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
                         "When the tables were last brought to the latest state")
                      .Add({});
  Gauge& queued = gauges(registry, "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
                         "When that was last begun or asked for")
                      .Add({});
  Gauge& services_pending = gauges(registry, "kubeproxy_sync_proxy_rules_service_changes_pending",
                                   "Changes of Services that are not in the tables yet")
                                .Add({});
  Counter& services_changed = counters(registry, "kubeproxy_sync_proxy_rules_service_changes_total",
                                       "Changes of Services so far")
                                  .Add({});
  Gauge& endpoints_pending = gauges(registry, "kubeproxy_sync_proxy_rules_endpoint_changes_pending",
                                    "Changes of EndpointSlices that are not in the tables yet")
                                 .Add({});
  Counter& endpoints_changed =
      counters(registry, "kubeproxy_sync_proxy_rules_endpoint_changes_total",
               "Changes of EndpointSlices so far")
          .Add({});
  Histogram& programming =
      histogram(registry, "kubeproxy_network_programming_duration_seconds",
                "From the change of an endpoint in the cluster until it was in force here",
                programming_buckets());
  Family<Counter>& healthz =
      counters(registry, "kubeproxy_proxy_healthz_total", "Answers of /healthz by status");
  Family<Counter>& livez =
      counters(registry, "kubeproxy_proxy_livez_total", "Answers of /livez by status");

  Gauge& build_info =
      gauges(registry, "weir_build_info", "1, with the version in the labels")
          .Add({{"version", WEIR_VERSION}, {"abi", std::to_string(WEIR_ABI_VERSION)}});
  Family<Counter>& publications =
      counters(registry, "weir_publications_total", "Publications by how they ended");
  Counter& published = publications.Add({{"result", "done"}});
  Counter& not_published = publications.Add({{"result", "failed"}});
  Gauge& refused_services =
      gauges(registry, "weir_refused_services", "Service ports that a table has no room for")
          .Add({});
  Gauge& conflicts = gauges(registry, "weir_frontend_conflicts",
                            "Addresses and ports that a Service had to leave to another")
                         .Add({});
  Family<Gauge>& devices =
      gauges(registry, "weir_attached_devices", "Devices with programs, by edge and mode");

  Family<Gauge>& connected = gauges(registry, "weir_watch_connected", "1 while the watch is open");
  Family<Gauge>& heard = gauges(registry, "weir_watch_last_heard_timestamp_seconds",
                                "When the API server last said anything about the resource");
  Family<Counter>& lists =
      counters(registry, "weir_watch_lists_total", "Complete lists of the resource");
  Family<Counter>& restarts =
      counters(registry, "weir_watch_restarts_total", "Watches that had to begin anew, by reason");
  Family<Counter>& received =
      counters(registry, "weir_watch_received_bytes_total", "Bytes of lists and watches");

  // Theirs is the lock of the library; these two have one of their own.
  std::mutex mutex;
  std::optional<Clock::time_point> began;
  const Metrics::Date started = std::chrono::system_clock::now();

  std::atomic<std::size_t> addresses{0};
  std::unique_ptr<TableMetrics> tables;
  prometheus::TextSerializer serializer;

  void sync_ended(Counter& result) {
    result.Increment();
    const std::lock_guard lock{mutex};
    if (began) sync.Observe(Seconds{Clock::now() - *began}.count());
    began.reset();
  }
};

Metrics::Metrics() : families_{std::make_unique<Families>()} {
  families_->build_info.Set(1);
}

Metrics::~Metrics() = default;

void Metrics::changed(std::size_t services, std::size_t endpoint_slices) {
  families_->queued.Set(unix_now());
  families_->services_pending.Increment(static_cast<double>(services));
  families_->services_changed.Increment(static_cast<double>(services));
  families_->endpoints_pending.Increment(static_cast<double>(endpoint_slices));
  families_->endpoints_changed.Increment(static_cast<double>(endpoint_slices));
}

void Metrics::sync_began() {
  families_->queued.Set(unix_now());
  const std::lock_guard lock{families_->mutex};
  families_->began = Clock::now();
}

void Metrics::sync_done() {
  families_->sync_ended(families_->published);
  families_->synced.Set(unix_now());
  families_->services_pending.Set(0);
  families_->endpoints_pending.Set(0);
}

void Metrics::sync_failed() {
  families_->sync_ended(families_->not_published);
}

void Metrics::programmed(std::span<const Date> triggers) {
  const auto now = std::chrono::system_clock::now();
  for (const auto trigger : triggers)
    if (trigger >= families_->started)
      // A clock that is ahead of this one's makes no change come before it was made.
      families_->programming.Observe(std::max(0.0, Seconds{now - trigger}.count()));
}

void Metrics::refused(std::size_t services, std::size_t conflicts) {
  families_->refused_services.Set(static_cast<double>(services));
  families_->conflicts.Set(static_cast<double>(conflicts));
}

void Metrics::addresses(std::size_t count) {
  families_->addresses = count;
}

void Metrics::attached(std::span<const AttachedDevices> kinds) {
  for (const char* edge : {"uplink", "pod"})
    for (const char* mode : {"tc", "xdp-native", "xdp-generic"}) {
      std::size_t devices = 0;
      for (const auto& kind : kinds)
        if (kind.edge == edge && kind.mode == mode) devices += kind.devices;
      if (std::string_view{edge} == "pod" && std::string_view{mode} != "tc") continue;
      families_->devices.Add({{"edge", edge}, {"mode", mode}}).Set(static_cast<double>(devices));
    }
}

void Metrics::answered(Probe probe, unsigned code) {
  auto& family = probe == Probe::healthz ? families_->healthz : families_->livez;
  family.Add({{"code", std::to_string(code)}}).Increment();
}

void Metrics::watch_connected(Watched resource, bool connected) {
  families_->connected.Add({{"resource", name_of(resource)}}).Set(connected ? 1 : 0);
}

void Metrics::watch_heard(Watched resource) {
  families_->heard.Add({{"resource", name_of(resource)}}).Set(unix_now());
}

void Metrics::watch_listed(Watched resource) {
  families_->lists.Add({{"resource", name_of(resource)}}).Increment();
}

void Metrics::watch_restarted(Watched resource, WatchEnd why) {
  families_->restarts
      .Add({{"resource", name_of(resource)},
            {"reason", kWatchEnds.at(static_cast<std::size_t>(why))}})
      .Increment();
}

void Metrics::watch_received(Watched resource, std::size_t bytes) {
  families_->received.Add({{"resource", name_of(resource)}}).Increment(static_cast<double>(bytes));
}

Result<> Metrics::read_tables(const kernel::Pins& pins, std::size_t services) {
  auto tables = TableMetrics::open(pins, services, families_->addresses);
  if (!tables) return fail(std::move(tables.error()), "open the tables for metrics");
  families_->tables = std::move(*tables);
  return {};
}

std::string Metrics::text() const {
  auto all = families_->registry.Collect();
  const auto add = [&](std::vector<prometheus::MetricFamily> more) {
    std::ranges::move(more, std::back_inserter(all));
  };
  if (families_->tables) add(families_->tables->Collect());
  add(ProcessMetrics{}.Collect());  // last: what it took to read the tables is given back by then
  std::ostringstream out;
  families_->serializer.Serialize(out, all);
  return std::move(out).str();
}

Reply Metrics::answer(std::string_view path) const {
  const auto plain = [](std::string_view type, std::string body) {
    return Reply{
        .status = 200,
        .headers = {{"Content-Type", std::string{type}}, {"X-Content-Type-Options", "nosniff"}},
        .body = std::move(body)};
  };
  if (path == "/healthz") return plain("text/plain; charset=utf-8", "ok");
  if (path == "/proxyMode") return plain("text/plain; charset=utf-8", "weir");
  if (path != "/metrics") return not_found_reply();
  try {
    return plain("text/plain; version=0.0.4; charset=utf-8", text());
  } catch (const std::exception& error) {  // of the library; the next scrape may do better
    log::error("metrics: {}", error.what());
    return {.status = 500, .headers = {}, .body = "metrics could not be written\n"};
  }
}

}  // namespace weir::serve
