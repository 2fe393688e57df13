// SPDX-License-Identifier: Apache-2.0
// Whether the agent keeps up: the thread that programs the kernel says when it takes up a change
// and when that is in force, any other asks.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>

namespace weir::serve {

class SyncHealth {
 public:
  using Time = std::chrono::steady_clock::time_point;  // for ages
  using Date = std::chrono::system_clock::time_point;  // for people

  // How long a change may wait. Twice the 30 s after which kube-proxy programs everything anew.
  static constexpr std::chrono::seconds kTimeout{60};

  // There is something to program. What waits already is the older one.
  void queued(Time now);
  // All of it is programmed.
  void updated(Date now);

  // Idle is healthy, and so is a start that has not taken too long.
  [[nodiscard]] bool healthy(Time now) const;
  [[nodiscard]] std::optional<Date> last_updated() const;

 private:
  mutable std::mutex mutex_;
  std::optional<Time> waiting_since_;
  std::optional<Date> last_updated_;
};

}  // namespace weir::serve
