// SPDX-License-Identifier: Apache-2.0
// What the kernel's tables should say, and what they do say: values that plan() makes and
// reconcile() compares. Nothing here knows how a map is written.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/abi.hpp"
#include "model/address.hpp"

namespace weir {

// One service port of one family: what a service id stands for.
struct ServiceIdentity {
  std::string text;  // "namespace/name:port-name", or "namespace/name" for a nameless port
  Protocol protocol = Protocol::tcp;
  Family family = Family::ipv4;
  friend auto operator<=>(const ServiceIdentity&, const ServiceIdentity&) = default;
  [[nodiscard]] std::string to_string() const;  // "default/web:http TCP IPv4"
};

// The same, shared by all that belongs to the service: there are many backends to one name.
class SharedIdentity {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): one is as good as the other
  SharedIdentity(ServiceIdentity identity)
      : identity_{std::make_shared<const ServiceIdentity>(std::move(identity))} {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator const ServiceIdentity&() const { return *identity_; }
  const ServiceIdentity* operator->() const { return identity_.get(); }
  friend bool operator==(const SharedIdentity& a, const SharedIdentity& b) {
    return a.identity_ == b.identity_ || *a.identity_ == *b.identity_;
  }

 private:
  std::shared_ptr<const ServiceIdentity> identity_;
};

struct BackendIdentity {
  Address address;
  std::uint16_t port = 0;  // host order
  friend auto operator<=>(const BackendIdentity&, const BackendIdentity&) = default;
};

struct WantedBackend {
  bool terminating = false;  // weir_backend_state TERMINATING instead of ACTIVE
  bool local = false;
  bool reset = false;  // WEIR_BACKEND_RESET
  friend bool operator==(const WantedBackend&, const WantedBackend&) = default;
};

// Who may use a service's load-balancer addresses: sorted, no duplicates.
using RangeSet = std::vector<Cidr>;

struct WantedService {
  weir_service_type type = WEIR_TYPE_CLUSTER_IP;
  std::uint16_t port = 0;  // spec.ports[].port
  // Port and protocol included; node ports under the unspecified address.
  std::map<weir_service_key, weir_frontend> frontends;
  std::uint32_t flags = 0;     // weir_version_flag
  std::uint32_t affinity = 0;  // weir_version.affinity: seconds
  RangeSet ranges;             // empty: every client may use load-balancer addresses
  // Every backend that keeps its flows, in a list or not. A terminating one may be in a list too:
  // it is chosen as long as no ready one is left.
  std::map<BackendIdentity, WantedBackend> backends;
  // Sorted, no duplicates, each in `backends`.
  std::vector<BackendIdentity> cluster;
  std::vector<BackendIdentity> local;
  friend bool operator==(const WantedService&, const WantedService&) = default;
};

// The element of weir_source_range that admits `range` in set `id`.
weir_range_key range_key(std::uint32_t id, const Cidr& range);
std::optional<Cidr> range_of(const weir_range_key& key);  // nothing: no key of range_key()

// A frontend that two service ports claim; `kept` has it, `lost` goes without.
struct FrontendConflict {
  weir_service_key key;
  ServiceIdentity kept;
  ServiceIdentity lost;
  friend bool operator==(const FrontendConflict&, const FrontendConflict&) = default;
};

struct WantedTables {
  std::map<ServiceIdentity, WantedService> services;  // no frontend in two of them
  // Node addresses and service addresses. The BACKEND, LOCAL and PAST bits are reconcile()'s, which
  // keeps them while there may be flows.
  std::map<weir_addr, std::uint32_t> addresses;
  std::vector<FrontendConflict> conflicts;  // for the log
  friend bool operator==(const WantedTables&, const WantedTables&) = default;
};

// Sizes of the maps: entries, not bytes.
struct Limits {
  std::uint32_t services = 65'536;
  std::uint32_t backends = 262'144;
  std::uint32_t slots = 2'097'152;
  std::uint32_t flows = 262'144;
  std::uint32_t half_open = 131'072;  // records of each half-open table, two a flow
  std::uint32_t frontends = 262'144;  // entries of weir_service
  std::uint32_t addresses = 524'288;  // entries of weir_address
  std::uint32_t affinities = 65'536;  // entries of weir_affinity: clients of services
  std::uint32_t ranges = 65'536;      // entries of weir_source_range
  friend bool operator==(const Limits&, const Limits&) = default;
};

// The same, as the maps hold it: read once at start (adopt), then kept in step by reconcile().
struct ProgrammedBackend {
  SharedIdentity service;
  BackendIdentity identity;
  weir_backend_state state = WEIR_BACKEND_FREE;
  std::uint32_t flags = 0;  // weir_backend_flag
  std::uint32_t generation = 0;
  friend bool operator==(const ProgrammedBackend&, const ProgrammedBackend&) = default;
};

struct ProgrammedService {
  std::uint32_t id = 0;
  std::uint32_t version_index = 0;  // 0: withdrawn, but some backend still has flows
  weir_version version{};           // all zero while withdrawn
  // The backend indexes in the slots of the version's lists, in slot order.
  std::vector<std::uint32_t> cluster;
  std::vector<std::uint32_t> local;
  weir_name name{};
  std::map<weir_service_key, weir_frontend> frontends;
  std::map<BackendIdentity, std::uint32_t> backends;  // index, all states but FREE
  friend bool operator==(const ProgrammedService&, const ProgrammedService&) = default;
};

// The last generation of each backend index, 0 for one that was never used.
class Generations {
 public:
  std::uint32_t& operator[](std::uint32_t index) {
    if (index >= last_.size()) last_.resize(index + 1);
    return last_[index];
  }
  friend bool operator==(const Generations&, const Generations&) = default;

 private:
  std::vector<std::uint32_t> last_;
};

struct ProgrammedTables {
  std::map<ServiceIdentity, ProgrammedService> services;
  std::map<std::uint32_t, ProgrammedBackend> backends;  // by index
  std::map<weir_addr, std::uint32_t> addresses;         // all bits
  std::map<std::uint32_t, RangeSet> ranges;             // by set id; no version may name it
  std::uint32_t epoch = 0;
  Generations generations;  // so that an index that is used again never repeats one
  friend bool operator==(const ProgrammedTables&, const ProgrammedTables&) = default;
};

}  // namespace weir
