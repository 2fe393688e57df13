// SPDX-License-Identifier: Apache-2.0
// Which services have series of their own, and what the others come to.
#include <prometheus/text_serializer.h>

#include <map>

#include "support/catch.hpp"
#include "unit/serve/every_metric.hpp"
#include "unit/serve/exposition.hpp"

using namespace weir;
using serve::ServiceFamilies;
using serve::ServiceReading;
using test::Exposition;
using test::LabelSet;
using test::reading;

namespace {

Exposition exposed(const std::vector<prometheus::MetricFamily>& families) {
  const prometheus::TextSerializer serializer;
  return Exposition{static_cast<const prometheus::Serializer&>(serializer).Serialize(families)};
}

Exposition made(ServiceFamilies& families, std::vector<ServiceReading> services) {
  return exposed(families.make(services));
}

// {"default/a": 7, "other": 3}: what the services' connections are said to be.
std::map<std::string, double> connections(const Exposition& text) {
  std::map<std::string, double> found;
  for (const auto& [key, value] : text.families().at("weir_service_connections_total").samples) {
    const auto& labels = key.second;
    const auto& ns = labels.at("service_namespace");
    found[ns.empty() ? labels.at("service_name") : ns + "/" + labels.at("service_name")] = value;
  }
  return found;
}

using Found = std::map<std::string, double>;

LabelSet other() {
  return {{"service_namespace", ""},
          {"service_name", "other"},
          {"service_port", ""},
          {"protocol", ""},
          {"family", ""}};
}

}  // namespace

TEST_CASE("a service port's labels and numbers") {
  ServiceFamilies families{10};
  auto nameless = reading(2, "kube-system/dns", 4, 1);
  nameless.name.port = htons(53);
  nameless.name.proto = IPPROTO_UDP;
  nameless.name.family = 6;
  const auto text = made(families, {reading(1, "default/web:http", 3, 2), nameless});
  const LabelSet web{{"service_namespace", "default"},
                     {"service_name", "web"},
                     {"service_port", "http"},
                     {"protocol", "TCP"},
                     {"family", "IPv4"}};
  CHECK(text.value("weir_service_connections_total", web) == 3);
  CHECK(text.value("weir_service_packets_total", web) == 30);
  CHECK(text.value("weir_service_bytes_total", web) == 300);
  CHECK(text.value("weir_service_flows", web) == 2);
  const LabelSet dns{{"service_namespace", "kube-system"},
                     {"service_name", "dns"},
                     {"service_port", "53"},
                     {"protocol", "UDP"},
                     {"family", "IPv6"}};
  CHECK(text.value("weir_service_connections_total", dns) == 4);
  CHECK(text.value("weir_service_flows", dns) == 1);
  CHECK(text.value("weir_services") == 2);
  CHECK(text.value("weir_services_summed") == 0);
  CHECK(text.value("weir_service_connections_total", other()) == 0);
}

TEST_CASE("those with the most connections, ties by name; the others are one") {
  ServiceFamilies families{2};
  const auto text = made(families, {reading(1, "d/z", 5, 1), reading(2, "d/b", 5, 2),
                                    reading(3, "d/c", 9, 4), reading(4, "d/a", 1, 8)});
  CHECK(connections(text) == Found{{"d/c", 9}, {"d/b", 5}, {"other", 6}});
  CHECK(text.value("weir_services") == 4);
  CHECK(text.value("weir_services_summed") == 2);
  CHECK(text.value("weir_service_packets_total", other()) == 60);
  CHECK(text.value("weir_service_bytes_total", other()) == 600);
  CHECK(text.value("weir_service_flows", other()) == 9);
}

TEST_CASE("none by name: all are one") {
  ServiceFamilies families{0};
  const auto text = made(families, {reading(1, "d/a", 5), reading(2, "d/b", 6)});
  CHECK(connections(text) == Found{{"other", 11}});
  CHECK(text.value("weir_services_summed") == 2);
}

TEST_CASE("the sum of the others never falls, and does not jump") {
  ServiceFamilies families{1};
  CHECK(connections(made(families, {reading(1, "d/a", 10), reading(2, "d/b", 4)})) ==
        Found{{"d/a", 10}, {"other", 4}});
  // b overtakes: it leaves what it counted in the sum, and a brings nothing along.
  CHECK(connections(made(families, {reading(1, "d/a", 11), reading(2, "d/b", 20)})) ==
        Found{{"d/b", 20}, {"other", 5}});
  CHECK(connections(made(families, {reading(1, "d/a", 14), reading(2, "d/b", 21)})) ==
        Found{{"d/b", 21}, {"other", 8}});
  // A service that goes takes nothing away.
  CHECK(connections(made(families, {reading(2, "d/b", 21)})) == Found{{"d/b", 21}, {"other", 8}});
  // An id of another service, which may come between two scrapes, and a service that began anew,
  // count from nothing.
  CHECK(connections(made(families, {reading(2, "d/b", 21), reading(1, "d/n", 15)})) ==
        Found{{"d/b", 21}, {"other", 23}});
  CHECK(connections(made(families, {reading(2, "d/b", 21), reading(1, "d/n", 2)})) ==
        Found{{"d/b", 21}, {"other", 25}});
  const auto text = made(families, {reading(2, "d/b", 21), reading(1, "d/m", 3)});
  CHECK(connections(text) == Found{{"d/b", 21}, {"other", 28}});
  CHECK(text.value("weir_service_packets_total", other()) == 280);
  CHECK(text.value("weir_service_bytes_total", other()) == 2800);
}

TEST_CASE("the number of series does not grow with the services") {
  ServiceFamilies families{100};
  std::vector<ServiceReading> services;
  for (std::uint32_t i = 1; i <= 5000; ++i)
    services.push_back(reading(i, "default/s" + std::to_string(i), i));
  const auto text = made(families, services);
  CHECK(connections(text).size() == 101);
  CHECK(connections(text).contains("default/s5000"));
  CHECK(connections(text).contains("default/s4901"));
  CHECK(text.value("weir_services_summed") == 4900);
  CHECK(connections(text).at("other") == 4900.0 * 4901 / 2);
}

TEST_CASE("fill, limits, flows, the collector") {
  const auto text = exposed(serve::table_families(test::full_reading()));
  CHECK(text.value("weir_table_entries", {{"table", "weir_slot"}}) == 7);
  CHECK(text.value("weir_table_limit", {{"table", "weir_slot"}}) == 64);
  CHECK_FALSE(text.has("weir_table_entries", {{"table", "weir_half_tcp"}}));
  CHECK(text.value("weir_table_limit", {{"table", "weir_half_tcp"}}) == 128);
  CHECK(text.value("weir_flows") == 5);
  CHECK(text.value("weir_expiry_runs_total") == 8);
  CHECK(text.value("weir_expiry_collected_total") == 9);
  const std::string no_local = "kubeproxy_sync_proxy_rules_no_local_endpoints_total";
  CHECK(text.value(no_local, {{"traffic_policy", "internal"}}) == 1);
  CHECK(text.value(no_local, {{"traffic_policy", "external"}}) == 2);
}

TEST_CASE("every counter of the kernel half is there once, in the family of its prefix") {
  const auto text = exposed(serve::table_families(test::full_reading()));
  const std::map<std::string, std::pair<std::string, std::string>> families{
      {"drop", {"weir_drops_total", "reason"}},
      {"pass", {"weir_passes_total", "reason"}},
      {"answer", {"weir_answers_total", "reason"}},
      {"flow", {"weir_flow_events_total", "event"}}};
  std::size_t series = 0;
  for (std::uint64_t i = 0; i < WEIR_COUNTER_MAX; ++i) {
    const std::string name{kCounters.at(i).name};
    INFO(name);
    const auto cut = name.find('_');
    const auto found = families.find(name.substr(0, cut));
    const auto wanted = static_cast<double>(1000 + i);
    if (found != families.end())
      CHECK(text.value(found->second.first, {{found->second.second, name.substr(cut + 1)}}) ==
            wanted);
    else if (name.starts_with("host_"))
      CHECK(text.value("weir_flow_events_total", {{"event", name}}) == wanted);
    else
      CHECK(text.value("weir_translated_total", {{"where", name}}) == wanted);
  }
  for (const char* family : {"weir_drops_total", "weir_passes_total", "weir_answers_total",
                             "weir_translated_total", "weir_flow_events_total"})
    series += text.families().at(family).samples.size();
  CHECK(series == WEIR_COUNTER_MAX);
}
