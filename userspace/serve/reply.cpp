// SPDX-License-Identifier: Apache-2.0
#include "serve/reply.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include <chrono>
#include <string_view>

namespace weir::serve {
namespace {

using Writer = rapidjson::PrettyWriter<rapidjson::StringBuffer>;

constexpr unsigned kOk = 200;
constexpr unsigned kNotFound = 404;
constexpr unsigned kUnavailable = 503;

void write(Writer& out, std::string_view text) {
  out.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
}

void member(Writer& out, std::string_view name, std::string_view text) {
  write(out, name);
  write(out, text);
}

void member(Writer& out, std::string_view name, bool yes) {
  write(out, name);
  out.Bool(yes);
}

// RFC 3339. "Never" is what Go makes of it, since programs parse the field as a time.
std::string date_text(std::optional<SyncHealth::Date> date) {
  if (!date) return "0001-01-01T00:00:00Z";
  const auto seconds = std::chrono::floor<std::chrono::seconds>(*date);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(*date - seconds).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)), ms);
}

Reply json_reply(unsigned status, const rapidjson::StringBuffer& body) {
  return {.status = status,
          .headers = {{"Content-Type", "application/json"}, {"X-Content-Type-Options", "nosniff"}},
          .body = std::string{body.GetString(), body.GetSize()}};
}

// A node's whole state is one; each family of it is reported too, as kube-proxy does.
void write_status(Writer& out, bool healthy, const std::string& last_updated) {
  write(out, "status");
  out.StartObject();
  for (const std::string_view family : {"IPv4", "IPv6"}) {
    write(out, family);
    out.StartObject();
    member(out, "lastUpdated", last_updated);
    member(out, "healthy", healthy);
    out.EndObject();
  }
  out.EndObject();
}

Reply proxy_reply(const ProxyHealth& health, std::optional<bool> eligible) {
  const bool good = health.healthy && eligible.value_or(true);
  rapidjson::StringBuffer body;
  Writer out{body};
  out.SetIndent('\t', 1);
  // Nothing to program is as good as just programmed: an idle proxy would look dead otherwise.
  const std::string last_updated = date_text(good ? health.now : health.last_updated);
  out.StartObject();
  member(out, "lastUpdated", last_updated);
  member(out, "currentTime", date_text(health.now));
  if (eligible) member(out, "nodeEligible", *eligible);
  member(out, "healthy", health.healthy);
  write_status(out, health.healthy, last_updated);
  out.EndObject();
  return json_reply(good ? kOk : kUnavailable, body);
}

}  // namespace

Reply health_check_reply(const HealthCheck& check, bool proxy_healthy) {
  rapidjson::StringBuffer body;
  Writer out{body};
  out.SetIndent('\t', 1);
  out.StartObject();
  write(out, "service");
  out.StartObject();
  member(out, "namespace", check.service.ns);
  member(out, "name", check.service.name);
  out.EndObject();
  write(out, "localEndpoints");
  out.Uint(check.local_endpoints);
  member(out, "serviceProxyHealthy", proxy_healthy);
  out.EndObject();
  auto reply = json_reply(check.local_endpoints > 0 && proxy_healthy ? kOk : kUnavailable, body);
  reply.headers.emplace_back("X-Load-Balancing-Endpoint-Weight",
                             std::to_string(check.local_endpoints));
  return reply;
}

Reply livez_reply(const ProxyHealth& health) {
  return proxy_reply(health, std::nullopt);
}

Reply healthz_reply(const ProxyHealth& health, bool eligible) {
  return proxy_reply(health, eligible);
}

Reply not_found_reply() {
  return {.status = kNotFound,
          .headers = {{"Content-Type", "text/plain; charset=utf-8"},
                      {"X-Content-Type-Options", "nosniff"}},
          .body = "404 page not found\n"};
}

}  // namespace weir::serve
