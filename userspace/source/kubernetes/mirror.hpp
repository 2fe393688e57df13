// SPDX-License-Identifier: Apache-2.0
// What the API has said so far, as the cluster's state: objects put and removed as events come, or
// a whole list in place of what was there.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/cluster.hpp"
#include "source/kubernetes/object.hpp"

namespace weir::kubernetes {

// What a person must know of an object.
struct Problem {
  Resource resource = Resource::services;
  ObjectKey key;
  std::string uid;
  std::string text;
};

class Mirror {
 public:
  // The object as it is now. One with a problem leaves what was there before in force.
  void put(Resource resource, Object object);
  void remove(Resource resource, const ObjectKey& key);

  // A list: between begin_list() and end_list(), list() takes in its objects, and nothing of it is
  // in force; with end_list() all of it is, and nothing else. drop_list() forgets it.
  void begin_list(Resource resource);
  void list(Resource resource, Object object);
  void end_list(Resource resource);
  void drop_list(Resource resource);

  [[nodiscard]] const ClusterState& state() const { return state_; }
  // Where state() is another than when this was asked last.
  StateChanges take_changes() {
    other_problems_ = false;
    return std::exchange(changes_, {});
  }
  // Whether there is anything to take, or problems() is another.
  [[nodiscard]] bool changed() const {
    return !changes_.empty() || !triggers_.empty() || other_problems_;
  }
  // When those things happened that slices told of since this was asked last.
  std::vector<Date> take_triggers() { return std::exchange(triggers_, {}); }
  // Of services and nodes, for events about them; "" if it is not there.
  [[nodiscard]] std::string uid(Resource resource, const ObjectKey& key) const;
  // Objects that are there and cannot be served as they are.
  [[nodiscard]] std::vector<Problem> problems() const;

 private:
  void forget_problem(Resource resource, const ObjectKey& key);
  void set(Resource resource, const ObjectKey& key, Object* object);
  void set_service(const ObjectKey& key, Service* service);
  void set_slice(const ObjectKey& key, const SharedSlice* slice);
  void set_node(const ObjectKey& key, weir::Node* node);
  [[nodiscard]] bool same(const Object& object) const;
  std::vector<ObjectKey> keys(Resource resource) const;
  static std::size_t index(Resource resource) { return static_cast<std::size_t>(resource); }

  ClusterState state_;
  StateChanges changes_;
  std::vector<Date> triggers_;
  bool other_problems_ = false;
  std::array<std::map<ObjectKey, Problem>, kResources> problems_;
  std::array<std::map<ObjectKey, std::string>, kResources> uids_;  // not of slices
  // Of the list that is being read. An object that is as it was is kept without its body.
  struct Listed {
    Object object;
    bool as_before = false;
  };
  std::array<std::map<ObjectKey, Listed>, kResources> listed_;
};

}  // namespace weir::kubernetes
