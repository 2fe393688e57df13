// SPDX-License-Identifier: Apache-2.0
#include "plan/follower.hpp"

#include <algorithm>
#include <set>

namespace weir {
namespace {

using Clock = std::chrono::steady_clock;

std::string zone_of(const ClusterState& cluster, const NodeView& node) {
  const auto self = cluster.nodes.find(node.name);
  return self == cluster.nodes.end() ? std::string{} : self->second.zone;
}

// "ns/name" itself, or with a port's name: "ns/name:http".
bool belongs_to(std::string_view text, std::string_view service) {
  return text.starts_with(service) &&
         (text.size() == service.size() || text[service.size()] == ':');
}

}  // namespace

bool Follower::needs_whole(const ClusterState& cluster, const NodeView& node,
                           const StateChanges& changes) const {
  return !settled_ || changes.whole || node != node_ || zone_of(cluster, node) != zone_;
}

// Identities of these services in the tables, in order.
std::vector<ServiceIdentity> Follower::programmed(const std::set<ObjectKey>& services) const {
  std::vector<ServiceIdentity> found;
  const auto& all = tables().services;
  for (const auto& key : services) {
    const std::string text = key.to_string();
    // Between the two, names such as "ns/name-2" may stand.
    for (const auto& start : {text, text + ":"})
      for (auto at = all.lower_bound({start, Protocol::tcp, Family::ipv4});
           at != all.end() && belongs_to(at->first.text, text) && at->first.text.starts_with(start);
           ++at)
        found.push_back(at->first);
  }
  return found;
}

// Whether nobody else has a frontend that the part wants.
bool Follower::independent(const Part& part) const {
  std::set<std::uint32_t> own;
  for (const auto& identity : part.touched)
    if (const auto found = tables().services.find(identity); found != tables().services.end())
      own.insert(found->second.id);
  for (const auto& [identity, service] : part.wanted.services)
    for (const auto& [key, kind] : service.frontends)
      if (const auto owner = reconciler_.owner(key); owner != 0 && !own.contains(owner))
        return false;
  return part.wanted.conflicts.empty();
}

std::optional<Follower::Part> Follower::part(const ClusterState& cluster,
                                             const StateChanges& changes) {
  for (const auto& slice : changes.slices) slices_.add(cluster, slice);
  Part part{.wanted = plan_services(cluster, node_, slices_, changes.services),
            .touched = programmed(changes.services)};
  for (const auto& [identity, service] : part.wanted.services) part.touched.push_back(identity);
  std::ranges::sort(part.touched);
  const auto rest = std::ranges::unique(part.touched);
  part.touched.erase(rest.begin(), rest.end());
  if (!independent(part)) return std::nullopt;
  return part;
}

Follower::Step Follower::to(const ClusterState& cluster, const NodeView& node,
                            const StateChanges& changes, const LiveFlows& live) {
  const auto begin = Clock::now();
  auto some = needs_whole(cluster, node, changes) ? std::nullopt : part(cluster, changes);
  Step step;
  step.whole = !some;
  WantedTables wanted;
  if (step.whole) {
    slices_ = SliceIndex{cluster};
    node_ = node;
    zone_ = zone_of(cluster, node);
    wanted = plan(cluster, node, slices_);
  }
  const auto planned = Clock::now();
  auto change =
      some ? reconciler_.to(some->wanted, some->touched, live) : reconciler_.to(wanted, live);
  step.plan = planned - begin;
  step.reconcile = Clock::now() - planned;
  step.touched = some ? some->touched.size() : wanted.services.size();
  step.operations = std::move(change.operations);
  step.refused = std::move(change.refused);
  step.conflicts = std::move(wanted.conflicts);
  settled_ = step.refused.empty() && step.conflicts.empty();
  return step;
}

}  // namespace weir
