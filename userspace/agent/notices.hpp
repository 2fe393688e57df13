// SPDX-License-Identifier: Apache-2.0
// What the planner had to leave out, as events on the objects that it is about. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/cluster.hpp"
#include "plan/reconcile.hpp"
#include "plan/tables.hpp"
#include "source/kubernetes/events.hpp"

namespace weir::agent {

// One for each Service, however many of its ports and addresses it is about; and one for the node
// if a table of its has no room.
std::vector<kubernetes::Notice> notices(const std::vector<FrontendConflict>& conflicts,
                                        const std::vector<Refused>& refused,
                                        const std::string& node);

// Health checks that nobody can ask, and why. kube-proxy's reason.
std::vector<kubernetes::Notice> notices(const std::map<ObjectKey, std::string>& unopened);

// "10.0.0.1:80 belongs to default/web:http TCP IPv4 already", as the log has it too.
std::string text_of(const FrontendConflict& conflict);

}  // namespace weir::agent
