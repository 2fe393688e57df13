// SPDX-License-Identifier: Apache-2.0
#include "base/event_loop.hpp"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

namespace weir {

Result<std::unique_ptr<EventLoop>> EventLoop::make() {
  UniqueFd epoll{epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll) return fail(errno, "create epoll");
  return std::unique_ptr<EventLoop>{new EventLoop{std::move(epoll)}};
}

Result<> EventLoop::watch(int fd, Callback on_readable) {
  return watch_io(fd, {.read = true}, [callback = std::move(on_readable)](Io) { callback(); });
}

Result<> EventLoop::watch_io(int fd, Io wanted, std::function<void(Io)> on_ready) {
  epoll_event event{};
  event.events = (wanted.read ? EPOLLIN : 0U) | (wanted.write ? EPOLLOUT : 0U);
  event.data.fd = fd;
  const int how = watched_.contains(fd) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(epoll_.get(), how, fd, &event) != 0) return fail(errno, "watch descriptor {}", fd);
  watched_[fd] = std::make_shared<std::function<void(Io)>>(std::move(on_ready));
  return {};
}

void EventLoop::unwatch(int fd) {
  if (watched_.erase(fd) > 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

Result<> EventLoop::after(TimerId id, std::chrono::milliseconds delay, Callback on_expiry) {
  auto& timer = timers_[id];
  if (!timer.fd) {
    timer.fd = UniqueFd{timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
    if (!timer.fd) return fail(errno, "create timer");
    auto fire = [this, id] {
      auto& due = timers_[id];
      std::uint64_t expirations = 0;
      if (::read(due.fd.get(), &expirations, sizeof expirations) != sizeof expirations) return;
      if (!due.armed) return;
      due.armed = false;
      const Callback callback = due.callback;  // it may arm this timer again
      callback();
    };
    if (auto done = watch(timer.fd.get(), fire); !done) return done;
  }
  timer.callback = std::move(on_expiry);
  timer.armed = true;
  const auto ns = std::max<std::int64_t>(1, std::chrono::nanoseconds{delay}.count());
  itimerspec spec{};
  spec.it_value.tv_sec = ns / 1'000'000'000;
  spec.it_value.tv_nsec = ns % 1'000'000'000;
  if (timerfd_settime(timer.fd.get(), 0, &spec, nullptr) != 0) return fail(errno, "set timer");
  return {};
}

bool EventLoop::armed(TimerId id) const {
  const auto found = timers_.find(id);
  return found != timers_.end() && found->second.armed;
}

void EventLoop::disarm(TimerId id) {
  const auto found = timers_.find(id);
  if (found == timers_.end() || !found->second.armed) return;
  found->second.armed = false;
  constexpr itimerspec kNever{};
  timerfd_settime(found->second.fd.get(), 0, &kNever, nullptr);
}

void EventLoop::drop_timer(TimerId id) {
  const auto found = timers_.find(id);
  if (found == timers_.end()) return;
  unwatch(found->second.fd.get());
  timers_.erase(found);
}

Result<> EventLoop::on_signal(const std::vector<int>& signals, std::function<void(int)> callback) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : signals) sigaddset(&set, number);
  if (sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return fail(errno, "block signals");
  signals_ = UniqueFd{signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (!signals_) return fail(errno, "create signalfd");
  return watch(signals_.get(), [this, callback = std::move(callback)] {
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof info) == sizeof info)
      callback(static_cast<int>(info.ssi_signo));
  });
}

Result<> EventLoop::run() {
  running_ = true;
  std::array<epoll_event, 32> events{};
  while (running_) {
    const int n = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno, "wait for events");
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      const auto found = watched_.find(events[i].data.fd);
      if (found == watched_.end()) continue;  // an earlier callback of this round took it away
      const auto callback = found->second;    // alive, even if it unwatches itself
      const auto seen = events[i].events;
      const bool broken = (seen & (EPOLLERR | EPOLLHUP)) != 0;
      (*callback)(
          {.read = broken || (seen & EPOLLIN) != 0, .write = broken || (seen & EPOLLOUT) != 0});
    }
  }
  return {};
}

}  // namespace weir
