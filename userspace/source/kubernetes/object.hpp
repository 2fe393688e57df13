// SPDX-License-Identifier: Apache-2.0
// From the API's objects to weir's: a tree in, a value out. Pure.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "model/cluster.hpp"
#include "source/manifests/manifests.hpp"
#include "source/manifests/value.hpp"

namespace weir::kubernetes {

using manifests::Value;

// What is listed and watched, in the order of a table of them.
enum class Resource : std::uint8_t { services, endpoint_slices, nodes };
inline constexpr std::size_t kResources = 3;
// "services", "endpointslices", "nodes", as RBAC has them.
std::string_view to_string(Resource resource);
// "Service default/web"
std::string describe(Resource resource, const ObjectKey& key);

using Date = std::chrono::system_clock::time_point;

struct Object {
  ObjectKey key;  // of a Node: ns is ""
  std::string uid;
  // monostate: there, and none of this proxy's: headless, ExternalName, FQDN, a slice of no
  // Service.
  std::variant<std::monostate, Service, SharedSlice, weir::Node> body;
  // Not empty: why weir cannot serve it as it is; then body says nothing.
  std::string problem;
  // Annotation endpoints.kubernetes.io/last-change-trigger-time: when that happened which the
  // slice tells of.
  std::optional<Date> triggered;
};

// Nothing: it has no name. `options` are the node ports that a Service may have.
std::optional<Object> read_object(Resource resource, const Value& root,
                                  const manifests::Options& options);

// Of a watch event's object, of a bookmark's, of a list.
struct Metadata {
  std::string version;       // resourceVersion: opaque
  std::string continuation;  // continue: there is more of the list
  bool initial_end = false;  // annotation k8s.io/initial-events-end
};
Metadata read_metadata(const Value& root);

// meta/v1 Status: the body of every answer that is no success, and of ERROR events.
struct Status {
  int code = 0;
  std::string reason;
  std::string message;
  bool too_large = false;  // a cause ResourceVersionTooLarge: the server is behind that version
  std::optional<std::chrono::seconds> retry_after;
};
Status read_status(const Value& root);

// RFC 3339: "2026-11-23T18:03:19Z", "2026-11-23T18:03:19.123456Z".
std::optional<Date> parse_date(std::string_view text);

}  // namespace weir::kubernetes
