// SPDX-License-Identifier: Apache-2.0
// Objects as the manifests state them, before weir completes them: what is left out is still out.
#pragma once

#include <compare>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "model/cluster.hpp"
#include "source/manifests/field.hpp"

namespace weir::manifests {

using Labels = std::map<std::string, std::string>;

// Order of Object::body.
enum class Kind : std::uint8_t { service, endpoint_slice, pod, node };
std::string_view to_string(Kind kind);

struct ServicePortManifest {
  ServicePort port;          // node_port 0: left out
  std::uint16_t target = 0;  // spec.ports[].targetPort as a number, or
  std::string target_name;   // as a name; empty: by number
  unsigned node_port_line = 0;
};

enum class FamilyPolicy : std::uint8_t { unset, single, prefer_dual, require_dual };

struct ServiceManifest {
  // As far as it is stated. Without ports: those are below.
  Service service;
  std::vector<ServicePortManifest> ports;
  Labels selector;
  bool publish_not_ready = false;
  bool allocate_node_ports = true;
  bool allocate_load_balancer = true;  // status names no address of somebody else's
  // ExternalName, headless, or labelled as another proxy's: known, but not in the cluster's state.
  bool unserved = false;
  FamilyPolicy family_policy = FamilyPolicy::unset;
  std::vector<Family> families;            // spec.ipFamilies
  std::vector<unsigned> cluster_ip_lines;  // beside service.cluster_ips
  unsigned health_check_line = 0;          // of spec.healthCheckNodePort
  unsigned spec_line = 0;
};

struct ContainerPort {
  std::string name;
  Protocol protocol = Protocol::tcp;
  std::uint16_t port = 0;
};

struct PodManifest {
  Labels labels;
  std::string node;
  std::vector<Address> addresses;  // at most one of each family
  std::vector<ContainerPort> ports;
  bool ready = false;
  bool terminating = false;
  bool finished = false;  // phase Succeeded or Failed
};

struct SliceManifest {
  SharedSlice slice;
  bool unserved = false;  // FQDN, or labelled as another proxy's
};

struct Object {
  ObjectKey key;  // of a Node: ns is ""
  Place place;
  unsigned name_line = 0;  // of metadata.name
  std::variant<ServiceManifest, SliceManifest, PodManifest, Node> body;
  [[nodiscard]] Kind kind() const { return static_cast<Kind>(body.index()); }
};
using ObjectPtr = std::shared_ptr<const Object>;

struct ObjectId {
  Kind kind = Kind::service;
  ObjectKey key;
  friend auto operator<=>(const ObjectId&, const ObjectId&) = default;
};
inline ObjectId id_of(const Object& object) {
  return {object.kind(), object.key};
}

// Objects by what they are and are called.
struct ById {
  using is_transparent = void;
  bool operator()(const ObjectPtr& a, const ObjectPtr& b) const {
    return a->kind() != b->kind() ? a->kind() < b->kind() : a->key < b->key;
  }
  bool operator()(const ObjectPtr& a, const ObjectId& b) const {
    return a->kind() != b.kind ? a->kind() < b.kind : a->key < b.key;
  }
  bool operator()(const ObjectId& a, const ObjectPtr& b) const {
    return a.kind != b->kind() ? a.kind < b->kind() : a.key < b->key;
  }
};
using ObjectSet = std::set<ObjectPtr, ById>;

}  // namespace weir::manifests
