// SPDX-License-Identifier: Apache-2.0
// The work of one reconcile(): what it has decided so far. Private to the folder.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "plan/allocate.hpp"
#include "plan/reconcile.hpp"

namespace weir {

class Reconciler {
 public:
  Reconciler(const ProgrammedTables& current, const WantedTables& wanted, const Limits& limits,
             const LiveFlows& live);
  Reconciled run();

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
  using Frontend = std::pair<weir_service_key, weir_service>;
  using AddressBits = std::pair<weir_addr, std::uint32_t>;

  // What one service needs, worked out before anything of it is written.
  struct Draft {
    const ServiceIdentity& identity;
    const WantedService& want;
    ProgrammedService* old;  // null: the service is new
    std::vector<BackendIdentity> new_backends{};
    std::size_t new_frontends = 0;
    std::set<weir_addr> new_addresses{};
    weir_list cluster{};
    weir_list local{};
    std::uint32_t ranges = 0;  // set of weir_source_range
    bool put_cluster = false;  // the slots are to be written
    bool put_local = false;
  };

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
  void put_version(const Draft& draft, ProgrammedService& service);
  void put_slots(const weir_list& list, const std::vector<std::uint32_t>& indexes);

  // reconcile.cpp
  void sweep_services();
  void withdraw(ProgrammedService& service);
  void sweep(ProgrammedService& service, const WantedService* want, bool left_alone);
  std::vector<Frontend> settle_frontends();
  void sweep_ranges();
  void settle_addresses(const std::vector<Frontend>& frontends);
  void keep_past(std::map<weir_addr, std::uint32_t>& settled) const;
  void put_address_changes(const weir_addr& key, std::uint32_t before, std::uint32_t after);
  Reconciled finish();

  void emit(Phase phase, const Operation& operation) { phases_[phase].push_back(operation); }

  const ProgrammedTables& current_;
  const WantedTables& wanted_;
  const Limits& limits_;
  const LiveFlows& live_;
  ProgrammedTables tables_;  // becomes the result
  std::array<std::vector<Operation>, kPhases> phases_;
  std::vector<Refused> refused_;
  std::set<ServiceIdentity> left_alone_;  // refused, but in the tables
  bool taken_away_ = false;               // some flow may have to look at its backend

  FreeIndexes ids_;
  FreeIndexes backends_;
  FreeIndexes versions_;
  FreeRanges slots_;
  FreeIndexes range_ids_;
  std::vector<Frontend> frontends_;  // of current_, sorted by key
  std::size_t frontends_used_ = 0;   // entries at the fullest moment: before any is deleted
  std::map<RangeSet, std::uint32_t> range_sets_;  // those of tables_, by content
  std::size_t ranges_used_ = 0;                   // entries, those to be deleted included
  std::vector<Operation> drop_ranges_;
  std::set<weir_addr> new_addresses_;  // entries on top of those of current_
};

}  // namespace weir
