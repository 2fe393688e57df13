// SPDX-License-Identifier: Apache-2.0
#include "source/manifests/watch.hpp"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace weir::manifests {
namespace {

constexpr std::uint32_t kEvents = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB |
                                  IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF |
                                  IN_MOVE_SELF;

Result<> add_to_epoll(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) return fail(errno, "watch descriptor");
  return {};
}

}  // namespace

Result<std::unique_ptr<Watch>> Watch::make() {
  std::unique_ptr<Watch> watch{new Watch};
  watch->epoll_ = UniqueFd{epoll_create1(EPOLL_CLOEXEC)};
  if (!watch->epoll_) return fail(errno, "create epoll");
  watch->inotify_ = UniqueFd{inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
  if (!watch->inotify_) return fail(errno, "create inotify");
  watch->timer_ = UniqueFd{timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
  if (!watch->timer_) return fail(errno, "create timer");
  for (const int fd : {watch->inotify_.get(), watch->timer_.get()})
    if (auto added = add_to_epoll(watch->epoll_.get(), fd); !added)
      return std::unexpected{added.error()};
  return watch;
}

Result<> Watch::watch(const std::set<std::string>& directories) {
  std::map<std::string, int> now;
  Result<> result;
  for (const auto& directory : directories) {
    // The same directory gives the same descriptor again; another one at its path, another.
    const int wd = inotify_add_watch(inotify_.get(), directory.c_str(), kEvents | IN_ONLYDIR);
    if (wd >= 0)
      now[directory] = wd;
    else if (errno != ENOENT && errno != ENOTDIR && errno != EACCES && result)
      result = fail(errno, "watch {}", directory);
  }
  std::map<int, std::set<std::string>> by_descriptor;
  for (const auto& [directory, wd] : now) by_descriptor[wd].insert(directory);
  for (const auto& [directory, wd] : descriptors_)
    if (!by_descriptor.contains(wd)) inotify_rm_watch(inotify_.get(), wd);
  descriptors_ = std::move(now);
  directories_ = std::move(by_descriptor);
  return result;
}

Result<> Watch::drain() {
  std::uint64_t expirations = 0;
  if (::read(timer_.get(), &expirations, sizeof expirations) < 0 && errno != EAGAIN)
    return fail(errno, "read timer");
  const auto now = Clock::now();
  alignas(inotify_event) std::array<char, 16'384> buffer{};
  while (true) {
    const ssize_t n = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return {};
    if (n <= 0) return fail(errno, "read inotify");
    for (std::size_t at = 0; at < static_cast<std::size_t>(n);) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* name = buffer.data() + at + sizeof event;
      take({event.wd, event.mask, {name, strnlen(name, event.len)}}, now);
      at += sizeof event + event.len;
    }
  }
}

void Watch::take(const Event& event, Clock::time_point now) {
  if (event.mask & IN_Q_OVERFLOW) {
    next_.all = true;
    writing_.clear();
    return;
  }
  const auto found = directories_.find(event.directory);
  if (found == directories_.end()) return;
  if (event.name.empty()) next_.directories = true;
  if (event.mask & IN_IGNORED) {  // the directory is gone, and its descriptor with it
    for (const auto& directory : found->second) descriptors_.erase(directory);
    directories_.erase(found);
    return;
  }
  for (const auto& directory : found->second) {
    const std::string path = fmt::format("{}/{}", directory == "/" ? "" : directory, event.name);
    next_.touched.insert(path);
    if (event.mask & IN_CREATE) writing_[path] = now + kSettle;
    if (event.mask & IN_MODIFY) writing_[path] = now + kPatience;
    if (event.mask & (IN_DELETE | IN_MOVED_FROM)) writing_.erase(path);
    if (event.mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) {
      writing_.erase(path);
      next_.completed.insert(path);
    }
  }
}

void Watch::begin() {
  now_ = std::exchange(next_, {});
}

bool Watch::completed(const std::string& path) const {
  return now_.all || now_.completed.contains(path);
}

std::optional<std::set<std::string>> Watch::touched() const {
  if (now_.all || now_.directories) return std::nullopt;
  auto paths = now_.touched;
  // What was incomplete may be taken as complete by now.
  for (const auto& [path, until] : writing_) paths.insert(path);
  return paths;
}

bool Watch::being_written(const std::string& path, Clock::time_point now) const {
  const auto found = writing_.find(path);
  return found != writing_.end() && found->second > now;
}

void Watch::done() {
  now_ = {};
  const auto now = Clock::now();
  std::erase_if(writing_, [&](const auto& entry) { return entry.second <= now; });
}

std::optional<Watch::Clock::time_point> Watch::first_deadline() const {
  std::optional<Clock::time_point> first;
  for (const auto& [path, until] : writing_)
    if (!first || until < *first) first = until;
  return first;
}

void Watch::wake_at(std::optional<Clock::time_point> time) {
  itimerspec spec{};
  if (time) {
    const auto delay = std::chrono::nanoseconds{*time - Clock::now()}.count();
    const auto ns = std::max<std::int64_t>(1, delay);
    spec.it_value.tv_sec = ns / 1'000'000'000;
    spec.it_value.tv_nsec = ns % 1'000'000'000;
  }
  timerfd_settime(timer_.get(), 0, &spec, nullptr);
}

}  // namespace weir::manifests
