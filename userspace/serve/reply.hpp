// SPDX-License-Identifier: Apache-2.0
// What the servers answer: values, and nothing of HTTP but status, headers and body.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "serve/health.hpp"
#include "serve/sync_health.hpp"

namespace weir::serve {

struct Reply {
  unsigned status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

struct ProxyHealth {
  bool healthy = true;
  std::optional<SyncHealth::Date> last_updated;  // none: never
  SyncHealth::Date now;
};

// Fields, headers and status are kube-proxy's: load balancers and kubelets read them.
Reply health_check_reply(const HealthCheck& check, bool proxy_healthy);
Reply livez_reply(const ProxyHealth& health);
Reply healthz_reply(const ProxyHealth& health, bool eligible);
Reply not_found_reply();

}  // namespace weir::serve
