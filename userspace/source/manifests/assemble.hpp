// SPDX-License-Identifier: Apache-2.0
// From the objects of all files to the cluster's state: what excludes each other is sorted out,
// what is left out is completed, Pods become endpoints. Pure.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "model/cluster.hpp"
#include "source/manifests/allocate.hpp"
#include "source/manifests/endpoints.hpp"
#include "source/manifests/journal.hpp"
#include "source/manifests/object.hpp"

namespace weir::manifests {

struct Assembly {
  ClusterState state;
  std::vector<Line> lines;
  std::map<ObjectKey, Line> waiting;  // slices without their Service, and what is to be said
  // The version of each Service that is in force: the last good one if the newest does not go
  // together with the others.
  Services in_force;
  ObjectSet objects;  // each once
  PodIndex pods;
  SelectorIndex selectors;
  bool unique = true;  // no object is there twice
  bool settled =
      true;  // every Service has what it states, and of what it was given its first choice
};

// Objects in order of file name and document: of two that exclude each other, the first is right.
// `in_force` is the last assembly's; `broken` are objects that exist, but in no readable version.
Assembly assemble(const std::vector<ObjectPtr>& objects, const std::set<ObjectId>& broken,
                  const Services& in_force, const Options& options);

// What is said of a slice whose Service is not there.
Line waits_for_service(const Object& slice);
// The slices of a Service in force that its selector makes.
std::vector<EndpointSlice> selected_slices(const ServiceManifest& manifest, const Service& service,
                                           const PodIndex& pods);

}  // namespace weir::manifests
