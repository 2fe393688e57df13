// SPDX-License-Identifier: Apache-2.0
#include "bpf/publish/torn.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

namespace weir::test {
namespace {

using Operations = std::vector<Operation>;

// The state in between stands for a moment: what is a matter of nanoseconds at the next best
// preemption becomes a matter of course.
void linger() {
  std::this_thread::sleep_for(std::chrono::milliseconds{2});
}

bool is_publish(const Operation& operation) {
  return std::holds_alternative<Publish>(operation);
}

// Splits off everything up to the first Publish.
std::pair<Operations, Operations> split(const Operations& operations) {
  const auto at = std::ranges::find_if(operations, is_publish);
  return {{operations.begin(), at}, {at, operations.end()}};
}

BackendEntry value_of(const ProgrammedTables& tables, const ProgrammedBackend& backend) {
  BackendEntry value{};
  value.addr = backend.identity.address.raw();
  value.port = htons(backend.identity.port);
  value.proto = static_cast<std::uint8_t>(std::to_underlying(backend.service->protocol));
  value.state = static_cast<std::uint8_t>(backend.state);
  value.generation = backend.generation;
  value.service = tables.services.at(backend.service).id;
  value.flags = backend.flags;
  return value;
}

}  // namespace

void version_in_place(kernel::Tables& tables, const ProgrammedTables& before,
                      const Reconciled& next) {
  const auto [prepare, rest] = split(next.operations);
  need(tables.execute(prepare));
  for (const auto& [identity, service] : before.services) {
    weir_version half = next.tables.services.at(identity).version;
    half.flags = service.version.flags;
    need(tables.execute({PutVersion{service.version_index, half}}));
  }
  linger();
  need(tables.execute(rest));
}

void slots_in_place(kernel::Tables& tables, const ProgrammedTables& before,
                    const Reconciled& next) {
  const auto [prepare, rest] = split(next.operations);
  need(tables.execute(prepare));
  for (const auto& [identity, service] : before.services) {
    const auto& list = next.tables.services.at(identity).cluster;
    if (list.empty() || service.cluster.empty()) continue;
    need(tables.execute(
        {PutSlots{service.version.cluster.first, std::vector<std::uint32_t>{list.front()}}}));
  }
  linger();
  need(tables.execute(rest));
}

void published_first(kernel::Tables& tables, const ProgrammedTables&, const Reconciled& next) {
  auto operations = next.operations;
  const auto rest = std::ranges::stable_partition(operations, is_publish);
  need(tables.execute({operations.begin(), rest.begin()}));
  linger();
  need(tables.execute({rest.begin(), rest.end()}));
}

void reused_at_once(kernel::Tables& tables, const ProgrammedTables& before,
                    const Reconciled& next) {
  std::vector<std::pair<std::uint32_t, BackendEntry>> entries;
  for (const auto& [index, backend] : before.backends)
    entries.emplace_back(index, value_of(before, backend));
  Operations reuse, restore;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto& [index, value] = entries.at(i);
    auto other = entries.at((i + entries.size() / 2) % entries.size()).second;
    other.service = value.service;  // or the datapath itself would see the contradiction
    reuse.emplace_back(PutBackend{index, other});
    restore.emplace_back(PutBackend{index, value});
  }
  need(tables.execute(reuse));
  linger();
  need(tables.execute(restore));
  need(tables.execute(next.operations));
}

void without_epoch(kernel::Tables& tables, const ProgrammedTables&, const Reconciled& next) {
  auto operations = next.operations;
  std::erase_if(operations,
                [](const auto& operation) { return std::holds_alternative<SetEpoch>(operation); });
  need(tables.execute(operations));
}

}  // namespace weir::test
