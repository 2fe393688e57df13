// SPDX-License-Identifier: Apache-2.0
#include "source/manifests/register.hpp"

#include <algorithm>

namespace weir::manifests {
namespace {

// More than that had better be done as a whole.
constexpr std::size_t kMostExchanges = 1'000;

const ServiceManifest* served(const ObjectPtr& object) {
  if (!object) return nullptr;
  const auto* manifest = std::get_if<ServiceManifest>(&object->body);
  return manifest == nullptr || manifest->unserved ? nullptr : manifest;
}

// visit(key, left or null, right or null) for each key whose values differ.
template <class Map, class Visit>
void differences(const Map& left, const Map& right, Visit visit) {
  const typename Map::mapped_type* const none = nullptr;
  auto a = left.begin();
  auto b = right.begin();
  while (a != left.end() || b != right.end()) {
    const bool only_a = b == right.end() || (a != left.end() && a->first < b->first);
    const bool only_b = !only_a && (a == left.end() || b->first < a->first);
    if (only_a)
      visit(a->first, &a->second, none);
    else if (only_b)
      visit(b->first, none, &b->second);
    else if (!(a->second == b->second))
      visit(a->first, &a->second, &b->second);
    if (!only_b) ++a;
    if (!only_a) ++b;
  }
}

void note_slice(const ObjectKey& key, const SharedSlice* before, const SharedSlice* after,
                StateChanges& changes) {
  changes.slices.insert(key);
  for (const auto* slice : {before, after})
    if (slice != nullptr) changes.services.insert({key.ns, (*slice)->service});
}

void note_differences(const ClusterState& before, const ClusterState& after,
                      StateChanges& changes) {
  differences(before.services, after.services, [&](const ObjectKey& key, const auto*, const auto*) {
    changes.services.insert(key);
  });
  differences(before.slices, after.slices,
              [&](const ObjectKey& key, const auto* old, const auto* now) {
                note_slice(key, old, now, changes);
              });
  differences(before.nodes, after.nodes, [&](const std::string& name, const auto*, const auto*) {
    changes.nodes.insert(name);
  });
}

}  // namespace

void Ledger::count(const Service& service, int by) {
  const auto address = [&](const Address& one) {
    const auto at = addresses_.try_emplace(one.raw(), 0).first;
    at->second += by;
    if (at->second == 0) addresses_.erase(at);
  };
  const auto port = [&](Protocol protocol, std::uint16_t number) {
    if (number == 0) return;
    const auto at = ports_.try_emplace({protocol, number}, 0).first;
    at->second += by;
    if (at->second == 0) ports_.erase(at);
  };
  for (const auto& one : service.cluster_ips) address(one);
  for (const auto& one : service.external_ips) address(one);
  for (const auto& one : service.load_balancer) address(one.address);
  for (const auto& one : service.ports) port(one.protocol, one.node_port);
  port(Protocol::tcp, service.health_check_node_port);
}

bool Ledger::has_any_of(const Service& service) const {
  const auto address = [&](const Address& one) { return addresses_.contains(one.raw()); };
  return std::ranges::any_of(service.cluster_ips, address) ||
         std::ranges::any_of(service.external_ips, address) ||
         std::ranges::any_of(service.load_balancer, address, &LoadBalancerAddress::address) ||
         std::ranges::any_of(service.ports,
                             [&](const ServicePort& port) {
                               return ports_.contains({port.protocol, port.node_port});
                             }) ||
         ports_.contains({Protocol::tcp, service.health_check_node_port});
}

void Register::assemble(const std::vector<ObjectPtr>& objects, const std::set<ObjectId>& broken) {
  Assembly next = manifests::assemble(objects, broken, now_.in_force, options_);
  if (now_.state == ClusterState{})
    changes_.whole = changes_.whole || !(next.state == now_.state);
  else
    note_differences(now_.state, next.state, changes_);
  now_ = std::move(next);
  broken_ = broken;
  ledger_ = {};
  for (const auto& [key, service] : now_.state.services) ledger_.add(service);
}

std::vector<Line> Register::lines() const {
  std::vector<Line> lines = now_.lines;
  for (const auto& [key, line] : now_.waiting) lines.push_back(line);
  return lines;
}

bool Register::exchange(const std::vector<ObjectPtr>& removed,
                        const std::vector<ObjectPtr>& added) {
  Exchanges exchanges;
  Completed services;
  if (!now_.unique || removed.size() + added.size() > kMostExchanges ||
      !pair(removed, added, exchanges) || !complete(exchanges, services))
    return false;
  put_objects(exchanges);
  std::set<ObjectKey> selecting;
  for (const auto& [id, exchange] : exchanges) {
    if (id.kind == Kind::service) {
      put_service(id.key, exchange, services);
      selecting.insert(id.key);
    }
    if (id.kind == Kind::endpoint_slice) put_slice(id.key, exchange);
    if (id.kind == Kind::pod) put_pod(exchange, selecting);
    if (id.kind == Kind::node) put_node(id.key, exchange);
  }
  for (const auto& key : selecting) select_again(key);
  return true;
}

// False if an object is, or may be, there twice.
bool Register::pair(const std::vector<ObjectPtr>& removed, const std::vector<ObjectPtr>& added,
                    Exchanges& exchanges) const {
  for (const auto& object : removed) {
    const auto found = now_.objects.find(object);
    if (found == now_.objects.end() || *found != object) return false;
    exchanges[id_of(*object)].before = object;
  }
  for (const auto& object : added) {
    auto& exchange = exchanges[id_of(*object)];
    if (exchange.after || (!exchange.before && now_.objects.contains(object))) return false;
    exchange.after = object;
  }
  return true;
}

// Services whose numbers nobody else has or had to do without: so the others keep theirs, and these
// get what they would get as the only ones. What they state and others have is for assemble().
bool Register::complete(const Exchanges& exchanges, Completed& services) {
  Services fresh;
  for (const auto& [id, exchange] : exchanges) {
    if (id.kind != Kind::service) continue;
    if (!now_.settled) return false;
    const auto old = now_.state.services.find(id.key);
    if (old != now_.state.services.end()) ledger_.remove(old->second);
    if (exchange.after) fresh.emplace(id.key, exchange.after);
  }
  for (const auto& [key, object] : fresh) {
    if (served(object) == nullptr) continue;
    Allocation allocation = allocate({{key, object}}, options_);
    if (!allocation.failures.empty() || !allocation.lines.empty()) return false;
    Service& service = allocation.services.at(key);
    if (ledger_.has_any_of(service)) return false;
    ledger_.add(service);
    services.emplace(key, std::move(service));
  }
  return true;
}

void Register::put_objects(const Exchanges& exchanges) {
  for (const auto& [id, exchange] : exchanges) {
    if (exchange.before) now_.objects.erase(exchange.before);
    if (exchange.after) now_.objects.insert(exchange.after);
  }
}

void Register::put_service(const ObjectKey& key, const Exchange& exchange, Completed& services) {
  auto& state = now_.state.services;
  if (const auto* before = served(exchange.before)) now_.selectors.remove(key, before->selector);
  if (const auto* after = served(exchange.after)) now_.selectors.add(key, after->selector);
  if (exchange.after)
    now_.in_force.insert_or_assign(key, exchange.after);
  else
    now_.in_force.erase(key);
  const auto now = services.find(key);
  const auto old = state.find(key);
  const bool there = old != state.end();
  if (now == services.end()) {
    if (there) changes_.services.insert(key);
    state.erase(key);
  } else if (!there || !(old->second == now->second)) {
    changes_.services.insert(key);
    state.insert_or_assign(key, std::move(now->second));
  }
  if (!exchange.before || !exchange.after) wait_or_not(key);
}

// Slices that name a Service which came or went.
void Register::wait_or_not(const ObjectKey& service) {
  const bool there = now_.objects.contains(ObjectId{Kind::service, service});
  if (there && now_.waiting.empty()) return;
  for (const auto& [key, slice] : now_.state.slices) {
    if (key.ns != service.ns || slice->service != service.name) continue;
    const auto object = now_.objects.find(ObjectId{Kind::endpoint_slice, key});
    if (there)
      now_.waiting.erase(key);
    else if (object != now_.objects.end() && !broken_.contains({Kind::service, service}))
      now_.waiting.emplace(key, waits_for_service(**object));
  }
}

void Register::set_slice(const ObjectKey& key, const SharedSlice* slice) {
  auto& slices = now_.state.slices;
  const auto old = slices.find(key);
  const bool there = old != slices.end();
  if (slice == nullptr ? !there : there && old->second == *slice) return;
  note_slice(key, there ? &old->second : nullptr, slice, changes_);
  if (slice == nullptr)
    slices.erase(old);
  else
    slices.insert_or_assign(key, *slice);
}

void Register::put_slice(const ObjectKey& key, const Exchange& exchange) {
  const auto* manifest = exchange.after ? &std::get<SliceManifest>(exchange.after->body) : nullptr;
  const bool serves = manifest != nullptr && !manifest->unserved;
  set_slice(key, serves ? &manifest->slice : nullptr);
  now_.waiting.erase(key);
  if (!serves) return;
  const ObjectId service{Kind::service, {key.ns, manifest->slice->service}};
  if (!now_.objects.contains(service) && !broken_.contains(service))
    now_.waiting.emplace(key, waits_for_service(*exchange.after));
}

void Register::put_pod(const Exchange& exchange, std::set<ObjectKey>& selecting) {
  for (const auto& pod : {exchange.before, exchange.after})
    if (pod) now_.selectors.find(*pod, selecting);
  if (exchange.before) now_.pods.remove(*exchange.before);
  if (exchange.after) now_.pods.add(*exchange.after);
}

void Register::put_node(const ObjectKey& key, const Exchange& exchange) {
  if (exchange.after)
    now_.state.nodes.insert_or_assign(key.name, std::get<Node>(exchange.after->body));
  else
    now_.state.nodes.erase(key.name);
  changes_.nodes.insert(key.name);
}

// The slices that its selector makes: no object has a ':' in its name, as these have.
void Register::select_again(const ObjectKey& service) {
  const auto found = now_.state.services.find(service);
  std::map<ObjectKey, SharedSlice> slices;
  if (found != now_.state.services.end()) {
    const auto& manifest = std::get<ServiceManifest>(now_.in_force.at(service)->body);
    for (auto& slice : selected_slices(manifest, found->second, now_.pods))
      slices.emplace(ObjectKey{slice.key}, std::move(slice));
  }
  auto& all = now_.state.slices;
  std::vector<ObjectKey> old;
  for (auto at = all.lower_bound({service.ns, service.name + ":"});
       at != all.end() && at->first.ns == service.ns &&
       at->first.name.starts_with(service.name + ":");
       ++at)
    old.push_back(at->first);
  for (const auto& key : old)
    if (!slices.contains(key)) set_slice(key, nullptr);
  for (const auto& [key, slice] : slices) set_slice(key, &slice);
}

}  // namespace weir::manifests
