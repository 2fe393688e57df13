// SPDX-License-Identifier: Apache-2.0
#include "serve/table_metrics.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <iterator>
#include <string_view>
#include <tuple>

#include "base/log.hpp"
#include "serve/process_metrics.hpp"

namespace weir::serve {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

std::string_view text_of(const weir_name& name) {
  const auto* text = static_cast<const char*>(name.text);
  return {text, strnlen(text, sizeof name.text)};
}

std::string protocol_of(const weir_name& name) {
  switch (name.proto) {
    case IPPROTO_TCP:
      return "TCP";
    case IPPROTO_UDP:
      return "UDP";
    case IPPROTO_SCTP:
      return "SCTP";
    default:
      return std::to_string(name.proto);
  }
}

// Not "namespace" and "service": what scrapes by itself has labels of these names for its target,
// and would rename ours.
Labels labels_of(const weir_name& name) {
  const auto text = text_of(name);
  const auto slash = std::min(text.find('/'), text.size());
  const auto rest = text.substr(std::min(slash + 1, text.size()));
  const auto colon = std::min(rest.find(':'), rest.size());
  const bool named = colon != rest.size();
  return {{"service_namespace", std::string{text.substr(0, slash)}},
          {"service_name", std::string{rest.substr(0, colon)}},
          {"service_port",
           named ? std::string{rest.substr(colon + 1)} : std::to_string(ntohs(name.port))},
          {"protocol", protocol_of(name)},
          {"family", name.family == 6 ? "IPv6" : "IPv4"}};
}

// No Service has an empty namespace.
Labels labels_of_others() {
  return {{"service_namespace", ""},
          {"service_name", "other"},
          {"service_port", ""},
          {"protocol", ""},
          {"family", ""}};
}

std::uint64_t hash_of(const weir_name& name) {
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(&name), sizeof name});
}

// Most connections first.
bool before(const ServiceReading& a, const ServiceReading& b) {
  if (a.stat.connections != b.stat.connections) return a.stat.connections > b.stat.connections;
  return std::tuple{text_of(a.name), a.name.proto, a.name.family} <
         std::tuple{text_of(b.name), b.name.proto, b.name.family};
}

struct ServiceSeries {
  MetricFamily connections = empty_family("weir_service_connections_total",
                                          "Flows established so far", MetricType::Counter);
  MetricFamily packets =
      empty_family("weir_service_packets_total", "Packets, both directions", MetricType::Counter);
  MetricFamily bytes =
      empty_family("weir_service_bytes_total", "Bytes from the IP header on, both directions",
                   MetricType::Counter);
  MetricFamily flows =
      empty_family("weir_service_flows", "Flows established now", MetricType::Gauge);

  void add(const Labels& labels, const weir_stat& stat, std::uint64_t live) {
    add_series(connections, labels, static_cast<double>(stat.connections));
    add_series(packets, labels, static_cast<double>(stat.packets));
    add_series(bytes, labels, static_cast<double>(stat.bytes));
    add_series(flows, labels, static_cast<double>(live));
  }
};

// Each counter in the family of its prefix. forward_ and reply_ are two ways of one thing.
struct CounterSeries {
  MetricFamily drops =
      empty_family("weir_drops_total", "Packets ended by weir: `weir drops`", MetricType::Counter);
  MetricFamily passes = empty_family("weir_passes_total", "Packets left to the stack, untouched",
                                     MetricType::Counter);
  MetricFamily answers = empty_family(
      "weir_answers_total", "Packets answered in the network's name", MetricType::Counter);
  MetricFamily translated =
      empty_family("weir_translated_total", "Packets translated, by where", MetricType::Counter);
  MetricFamily events =
      empty_family("weir_flow_events_total", "What became of flows", MetricType::Counter);

  void add(std::string_view name, std::uint64_t count) {
    const auto cut = [&](std::string_view prefix) {
      return std::string{name.substr(prefix.size())};
    };
    const auto value = static_cast<double>(count);
    if (name.starts_with("drop_")) return add_series(drops, {{"reason", cut("drop_")}}, value);
    if (name.starts_with("pass_")) return add_series(passes, {{"reason", cut("pass_")}}, value);
    if (name.starts_with("answer_"))
      return add_series(answers, {{"reason", cut("answer_")}}, value);
    if (name.starts_with("forward_") || name.starts_with("reply_"))
      return add_series(translated, {{"where", std::string{name}}}, value);
    add_series(events, {{"event", name.starts_with("flow_") ? cut("flow_") : std::string{name}}},
               value);
  }
};

// Of CLOCK_MONOTONIC, which the kernel half goes by, in Unix time.
double unix_seconds(std::uint64_t monotonic_ns) {
  timespec monotonic{};
  timespec real{};
  clock_gettime(CLOCK_MONOTONIC, &monotonic);
  clock_gettime(CLOCK_REALTIME, &real);
  const auto seconds = [](const timespec& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  };
  return seconds(real) - seconds(monotonic) + static_cast<double>(monotonic_ns) / 1e9;
}

void add_fill(std::vector<MetricFamily>& families, const std::vector<TableFill>& tables) {
  auto entries =
      empty_family("weir_table_entries", "Entries of a table that are in use", MetricType::Gauge);
  auto limits =
      empty_family("weir_table_limit", "Entries that a table has room for", MetricType::Gauge);
  for (const auto& fill : tables) {
    if (fill.entries)
      add_series(entries, {{"table", fill.table}}, static_cast<double>(*fill.entries));
    add_series(limits, {{"table", fill.table}}, static_cast<double>(fill.limit));
  }
  families.push_back(std::move(entries));
  families.push_back(std::move(limits));
}

void add_state(std::vector<MetricFamily>& families, const weir_state& state) {
  families.push_back(
      gauge_family("weir_flows", "Flows established now", static_cast<double>(state.flows)));
  families.push_back(counter_family("weir_expiry_runs_total", "Runs of the collector of flows",
                                    static_cast<double>(state.expiry_runs)));
  families.push_back(counter_family("weir_expiry_collected_total", "Flows that it has collected",
                                    static_cast<double>(state.expiry_deleted)));
  families.push_back(gauge_family("weir_expiry_last_run_timestamp_seconds", "When it last ran",
                                  state.expiry_runs == 0 ? 0 : unix_seconds(state.expiry_last)));
}

}  // namespace

weir_stat ServiceFamilies::grown(const ServiceReading& service, const Seen* last) {
  const auto& now = service.stat;
  if (last == nullptr || now.connections < last->stat.connections ||
      now.packets < last->stat.packets || now.bytes < last->stat.bytes)
    return now;
  return {.connections = now.connections - last->stat.connections,
          .packets = now.packets - last->stat.packets,
          .bytes = now.bytes - last->stat.bytes};
}

std::vector<MetricFamily> ServiceFamilies::make(std::vector<ServiceReading>& services) {
  const auto named = std::min(most_, services.size());
  std::ranges::partial_sort(services, services.begin() + static_cast<std::ptrdiff_t>(named),
                            before);
  ServiceSeries series;
  std::uint64_t flows_of_others = 0;
  std::unordered_map<std::uint32_t, Seen> seen;
  seen.reserve(services.size());
  for (std::size_t i = 0; i < services.size(); ++i) {
    const auto& service = services[i];
    const Seen now{.name = hash_of(service.name), .stat = service.stat};
    seen.emplace(service.id, now);
    if (i < named) {
      series.add(labels_of(service.name), service.stat, service.flows);
      continue;
    }
    const auto last = seen_.find(service.id);
    const bool known = last != seen_.end() && last->second.name == now.name;
    const auto more = grown(service, known ? &last->second : nullptr);
    others_.connections += more.connections;
    others_.packets += more.packets;
    others_.bytes += more.bytes;
    flows_of_others += service.flows;
  }
  seen_ = std::move(seen);
  series.add(labels_of_others(), others_, flows_of_others);
  const auto number = [](std::size_t count) { return static_cast<double>(count); };
  std::vector<MetricFamily> families{
      gauge_family("weir_services", "Service ports in the tables, each family by itself",
                   number(services.size())),
      gauge_family("weir_services_summed", "How many of them are in the series \"other\"",
                   number(services.size() - named))};
  for (auto* family : {&series.connections, &series.packets, &series.bytes, &series.flows})
    families.push_back(std::move(*family));
  return families;
}

std::vector<MetricFamily> table_families(const TableReading& reading) {
  std::vector<MetricFamily> families;
  auto no_local = empty_family("kubeproxy_sync_proxy_rules_no_local_endpoints_total",
                               "Service ports with a policy Local and endpoints only elsewhere",
                               MetricType::Gauge);
  add_series(no_local, {{"traffic_policy", "internal"}},
             static_cast<double>(reading.no_local_internal));
  add_series(no_local, {{"traffic_policy", "external"}},
             static_cast<double>(reading.no_local_external));
  families.push_back(std::move(no_local));
  add_fill(families, reading.tables);
  add_state(families, reading.state);
  CounterSeries counters;
  for (std::size_t i = 0; i < kCounters.size() && i < reading.counters.size(); ++i)
    counters.add(kCounters.at(i).name, reading.counters[i]);
  for (auto* family : {&counters.drops, &counters.passes, &counters.answers, &counters.translated,
                       &counters.events})
    families.push_back(std::move(*family));
  return families;
}

MetricFamily scrape_failures(std::size_t count) {
  return counter_family("weir_scrape_failures_total",
                        "Scrapes for which the tables could not be read",
                        static_cast<double>(count));
}

Result<std::unique_ptr<TableMetrics>> TableMetrics::open(
    const kernel::Pins& pins, std::size_t services, const std::atomic<std::size_t>& addresses) {
  auto reader = TableReader::open(pins);
  if (!reader) return std::unexpected{std::move(reader.error())};
  return std::unique_ptr<TableMetrics>{new TableMetrics{std::move(*reader), services, addresses}};
}

std::vector<MetricFamily> TableMetrics::Collect() const {
  std::vector<MetricFamily> families;
  if (auto reading = reader_.read()) {
    for (auto& fill : reading->tables)
      if (fill.table == "weir_address") fill.entries = addresses_.load();
    families = table_families(*reading);
    std::ranges::move(services_.make(reading->services), std::back_inserter(families));
  } else {
    if (failures_++ == 0) log::error("metrics: {}", reading.error().message());
  }
  families.push_back(scrape_failures(failures_));
  return families;
}

}  // namespace weir::serve
