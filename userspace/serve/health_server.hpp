// SPDX-License-Identifier: Apache-2.0
// /healthz, /livez, /metrics and every healthCheckNodePort of a node.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "serve/health.hpp"
#include "serve/http_server.hpp"
#include "serve/metrics.hpp"
#include "serve/sync_health.hpp"

namespace weir::serve {

// Where what is always there is served; without an address, nowhere.
struct FixedAddresses {
  std::optional<ListenAddress> healthz;  // /healthz and /livez
  std::optional<ListenAddress> metrics;
};

class HealthServer {
 public:
  // At first only what is at the fixed addresses. What is answered there counts in `metrics`, which
  // outlives the server.
  static Result<std::unique_ptr<HealthServer>> start(const FixedAddresses& fixed, Metrics& metrics);
  HealthServer(const HealthServer&) = delete;
  HealthServer& operator=(const HealthServer&) = delete;
  ~HealthServer() = default;

  // All of these return at once, whatever the clients do.
  void queued() { sync_.queued(std::chrono::steady_clock::now()); }
  void updated() { sync_.updated(std::chrono::system_clock::now()); }
  void set_eligible(bool eligible) { eligible_ = eligible; }
  // Whether the node has tables to work by, those of an earlier agent included. Without, no load
  // balancer should lead here, though the agent is well: 503 at /healthz and not at /livez.
  void set_programmed(bool programmed) { programmed_ = programmed; }
  // Every check at each of these addresses; the unspecified one stands for all.
  void serve(const std::vector<HealthCheck>& checks, const std::vector<Address>& addresses);
  // Services whose healthCheckNodePort something else on the node has, and why as a line.
  [[nodiscard]] std::map<ObjectKey, std::string> unopened() const;

 private:
  HealthServer(const FixedAddresses& fixed, Metrics& metrics) : fixed_{fixed}, metrics_{metrics} {}
  [[nodiscard]] Reply answer(std::string_view path) const;

  FixedAddresses fixed_;
  Metrics& metrics_;
  SyncHealth sync_;
  std::atomic<bool> eligible_{true};
  std::atomic<bool> programmed_{true};
  std::map<std::string, ObjectKey> names_;  // of the checks' sites
  // Last, so that its thread ends before what that looks at.
  std::unique_ptr<HttpServer> http_;
};

}  // namespace weir::serve
