// SPDX-License-Identifier: Apache-2.0
#include "serve/sync_health.hpp"

namespace weir::serve {

void SyncHealth::queued(Time now) {
  const std::lock_guard lock{mutex_};
  if (!waiting_since_) waiting_since_ = now;
}

void SyncHealth::updated(Date now) {
  const std::lock_guard lock{mutex_};
  waiting_since_.reset();
  last_updated_ = now;
}

bool SyncHealth::healthy(Time now) const {
  const std::lock_guard lock{mutex_};
  return !waiting_since_ || now - *waiting_since_ < kTimeout;
}

std::optional<SyncHealth::Date> SyncHealth::last_updated() const {
  const std::lock_guard lock{mutex_};
  return last_updated_;
}

}  // namespace weir::serve
