// SPDX-License-Identifier: Apache-2.0
// What a cluster's EndpointSlice controller does: from Services and Pods to EndpointSlices.
#pragma once

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "source/manifests/object.hpp"

namespace weir::manifests {

// Pods by namespace and label. The objects must outlive it.
class PodIndex {
 public:
  void add(const Object& pod);
  void remove(const Object& pod);
  // In the order of their names.
  [[nodiscard]] std::vector<const Object*> matching(const std::string& ns,
                                                    const Labels& selector) const;

 private:
  std::unordered_map<std::string, std::vector<const Object*>> by_label_;
};

// Services by the labels that they select.
class SelectorIndex {
 public:
  void add(const ObjectKey& service, const Labels& selector);
  void remove(const ObjectKey& service, const Labels& selector);
  // Those that may select the pod: one label of theirs is right.
  void find(const Object& pod, std::set<ObjectKey>& services) const;

 private:
  std::unordered_map<std::string, std::set<ObjectKey>> by_label_;  // the first of the selector
};

// One slice for each family of `families` and each set of numbers that the ports resolve to.
// Their names have a ':', which no object of the manifests can have.
std::vector<EndpointSlice> make_slices(const ServiceManifest& manifest,
                                       const std::vector<Family>& families, const PodIndex& pods);

}  // namespace weir::manifests
