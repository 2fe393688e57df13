// SPDX-License-Identifier: Apache-2.0
// How long to wait before the next attempt, as the API's own clients do, so that a server that
// comes back is not asked by all of them at once.
#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace weir::kubernetes {

class Backoff {
 public:
  using Clock = std::chrono::steady_clock;
  // client-go: 800 ms, doubled each time up to 30 s, each up to twice as long by chance; from the
  // start again after two minutes without a failure.
  struct Pace {
    std::chrono::milliseconds first{800};
    std::chrono::milliseconds most{30'000};
    std::chrono::milliseconds forgotten{120'000};
  };

  explicit Backoff(const Pace& pace) : pace_{pace}, next_{pace.first} {}

  std::chrono::milliseconds failed(Clock::time_point now) {
    if (now - last_ > pace_.forgotten) next_ = pace_.first;
    const auto base = next_;
    next_ = std::min(next_ * 2, pace_.most);
    std::uniform_real_distribution<double> chance{1.0, 2.0};
    const auto delay =
        std::chrono::duration_cast<std::chrono::milliseconds>(base * chance(random_));
    last_ = now + delay;
    return delay;
  }

 private:
  Pace pace_;
  std::chrono::milliseconds next_;
  Clock::time_point last_{};
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace weir::kubernetes
