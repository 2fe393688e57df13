// SPDX-License-Identifier: Apache-2.0
// The registry: what the agent says, as it stands in the text.
#include <cmath>
#include <filesystem>
#include <thread>

#include "serve/health_server.hpp"
#include "unit/serve/every_metric.hpp"
#include "unit/serve/exposition.hpp"
#include "unit/serve/http_client.hpp"

using namespace std::chrono_literals;
using namespace weir;
using serve::AttachedDevices;
using serve::Metrics;
using test::Exposition;
using test::LabelSet;

namespace {

double now() {
  return std::chrono::duration<double>{std::chrono::system_clock::now().time_since_epoch()}.count();
}

double open_descriptors() {
  const std::filesystem::directory_iterator all{"/proc/self/fd"};
  return static_cast<double>(std::distance(begin(all), end(all))) - 1;  // without its own
}

// Upper bounds of a histogram without labels, but for +Inf; checks that its numbers add up.
std::vector<double> bounds_of(const Exposition& text, const std::string& name) {
  std::map<double, double> counts;
  const auto& family = text.families().at(name);
  CHECK(family.type == "histogram");
  for (const auto& [key, value] : family.samples)
    if (key.first == name + "_bucket") {
      const auto& bound = key.second.at("le");
      counts[bound == "+Inf" ? INFINITY : std::stod(bound)] = value;
    }
  std::vector<double> bounds;
  double before = 0;
  for (const auto& [bound, count] : counts) {
    CHECK(count >= before);
    before = count;
    bounds.push_back(bound);
  }
  CHECK(std::isinf(bounds.back()));
  CHECK(before == text.value(name + "_count"));
  bounds.pop_back();
  return bounds;
}

}  // namespace

TEST_CASE("the text is the exposition format, with help and type of everything") {
  Metrics metrics;
  test::call_everything(metrics);
  const Exposition text{metrics.text()};
  CHECK(text.families().size() > 25);
  for (const auto& [name, family] : text.families()) {
    INFO(name);
    CHECK_FALSE(family.help.empty());
    CHECK((family.type == "counter" || family.type == "gauge" || family.type == "histogram"));
    CHECK_FALSE(family.samples.empty());
    CHECK(name.ends_with("_total") == (family.type == "counter"));
  }
  CHECK(text.value("weir_build_info", {{"version", "0.1.0"}, {"abi", "1"}}) == 1);
}

TEST_CASE("publications: how many, how long, when, and what waits") {
  Metrics metrics;
  metrics.changed(3, 5);
  const Exposition waiting{metrics.text()};
  CHECK(waiting.value("kubeproxy_sync_proxy_rules_service_changes_pending") == 3);
  CHECK(waiting.value("kubeproxy_sync_proxy_rules_endpoint_changes_pending") == 5);
  CHECK(waiting.value("kubeproxy_sync_proxy_rules_last_timestamp_seconds") == 0);
  CHECK(std::abs(waiting.value("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds") -
                 now()) < 5);
  metrics.sync_began();
  std::this_thread::sleep_for(20ms);
  metrics.sync_failed();
  const Exposition failed{metrics.text()};
  CHECK(failed.value("kubeproxy_sync_proxy_rules_service_changes_pending") == 3);
  CHECK(failed.value("weir_publications_total", {{"result", "failed"}}) == 1);
  CHECK(failed.value("weir_publications_total", {{"result", "done"}}) == 0);
  CHECK(failed.value("kubeproxy_sync_proxy_rules_last_timestamp_seconds") == 0);
  metrics.changed(1, 0);
  metrics.sync_began();
  metrics.sync_done();
  const Exposition done{metrics.text()};
  CHECK(done.value("kubeproxy_sync_proxy_rules_service_changes_pending") == 0);
  CHECK(done.value("kubeproxy_sync_proxy_rules_endpoint_changes_pending") == 0);
  CHECK(done.value("kubeproxy_sync_proxy_rules_service_changes_total") == 4);
  CHECK(done.value("kubeproxy_sync_proxy_rules_endpoint_changes_total") == 5);
  CHECK(done.value("weir_publications_total", {{"result", "done"}}) == 1);
  CHECK(std::abs(done.value("kubeproxy_sync_proxy_rules_last_timestamp_seconds") - now()) < 5);
  CHECK(done.value("kubeproxy_sync_proxy_rules_duration_seconds_count") == 2);
  CHECK(done.value("kubeproxy_sync_proxy_rules_duration_seconds_sum") > 0.02);
  CHECK(done.value("kubeproxy_sync_proxy_rules_duration_seconds_sum") < 5);
}

TEST_CASE("buckets are kube-proxy's") {
  const Metrics metrics;
  const Exposition text{metrics.text()};
  const auto sync = bounds_of(text, "kubeproxy_sync_proxy_rules_duration_seconds");
  REQUIRE(sync.size() == 15);
  for (std::size_t i = 0; i < sync.size(); ++i)
    CHECK(std::abs(sync[i] - std::ldexp(0.001, static_cast<int>(i))) < 1e-9);
  const auto programming = bounds_of(text, "kubeproxy_network_programming_duration_seconds");
  REQUIRE(programming.size() == 2 + 59 + 12 + 7);
  CHECK(programming.front() == 0.25);
  CHECK(programming[1] == 0.5);
  CHECK(programming[2] == 1);
  CHECK(programming[60] == 59);
  CHECK(programming[61] == 60);
  CHECK(programming[72] == 115);
  CHECK(programming[73] == 120);
  CHECK(programming.back() == 300);
}

TEST_CASE("programming latency is from the trigger until now") {
  Metrics metrics;
  std::this_thread::sleep_for(30ms);
  const auto at = std::chrono::system_clock::now();
  const std::array triggers{at, at - 10ms, at + 1h, at - 1h};
  metrics.programmed(triggers);
  const Exposition text{metrics.text()};
  const std::string name = "kubeproxy_network_programming_duration_seconds";
  CHECK(text.value(name + "_count") == 3);  // the last is of before this process
  CHECK(text.value(name + "_sum") > 0.01);
  CHECK(text.value(name + "_sum") < 2);  // and not an hour less or more
}

TEST_CASE("refused services and attached devices are those of now") {
  Metrics metrics;
  metrics.refused(4, 2);
  const std::array<AttachedDevices, 3> kinds{
      {{"uplink", "xdp-native", 1}, {"pod", "tc", 3}, {"pod", "tc", 4}}};
  metrics.attached(kinds);
  const Exposition before{metrics.text()};
  CHECK(before.value("weir_refused_services") == 4);
  CHECK(before.value("weir_frontend_conflicts") == 2);
  CHECK(before.value("weir_attached_devices", {{"edge", "pod"}, {"mode", "tc"}}) == 7);
  CHECK(before.value("weir_attached_devices", {{"edge", "uplink"}, {"mode", "xdp-native"}}) == 1);
  CHECK(before.value("weir_attached_devices", {{"edge", "uplink"}, {"mode", "tc"}}) == 0);
  metrics.refused(0, 0);
  metrics.attached({});
  const Exposition after{metrics.text()};
  CHECK(after.value("weir_refused_services") == 0);
  CHECK(after.value("weir_frontend_conflicts") == 0);
  CHECK(after.value("weir_attached_devices", {{"edge", "pod"}, {"mode", "tc"}}) == 0);
  CHECK(after.value("weir_attached_devices", {{"edge", "uplink"}, {"mode", "xdp-native"}}) == 0);
}

TEST_CASE("watches: nothing without a call, then each resource by itself") {
  Metrics metrics;
  CHECK_FALSE(Exposition{metrics.text()}.has("weir_watch_connected", {{"resource", "services"}}));
  metrics.watch_connected(serve::Watched::services, true);
  metrics.watch_connected(serve::Watched::node, true);
  metrics.watch_connected(serve::Watched::node, false);
  metrics.watch_heard(serve::Watched::services);
  metrics.watch_listed(serve::Watched::endpointslices);
  metrics.watch_listed(serve::Watched::endpointslices);
  metrics.watch_received(serve::Watched::endpointslices, 1000);
  metrics.watch_received(serve::Watched::endpointslices, 24);
  metrics.watch_restarted(serve::Watched::node, serve::WatchEnd::expired);
  metrics.watch_restarted(serve::Watched::node, serve::WatchEnd::content);
  const Exposition text{metrics.text()};
  CHECK(text.value("weir_watch_connected", {{"resource", "services"}}) == 1);
  CHECK(text.value("weir_watch_connected", {{"resource", "node"}}) == 0);
  CHECK(std::abs(text.value("weir_watch_last_heard_timestamp_seconds", {{"resource", "services"}}) -
                 now()) < 5);
  CHECK_FALSE(text.has("weir_watch_last_heard_timestamp_seconds", {{"resource", "node"}}));
  CHECK(text.value("weir_watch_lists_total", {{"resource", "endpointslices"}}) == 2);
  CHECK(text.value("weir_watch_received_bytes_total", {{"resource", "endpointslices"}}) == 1024);
  const auto restarts = [&](const char* reason) {
    return LabelSet{{"resource", "node"}, {"reason", reason}};
  };
  CHECK(text.value("weir_watch_restarts_total", restarts("expired")) == 1);
  CHECK(text.value("weir_watch_restarts_total", restarts("content")) == 1);
  CHECK_FALSE(text.has("weir_watch_restarts_total", restarts("ended")));
}

TEST_CASE("this process, as others see it") {
  const Metrics metrics;
  const Exposition text{metrics.text()};
  CHECK(text.value("process_resident_memory_bytes") > 1e6);
  CHECK(text.value("process_virtual_memory_bytes") >= text.value("process_resident_memory_bytes"));
  CHECK(text.value("process_start_time_seconds") <= now() + 1);
  CHECK(text.value("process_start_time_seconds") > now() - 600);
  CHECK(text.value("process_max_fds") >= 10);
  CHECK(text.value("process_open_fds") == open_descriptors());
  const UniqueFd one{dup(2)};
  CHECK(Exposition{metrics.text()}.value("process_open_fds") == text.value("process_open_fds") + 1);
  const double before = text.value("process_cpu_seconds_total");
  const auto end = test::Clock::now() + 200ms;
  while (test::Clock::now() < end) {
  }
  CHECK(Exposition{metrics.text()}.value("process_cpu_seconds_total") >= before + 0.05);
}

TEST_CASE("the metrics' address: /metrics, /healthz, /proxyMode; probes are counted by status") {
  Metrics metrics;
  const auto healthz = test::free_port();
  const auto port = test::free_port();
  const auto local = [](std::uint16_t at) {
    return serve::ListenAddress{.address = Address::parse("127.0.0.1").value(), .port = at};
  };
  auto server =
      serve::HealthServer::start({.healthz = local(healthz), .metrics = local(port)}, metrics);
  REQUIRE(server);
  REQUIRE(test::until([&] { return static_cast<bool>(test::dial(port)); }));
  CHECK(test::ask(port, "/healthz").body == "ok");
  CHECK(test::ask(port, "/proxyMode").body == "weir");
  CHECK(test::ask(port, "/livez").status == "404");
  CHECK(test::ask(port, "/metrics/").status == "404");
  const auto answer = test::ask(port, "/metrics");
  CHECK(answer.status == "200");
  CHECK(answer.head.find("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n") !=
        std::string::npos);
  CHECK_FALSE(Exposition{answer.body}.has("kubeproxy_proxy_healthz_total", {{"code", "200"}}));
  CHECK(test::ask(healthz, "/metrics").status == "404");
  for (int i = 0; i < 3; ++i) CHECK(test::ask(healthz, "/healthz").status == "200");
  (*server)->set_eligible(false);
  CHECK(test::ask(healthz, "/healthz").status == "503");
  CHECK(test::ask(healthz, "/livez").status == "200");
  CHECK(test::ask(healthz, "/other").status == "404");
  const Exposition text{test::ask(port, "/metrics").body};
  CHECK(text.value("kubeproxy_proxy_healthz_total", {{"code", "200"}}) == 3);
  CHECK(text.value("kubeproxy_proxy_healthz_total", {{"code", "503"}}) == 1);
  CHECK(text.value("kubeproxy_proxy_livez_total", {{"code", "200"}}) == 1);
  CHECK_FALSE(text.has("kubeproxy_proxy_healthz_total", {{"code", "404"}}));
}

TEST_CASE("threads may say and ask at the same time") {
  Metrics metrics;
  std::thread agent{[&] {
    for (int i = 0; i < 200; ++i) test::call_everything(metrics);
  }};
  for (int i = 0; i < 20; ++i) Exposition{metrics.text()};
  agent.join();
  CHECK(Exposition{metrics.text()}.value("weir_publications_total", {{"result", "done"}}) == 200);
}
