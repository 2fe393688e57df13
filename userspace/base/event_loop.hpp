// SPDX-License-Identifier: Apache-2.0
// The agent's one epoll loop: file descriptors, timers and signals, one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace weir {

class EventLoop {
 public:
  using Callback = std::function<void()>;

  static Result<std::unique_ptr<EventLoop>> make();

  // Calls back while fd is readable (level-triggered). The caller keeps owning fd and must call
  // unwatch() before closing it.
  Result<> watch(int fd, Callback on_readable);
  // What to wait for, and what is: an error or hang-up counts as both.
  struct Io {
    bool read = false;
    bool write = false;
  };
  // The same for either; on a descriptor that is watched already, another wish.
  Result<> watch_io(int fd, Io wanted, std::function<void(Io)> on_ready);
  void unwatch(int fd);

  // Calls back once after the delay. A second call with the same timer id moves it.
  // Ids are the caller's own small numbers, or new ones that nobody else has.
  using TimerId = std::uint32_t;
  TimerId new_timer() { return next_timer_++; }
  Result<> after(TimerId id, std::chrono::milliseconds delay, Callback on_expiry);
  [[nodiscard]] bool armed(TimerId id) const;
  // It will not call back unless it is set again. An unknown timer is none.
  void disarm(TimerId id);
  // disarm(), and gives back what the timer took.
  void drop_timer(TimerId id);

  // Blocks the signals for this thread and calls back when one arrives.
  Result<> on_signal(const std::vector<int>& signals, std::function<void(int)> callback);

  // Runs until stop(). Returns the error of epoll_wait, if that ever fails.
  Result<> run();
  void stop() { running_ = false; }

 private:
  struct Timer {
    UniqueFd fd;
    Callback callback;
    bool armed = false;
  };

  explicit EventLoop(UniqueFd epoll) : epoll_{std::move(epoll)} {}

  UniqueFd epoll_;
  UniqueFd signals_;
  std::map<int, std::shared_ptr<std::function<void(Io)>>> watched_;
  std::map<TimerId, Timer> timers_;
  TimerId next_timer_ = 1'000;
  bool running_ = false;
};

}  // namespace weir
