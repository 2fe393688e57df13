// SPDX-License-Identifier: Apache-2.0
// From the objects of all files to the cluster's state: what excludes each other is sorted out,
// what is left out is completed, Pods become endpoints. Pure.
#pragma once

#include <set>
#include <vector>

#include "model/cluster.hpp"
#include "source/manifests/allocate.hpp"
#include "source/manifests/journal.hpp"
#include "source/manifests/object.hpp"

namespace weir::manifests {

struct Assembly {
  ClusterState state;
  std::vector<Line> lines;
  // The version of each Service that is in force: the last good one if the newest does not go
  // together with the others.
  Services in_force;
};

// Objects in order of file name and document: of two that exclude each other, the first is right.
// `in_force` is the last assembly's; `broken` are objects that exist, but in no readable version.
Assembly assemble(const std::vector<ObjectPtr>& objects, const std::set<ObjectId>& broken,
                  const Services& in_force, const Options& options);

}  // namespace weir::manifests
