// SPDX-License-Identifier: Apache-2.0
// The cluster's state from the objects of all files: assembled as a whole, or changed in part where
// that gives the same.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "source/manifests/assemble.hpp"

namespace weir::manifests {

// Addresses and node ports that services have.
class Ledger {
 public:
  void add(const Service& service) { count(service, 1); }
  void remove(const Service& service) { count(service, -1); }
  [[nodiscard]] bool has_any_of(const Service& service) const;

 private:
  using Port = std::pair<Protocol, std::uint16_t>;
  void count(const Service& service, int by);

  std::unordered_map<weir_addr, int, HashOfAddress> addresses_;
  std::map<Port, int> ports_;
};

class Register {
 public:
  explicit Register(const Options& options) : options_{options} {}

  // All anew.
  void assemble(const std::vector<ObjectPtr>& objects, const std::set<ObjectId>& broken);
  // Some objects for others. False if only assemble() can tell what becomes of it; then that is
  // what has to be called next.
  bool exchange(const std::vector<ObjectPtr>& removed, const std::vector<ObjectPtr>& added);

  [[nodiscard]] const ClusterState& state() const { return now_.state; }
  [[nodiscard]] std::vector<Line> lines() const;
  // Where state() is another than when this was asked last.
  StateChanges take_changes() { return std::exchange(changes_, {}); }

 private:
  struct Exchange {
    ObjectPtr before;  // null: there was none
    ObjectPtr after;   // null: there is none any more
  };
  using Exchanges = std::map<ObjectId, Exchange>;
  using Completed = std::map<ObjectKey, Service>;

  [[nodiscard]] bool pair(const std::vector<ObjectPtr>& removed,
                          const std::vector<ObjectPtr>& added, Exchanges& exchanges) const;
  bool complete(const Exchanges& exchanges, Completed& services);
  void put_objects(const Exchanges& exchanges);
  void put_service(const ObjectKey& key, const Exchange& exchange, Completed& services);
  void put_slice(const ObjectKey& key, const Exchange& exchange);
  void put_pod(const Exchange& exchange, std::set<ObjectKey>& selecting);
  void put_node(const ObjectKey& key, const Exchange& exchange);
  void select_again(const ObjectKey& service);
  void wait_or_not(const ObjectKey& service);
  void set_slice(const ObjectKey& key, const SharedSlice* slice);

  const Options& options_;
  Assembly now_;
  std::set<ObjectId> broken_;
  Ledger ledger_;
  StateChanges changes_;
};

}  // namespace weir::manifests
