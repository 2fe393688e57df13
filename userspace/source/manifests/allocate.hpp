// SPDX-License-Identifier: Apache-2.0
// Completes Services: cluster IPs, node ports and load-balancer addresses that the manifests leave
// out, as a function of the manifests alone, so that every node that reads them agrees.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "source/manifests/journal.hpp"
#include "source/manifests/manifests.hpp"
#include "source/manifests/object.hpp"

namespace weir::manifests {

using Services = std::map<ObjectKey, ObjectPtr>;

struct Allocation {
  std::map<ObjectKey, Service> services;  // complete
  std::map<ObjectKey, Line> failures;     // services that could not be completed, and why
  std::vector<Line> lines;                // what else is to be said
};

// Each wanted thing starts at the hash of who wants it and probes on past what is taken: first by
// what the manifests state, then by name order. Unserved services are left out.
Allocation allocate(const Services& services, const Options& options);

}  // namespace weir::manifests
