// SPDX-License-Identifier: Apache-2.0
#include "serve/health_server.hpp"

#include <fmt/format.h>

#include <chrono>

namespace weir::serve {

Result<std::unique_ptr<HealthServer>> HealthServer::start(const FixedAddresses& fixed,
                                                          Metrics& metrics) {
  std::unique_ptr<HealthServer> server{new HealthServer{fixed, metrics}};
  auto http = HttpServer::start();
  if (!http) return fail(std::move(http.error()), "serve health");
  server->http_ = std::move(*http);
  server->serve({}, {});
  return server;
}

Reply HealthServer::answer(std::string_view path) const {
  if (path != "/livez" && path != "/healthz") return not_found_reply();
  const bool livez = path == "/livez";
  const bool keeps_up = sync_.healthy(std::chrono::steady_clock::now());
  const ProxyHealth health{.healthy = keeps_up && (livez || programmed_),
                           .last_updated = sync_.last_updated(),
                           .now = std::chrono::system_clock::now()};
  auto reply = livez ? livez_reply(health) : healthz_reply(health, eligible_);
  metrics_.answered(livez ? Probe::livez : Probe::healthz, reply.status);
  return reply;
}

void HealthServer::serve(const std::vector<HealthCheck>& checks,
                         const std::vector<Address>& addresses) {
  std::vector<Site> sites;
  sites.reserve(2 + (checks.size() * addresses.size()));
  if (fixed_.healthz)
    sites.push_back({.name = "healthz",
                     .at = *fixed_.healthz,
                     .handler = [this](std::string_view path) { return answer(path); }});
  if (fixed_.metrics)
    sites.push_back({.name = "metrics",
                     .at = *fixed_.metrics,
                     .handler = [this](std::string_view path) { return metrics_.answer(path); }});
  names_.clear();
  for (const auto& check : checks) {
    const auto name = fmt::format("health check of {}", check.service.to_string());
    names_.emplace(name, check.service);
    for (const auto& address : addresses) {
      sites.push_back({.name = name,
                       .at = {.address = address, .port = check.port},
                       .handler = [this, check](std::string_view) {
                         return health_check_reply(check,
                                                   sync_.healthy(std::chrono::steady_clock::now()));
                       }});
    }
  }
  http_->serve(std::move(sites));
}

std::map<ObjectKey, std::string> HealthServer::unopened() const {
  std::map<ObjectKey, std::string> all;
  for (const auto& one : http_->unopened())
    if (const auto check = names_.find(one.name); check != names_.end())
      all.try_emplace(check->second, fmt::format("listen on {}: {}", one.at.to_string(), one.why));
  return all;
}

}  // namespace weir::serve
