// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/object.hpp"

#include <fmt/format.h>

#include <charconv>
#include <ctime>
#include <utility>

#include "source/manifests/readers.hpp"

namespace weir::kubernetes {
namespace {

using manifests::Field;
using manifests::Report;
using manifests::ValueKind;

constexpr std::string_view kServiceName = "kubernetes.io/service-name";
constexpr std::string_view kTriggered = "endpoints.kubernetes.io/last-change-trigger-time";

std::string_view text_of(const Value* value) {
  return value != nullptr && value->kind == ValueKind::text ? value->scalar : std::string_view{};
}

const Value* member(const Value* of, std::string_view name) {
  return of != nullptr && of->kind == ValueKind::map ? of->find(name) : nullptr;
}

int number_of(const Value* value) {
  int number = 0;
  if (value == nullptr || value->kind != ValueKind::number) return 0;
  const auto text = value->scalar;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} ? number : 0;
}

// What a manifest leaves out to be allocated, the API server has given.
Service complete(manifests::ServiceManifest manifest, const ObjectKey& key) {
  Service service = std::move(manifest.service);
  service.key = key;
  service.ports.reserve(manifest.ports.size());
  for (auto& port : manifest.ports) service.ports.push_back(std::move(port.port));
  return service;
}

void read_service_into(const Field& root, const manifests::Options& options, Object& object) {
  auto manifest = manifests::read_service(root, options);
  if (manifest.unserved || manifest.service.cluster_ips.empty()) return;
  object.body = complete(std::move(manifest), object.key);
}

void read_slice_into(const Field& root, const Value& value, Object& object) {
  const auto* const labels = member(member(&value, "metadata"), "labels");
  if (text_of(member(labels, kServiceName)).empty()) return;
  auto manifest = manifests::read_slice(root, object.key);
  if (!manifest.unserved) object.body = std::move(manifest.slice);
}

std::string joined(const std::vector<manifests::Problem>& problems) {
  std::string text;
  for (const auto& problem : problems) text += (text.empty() ? "" : "; ") + problem.text;
  return text;
}

}  // namespace

std::string_view to_string(Resource resource) {
  switch (resource) {
    case Resource::services:
      return "services";
    case Resource::endpoint_slices:
      return "endpointslices";
    case Resource::nodes:
      return "nodes";
  }
  return "?";
}

std::string describe(Resource resource, const ObjectKey& key) {
  switch (resource) {
    case Resource::services:
      return "Service " + key.to_string();
    case Resource::endpoint_slices:
      return "EndpointSlice " + key.to_string();
    case Resource::nodes:
      return "Node " + key.name;
  }
  return "?";
}

std::optional<Object> read_object(Resource resource, const Value& root,
                                  const manifests::Options& options) {
  const auto* const metadata = member(&root, "metadata");
  Object object;
  object.key = {std::string{text_of(member(metadata, "namespace"))},
                std::string{text_of(member(metadata, "name"))}};
  if (object.key.name.empty()) return std::nullopt;
  object.uid = text_of(member(metadata, "uid"));
  object.triggered = parse_date(text_of(member(member(metadata, "annotations"), kTriggered)));
  Report report;
  const Field field{root, report};
  switch (resource) {
    case Resource::services:
      read_service_into(field, options, object);
      break;
    case Resource::endpoint_slices:
      read_slice_into(field, root, object);
      break;
    case Resource::nodes: {
      weir::Node node = manifests::read_node(field);
      node.name = object.key.name;
      object.body = std::move(node);
      break;
    }
  }
  object.problem = joined(report.take());
  return object;
}

Metadata read_metadata(const Value& root) {
  const auto* const metadata = member(&root, "metadata");
  const auto* const annotations = member(metadata, "annotations");
  return {.version = std::string{text_of(member(metadata, "resourceVersion"))},
          .continuation = std::string{text_of(member(metadata, "continue"))},
          .initial_end = text_of(member(annotations, "k8s.io/initial-events-end")) == "true"};
}

Status read_status(const Value& root) {
  Status status{.code = number_of(member(&root, "code")),
                .reason = std::string{text_of(member(&root, "reason"))},
                .message = manifests::printable(text_of(member(&root, "message"))),
                .too_large = false,
                .retry_after = {}};
  const auto* const details = member(&root, "details");
  if (const int seconds = number_of(member(details, "retryAfterSeconds")); seconds > 0)
    status.retry_after = std::chrono::seconds{seconds};
  const auto* const causes = member(details, "causes");
  if (causes == nullptr) return status;
  for (const Value& cause : causes->items())
    // "reason" is its name in JSON; older servers' clients also knew it as "type".
    for (const auto* const name : {"reason", "type"})
      if (text_of(member(&cause, name)) == "ResourceVersionTooLarge") status.too_large = true;
  return status;
}

std::optional<Date> parse_date(std::string_view text) {
  const std::string copy{text.substr(0, 64)};
  std::tm parts{};
  const char* rest = strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return std::nullopt;
  std::chrono::microseconds fraction{0};
  if (*rest == '.') {
    std::int64_t scale = 100'000;
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest, scale /= 10)
      fraction += std::chrono::microseconds{(*rest - '0') * scale};
  }
  if (std::string_view{rest} != "Z") return std::nullopt;
  return Date{std::chrono::seconds{timegm(&parts)} + fraction};
}

}  // namespace weir::kubernetes
