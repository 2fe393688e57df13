// SPDX-License-Identifier: Apache-2.0
#include "serve/listeners.hpp"

#include <cerrno>
#include <chrono>

#include "base/log.hpp"

namespace weir::serve {
namespace {

using namespace std::chrono_literals;

enum Timer : EventLoop::TimerId { kRetry = 1, kRest };  // 0 is the engine's

constexpr auto kRetryAfter = 1s;
constexpr auto kRestFor = 100ms;
constexpr int kAtOnce = 64;  // then others have their turn

// 0.0.0.0 and :: are one.
ListenAddress normal(ListenAddress at) {
  if (at.address.is_unspecified()) at.address = Address{};
  return at;
}

}  // namespace

Listeners::~Listeners() {
  for (const auto& [at, listener] : open_) loop_.unwatch(listener.fd.get());
}

void Listeners::serve(std::vector<Site> sites) {
  wanted_.clear();
  for (auto& site : sites)
    wanted_.try_emplace({normal(site.at), std::move(site.name)}, std::move(site.handler));
  close_unwanted();
  std::erase_if(failed_, [&](const auto& entry) { return !wanted_.contains(entry.first); });
  open_missing();
}

void Listeners::close_unwanted() {
  std::erase_if(open_, [&](const auto& entry) {
    const auto& [at, listener] = entry;
    if (wanted_.contains({at, listener.name})) return false;
    loop_.unwatch(listener.fd.get());
    log::debug("{}: no longer on {}", listener.name, at.to_string());
    return true;
  });
}

void Listeners::open_missing() {
  for (const auto& [key, handler] : wanted_) {
    const auto& [at, name] = key;
    const auto there = open_.find(at);
    if (there != open_.end() && there->second.name == name) continue;
    auto fd = listen_on(at);
    if (!fd) {
      auto [said, fresh] = failed_.try_emplace(key);
      const auto why = fd.error().message();
      if (said->second != why)
        log::warning("{}: listen on {}: {}; it is tried again", name, at.to_string(), why);
      said->second = why;
      continue;
    }
    if (failed_.erase(key) > 0)
      log::info("{}: listens on {} now", name, at.to_string());
    else
      log::debug("{}: on {}", name, at.to_string());
    watch(fd->get());
    open_.insert_or_assign(at, Listener{.name = name, .fd = std::move(*fd)});
  }
  if (!failed_.empty()) retry_later();
  tell();
}

void Listeners::tell() const {
  if (!events_.tried) return;
  std::vector<Unopened> all;
  all.reserve(failed_.size());
  for (const auto& [key, why] : failed_)
    all.push_back({.name = key.second, .at = key.first, .why = why});
  events_.tried(std::move(all));
}

void Listeners::retry_later() {
  if (loop_.armed(kRetry)) return;
  auto armed = loop_.after(kRetry, kRetryAfter, [this] { open_missing(); });
  if (!armed) log::error("{}", armed.error().message());
}

const Handler* Listeners::find(const ListenAddress& local) const {
  auto found = open_.find(local);
  if (found == open_.end()) found = open_.find({Address{}, local.port});
  if (found == open_.end()) return nullptr;
  const auto wanted = wanted_.find({found->first, found->second.name});
  return wanted == wanted_.end() ? nullptr : &wanted->second;
}

void Listeners::accept_from(int fd) {
  for (int i = 0; i < kAtOnce; ++i) {
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    UniqueFd connection{
        accept4(fd, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (connection) {
      events_.accepted(std::move(connection), peer);
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) rest();
    break;  // nobody is waiting, or one went away: the loop calls again if there are more
  }
  events_.all_accepted();
}

// Without this, a connection that cannot be taken would keep the loop turning.
void Listeners::rest() {
  for (const auto& [at, listener] : open_) loop_.unwatch(listener.fd.get());
  auto armed = loop_.after(kRest, kRestFor, [this] { watch_all(); });
  if (!armed) log::error("{}", armed.error().message());
}

void Listeners::watch_all() {
  for (const auto& [at, listener] : open_) {
    loop_.unwatch(listener.fd.get());
    watch(listener.fd.get());
  }
}

void Listeners::watch(int fd) {
  if (auto ok = loop_.watch(fd, [this, fd] { accept_from(fd); }); !ok)
    log::error("{}", ok.error().message());
}

}  // namespace weir::serve
