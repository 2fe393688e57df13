// SPDX-License-Identifier: Apache-2.0
#include "serve/health_server.hpp"

#include <fmt/format.h>

#include <chrono>

namespace weir::serve {

Result<std::unique_ptr<HealthServer>> HealthServer::start(std::optional<ListenAddress> healthz) {
  std::unique_ptr<HealthServer> server{new HealthServer{healthz}};
  auto http = HttpServer::start();
  if (!http) return fail(std::move(http.error()), "serve health");
  server->http_ = std::move(*http);
  server->serve({}, {});
  return server;
}

Reply HealthServer::answer(std::string_view path) const {
  const ProxyHealth health{.healthy = sync_.healthy(std::chrono::steady_clock::now()),
                           .last_updated = sync_.last_updated(),
                           .now = std::chrono::system_clock::now()};
  if (path == "/livez") return livez_reply(health);
  if (path == "/healthz") return healthz_reply(health, eligible_);
  return not_found_reply();
}

void HealthServer::serve(const std::vector<HealthCheck>& checks,
                         const std::vector<Address>& addresses) {
  std::vector<Site> sites;
  sites.reserve(1 + (checks.size() * addresses.size()));
  if (healthz_)
    sites.push_back({.name = "healthz", .at = *healthz_, .handler = [this](std::string_view path) {
                       return answer(path);
                     }});
  for (const auto& check : checks) {
    for (const auto& address : addresses) {
      sites.push_back({.name = fmt::format("health check of {}", check.service.to_string()),
                       .at = {.address = address, .port = check.port},
                       .handler = [this, check](std::string_view) {
                         return health_check_reply(check,
                                                   sync_.healthy(std::chrono::steady_clock::now()));
                       }});
    }
  }
  http_->serve(std::move(sites));
}

}  // namespace weir::serve
