// SPDX-License-Identifier: Apache-2.0
// The tables as a kernel would hold them: carries out operations one by one, as naively as
// possible, and notes every moment at which a packet would find them inconsistent.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "plan/reconcile.hpp"

namespace weir::test {

class SimulatedKernel {
 public:
  explicit SimulatedKernel(const Limits& limits) : limits_{limits} {}

  // Carries out the first `count` operations, as an agent that is killed then would.
  void execute(const std::vector<Operation>& operations, std::size_t count);
  void execute(const std::vector<Operation>& operations) { execute(operations, operations.size()); }
  // What an agent that starts now would find; a new agent has waited once.
  void restart();
  [[nodiscard]] ProgrammedTables adopt() const;

  // What is wrong, if the tables should now say what is wanted; `refused` ones are not looked at.
  void compare(const WantedTables& wanted, const std::set<ServiceIdentity>& refused);
  // Everything that was ever wrong.
  [[nodiscard]] const std::vector<std::string>& faults() const { return faults_; }

 private:
  void apply(const PutBackend& op);
  void apply(const SetBackendState& op);
  void apply(const SetBackendFlags& op);
  void apply(const PutSlots& op);
  void apply(const PutVersion& op);
  void apply(const Publish& op);
  void apply(const PutName& op);
  void apply(const DeleteName& op);
  void apply(const PutAddress& op);
  void apply(const DeleteAddress& op);
  void apply(const PutFrontend& op);
  void apply(const DeleteFrontend& op);
  void apply(const PutRange& op);
  void apply(const DeleteRange& op);
  void apply(const SetEpoch& op);
  void apply(const ClearStat& op);
  void apply(const Grace& op);

  void put_slot(std::uint32_t index, std::uint32_t backend);
  void check();
  void check_list(std::uint32_t id, const weir_list& list);
  void check_limits();
  void compare_service(const ServiceIdentity& identity, const WantedService& want);
  void compare_addresses(const WantedTables& wanted);
  [[nodiscard]] std::uint32_t id_of(const ServiceIdentity& identity) const;
  [[nodiscard]] std::vector<BackendIdentity> list_of(const weir_list& list) const;
  void need(bool good, std::string_view what, std::uint32_t index = 0);

  Limits limits_;
  std::map<std::uint32_t, weir_backend> backends_;
  std::map<std::uint32_t, std::uint32_t> slots_;
  std::map<std::uint32_t, weir_version> versions_;
  std::map<std::uint32_t, std::uint32_t> published_;  // of services that are there
  std::map<std::uint32_t, weir_name> names_;
  std::map<weir_addr, std::uint32_t> addresses_;
  std::map<weir_service_key, weir_service> frontends_;
  std::map<std::uint32_t, std::set<Cidr>> ranges_;
  std::uint32_t epoch_ = 0;

  // Since the last grace: what packets in flight may still be using.
  std::set<std::uint32_t> cooling_backends_, cooling_slots_, cooling_versions_, cooling_ids_;
  std::set<std::uint32_t> cooling_ranges_;
  std::set<std::uint32_t> cleared_;
  bool unseen_ = false;  // backends went, and no flow has been told
  bool ungraced_ = false;
  std::vector<std::string> faults_;
};

// The identity that a name in the table stands for.
ServiceIdentity identity_of(const weir_name& name);

}  // namespace weir::test
