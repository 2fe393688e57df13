// SPDX-License-Identifier: Apache-2.0
// Keeps what the tables hold, and what is free in them, from one change to the next, so that a
// change costs what it changes. reconcile() is one of these that is made and asked once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plan/allocate.hpp"
#include "plan/reconcile.hpp"

namespace weir {

// Operations as reconcile() has them.
struct Change {
  std::vector<Operation> operations;
  std::vector<Refused> refused;
};

class Reconciler {
 public:
  // From here on the tables are known, and in no other hands: each change has been carried out,
  // Grace and all, when the next one is asked for.
  Reconciler(ProgrammedTables tables, const Limits& limits);

  // To all of `wanted`.
  Change to(const WantedTables& wanted, const LiveFlows& live);
  // To `part` of what is wanted: that of the services that are `touched`, sorted, all others being
  // as they were. Only after a change to the whole that refused nothing, with the same node
  // addresses; and nobody else may have the frontends of `part`.
  Change to(const WantedTables& part, std::span<const ServiceIdentity> touched,
            const LiveFlows& live);

  [[nodiscard]] const ProgrammedTables& tables() const { return tables_; }
  [[nodiscard]] ProgrammedTables take_tables() { return std::move(tables_); }
  // Who has a frontend: an id of weir_service, or 0.
  [[nodiscard]] std::uint32_t owner(const weir_service_key& key) const;
  // Something waits for flows to end: backends that are gone, addresses that services gave up.
  [[nodiscard]] bool waits() const { return !gone_.empty() || !past_.empty(); }
  // And need not wait any longer.
  [[nodiscard]] bool can_reclaim(const LiveFlows& live) const;

 private:
  // Operations are collected by phase and joined at the end; reconcile.hpp says why this order.
  enum Phase : std::size_t {
    kPrepare,
    kPublish,
    kPutFrontends,
    kPutAddresses,
    kFreeBackends,
    kDropAddresses,
    kDropFrontends,
    kWithdraw,
    kTakeAway,
    kDropNames,
    kPhases,  // and those that come after Grace are in drop_ranges_
  };

  // What one service needs, worked out before anything of it is written.
  struct Draft {
    const ServiceIdentity& identity;
    const WantedService& want;
    ProgrammedService* old;  // null: the service is new
    std::vector<BackendIdentity> new_backends{};
    std::size_t new_frontends = 0;
    std::vector<weir_addr> new_addresses{};
    weir_list cluster{};
    weir_list local{};
    std::uint32_t ranges = 0;  // set of weir_source_range
    bool put_cluster = false;  // the slots are to be written
    bool put_local = false;
  };

  // Why an address is in weir_address.
  struct Uses {
    std::uint32_t services = 0;  // frontends
    std::uint32_t backends = 0;
    std::uint32_t local = 0;  // of these, on this node
    std::uint32_t node = 0;   // bits of the node's own
  };

  struct AddressChange {
    weir_addr address;
    std::uint32_t before;
    std::uint32_t after;
  };

  // What was in use when this change began, and is free for the next one.
  struct Released {
    std::vector<std::uint32_t> ids, backends, versions, range_ids;
    std::vector<weir_list> slots;
    std::size_t ranges = 0;  // entries
  };

  // All of one change, and empty between them.
  struct Work {
    bool whole = false;
    std::array<std::vector<Operation>, kPhases> phases;
    std::vector<Operation> drop_ranges;
    std::vector<Refused> refused;
    std::set<ServiceIdentity> left_alone;  // refused, but in the tables
    bool taken_away = false;               // some flow may have to look at its backend
    std::size_t new_frontends = 0;         // on top of those at the beginning
    std::set<weir_service_key> frontends;  // that may be different at the end
    std::vector<weir_addr> addresses;      // likewise, perhaps twice; of the whole: not kept
    std::vector<ServiceIdentity> emptied;  // services that may have nothing left
    std::vector<std::uint32_t> gone;       // backends that this change takes away
  };

  // index.cpp
  void index_services();
  void index_backends();
  void index_ranges();
  void release();

  // reconcile_service.cpp
  void update(const ServiceIdentity& identity, const WantedService& want);
  Draft draft(const ServiceIdentity& identity, const WantedService& want);
  void count_new_addresses(Draft& draft) const;
  [[nodiscard]] std::optional<std::string> lacking(const Draft& draft) const;
  bool take_slots(Draft& draft);
  void give_back_slots(const Draft& draft);
  bool take_ranges(Draft& draft);
  void commit(const Draft& draft);
  ProgrammedService& admit(const Draft& draft);
  void put_backends(const Draft& draft, ProgrammedService& service);
  void add_backend(const Draft& draft, ProgrammedService& service, const BackendIdentity& identity,
                   const SharedIdentity& shared);
  void put_version(const Draft& draft, ProgrammedService& service);
  void leave_version(const ProgrammedService& service, const weir_version& next);
  void put_slots(const weir_list& list, const std::vector<std::uint32_t>& indexes);

  // sweep.cpp
  void free_gone(const LiveFlows& live);
  void sweep_services(const WantedTables& wanted);
  void sweep_service(const ServiceIdentity& identity, ProgrammedService& service,
                     const WantedTables& wanted);
  void withdraw(ProgrammedService& service);
  void drop_emptied(const WantedTables& wanted);
  void sweep_ranges();

  // settle.cpp
  void settle_frontends(const WantedTables& wanted, std::span<const ServiceIdentity> touched);
  void settle_frontend(const weir_service_key& key, const weir_service* after);
  void set_node(const WantedTables& wanted);
  void settle_addresses(const LiveFlows& live);
  std::vector<AddressChange> address_changes();
  [[nodiscard]] std::vector<AddressChange> all_addresses() const;
  std::vector<AddressChange> touched_addresses();
  void keep_past(std::vector<AddressChange>& changes, const LiveFlows& live);
  [[nodiscard]] bool any_flows(const LiveFlows& live) const;
  static std::uint32_t bits_of(const Uses& at);
  void set_address(const AddressChange& change, std::map<weir_addr, std::uint32_t>::iterator& at);
  void put_address_changes(const weir_addr& key, std::uint32_t before, std::uint32_t after);
  Uses& uses(const weir_addr& address);

  // reconcile.cpp
  void finish(const WantedTables& wanted, std::span<const ServiceIdentity> touched,
              const LiveFlows& live);
  Change take_change();

  void emit(Phase phase, const Operation& operation) { work_.phases[phase].push_back(operation); }

  Limits limits_;
  ProgrammedTables tables_;
  FreeIndexes ids_;
  FreeIndexes backends_;
  FreeIndexes versions_;
  FreeRanges slots_;
  FreeIndexes range_ids_;
  std::map<weir_service_key, weir_service> frontends_;  // as tables_ has them
  std::unordered_map<weir_addr, Uses, HashOfAddress> uses_;
  std::size_t new_addresses_ = 0;                 // of uses_, those that tables_ has not
  std::set<weir_addr> node_;                      // addresses of the node
  std::set<weir_addr> past_;                      // with WEIR_ADDRESS_PAST
  std::set<std::uint32_t> gone_;                  // backends that wait for their flows
  std::map<RangeSet, std::uint32_t> range_sets_;  // those of tables_, by content
  std::map<std::uint32_t, std::uint32_t> named_;  // versions that name each set
  std::set<std::uint32_t> unnamed_;               // sets that none names
  std::size_t ranges_used_ = 0;                   // entries, those to be deleted included
  Released released_;
  Work work_;
};

}  // namespace weir
