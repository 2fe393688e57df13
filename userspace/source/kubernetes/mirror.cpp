// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/mirror.hpp"

#include <utility>

namespace weir::kubernetes {
namespace {

// Nobody may ask for them.
constexpr std::size_t kMostTriggers = 100'000;

template <class T>
T* body_of(Object* object) {
  return object == nullptr ? nullptr : std::get_if<T>(&object->body);
}

// The value at a key, another, or none. True if that makes a difference.
template <class Map, class Key, class T>
bool exchange(Map& map, const Key& key, T* value) {
  const auto old = map.find(key);
  const bool there = old != map.end();
  if (value == nullptr ? !there : there && old->second == *value) return false;
  if (value == nullptr)
    map.erase(old);
  else
    map.insert_or_assign(key, std::move(*value));
  return true;
}

template <class Map, class Key, class T>
bool holds(const Map& map, const Key& key, const T& value) {
  const auto found = map.find(key);
  return found != map.end() && found->second == value;
}

}  // namespace

void Mirror::put(Resource resource, Object object) {
  const ObjectKey key = object.key;
  if (resource != Resource::endpoint_slices) uids_.at(index(resource))[key] = object.uid;
  if (!object.problem.empty()) {
    problems_.at(index(resource))[key] = {resource, key, std::move(object.uid),
                                          std::move(object.problem)};
    other_problems_ = true;
    return;
  }
  forget_problem(resource, key);
  set(resource, key, &object);
}

void Mirror::remove(Resource resource, const ObjectKey& key) {
  uids_.at(index(resource)).erase(key);
  forget_problem(resource, key);
  set(resource, key, nullptr);
}

void Mirror::forget_problem(Resource resource, const ObjectKey& key) {
  if (problems_.at(index(resource)).erase(key) > 0) other_problems_ = true;
}

void Mirror::set(Resource resource, const ObjectKey& key, Object* object) {
  switch (resource) {
    case Resource::services:
      return set_service(key, body_of<Service>(object));
    case Resource::endpoint_slices:
      set_slice(key, body_of<SharedSlice>(object));
      if (object != nullptr && object->triggered && changes_.slices.contains(key) &&
          triggers_.size() < kMostTriggers)
        triggers_.push_back(*object->triggered);
      return;
    case Resource::nodes:
      return set_node(key, body_of<weir::Node>(object));
  }
}

void Mirror::set_service(const ObjectKey& key, Service* service) {
  if (exchange(state_.services, key, service)) changes_.services.insert(key);
}

void Mirror::set_slice(const ObjectKey& key, const SharedSlice* slice) {
  std::vector<SharedSlice> of;  // shared, so nothing is copied
  const auto old = state_.slices.find(key);
  if (old != state_.slices.end()) of.push_back(old->second);
  if (slice != nullptr) of.push_back(*slice);
  std::optional<SharedSlice> now;
  if (slice != nullptr) now = *slice;
  if (!exchange(state_.slices, key, now ? &*now : nullptr)) return;
  changes_.slices.insert(key);
  for (const auto& one : of) changes_.services.insert({key.ns, one->service});
}

void Mirror::set_node(const ObjectKey& key, weir::Node* node) {
  if (exchange(state_.nodes, key.name, node)) changes_.nodes.insert(key.name);
}

bool Mirror::same(const Object& object) const {
  if (const auto* const service = std::get_if<Service>(&object.body))
    return holds(state_.services, object.key, *service);
  if (const auto* const slice = std::get_if<SharedSlice>(&object.body))
    return holds(state_.slices, object.key, *slice);
  if (const auto* const node = std::get_if<weir::Node>(&object.body))
    return holds(state_.nodes, object.key.name, *node);
  return false;
}

void Mirror::begin_list(Resource resource) {
  listed_.at(index(resource)).clear();
}

void Mirror::drop_list(Resource resource) {
  listed_.at(index(resource)).clear();
}

void Mirror::list(Resource resource, Object object) {
  Listed listed{.object = {}, .as_before = object.problem.empty() && same(object)};
  const ObjectKey key = object.key;
  if (listed.as_before) object.body = std::monostate{};
  listed.object = std::move(object);
  listed_.at(index(resource)).insert_or_assign(key, std::move(listed));
}

std::vector<ObjectKey> Mirror::keys(Resource resource) const {
  std::vector<ObjectKey> keys;
  if (resource == Resource::services)
    for (const auto& [key, service] : state_.services) keys.push_back(key);
  if (resource == Resource::endpoint_slices)
    for (const auto& [key, slice] : state_.slices) keys.push_back(key);
  if (resource == Resource::nodes)
    for (const auto& [name, node] : state_.nodes) keys.push_back({"", name});
  return keys;
}

void Mirror::end_list(Resource resource) {
  auto listed = std::exchange(listed_.at(index(resource)), {});
  auto gone = keys(resource);
  for (const auto& [key, problem] : problems_.at(index(resource))) gone.push_back(key);
  for (const auto& [key, uid] : uids_.at(index(resource))) gone.push_back(key);
  for (const auto& key : gone)
    if (!listed.contains(key)) remove(resource, key);
  for (auto& [key, one] : listed) {
    if (!one.as_before) {
      put(resource, std::move(one.object));
      continue;
    }
    forget_problem(resource, key);
    if (resource != Resource::endpoint_slices) uids_.at(index(resource))[key] = one.object.uid;
  }
}

std::string Mirror::uid(Resource resource, const ObjectKey& key) const {
  const auto& uids = uids_.at(index(resource));
  const auto found = uids.find(key);
  return found == uids.end() ? std::string{} : found->second;
}

std::vector<Problem> Mirror::problems() const {
  std::vector<Problem> all;
  for (const auto& of : problems_)
    for (const auto& [key, problem] : of) all.push_back(problem);
  return all;
}

}  // namespace weir::kubernetes
