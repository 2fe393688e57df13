// SPDX-License-Identifier: Apache-2.0
#include "serve/http_server.hpp"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <system_error>

#include "base/log.hpp"

namespace weir::serve {
namespace {

// The usual 1024 would be used up by a thousand Services.
void allow_many_descriptors() {
  constexpr rlim_t kEnough = 65'536;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min(limit.rlim_max, kEnough);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) log::debug("RLIMIT_NOFILE stays as it is");
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(const HttpEngine::Limits& limits) {
  std::unique_ptr<HttpServer> server{new HttpServer};
  if (auto ok = server->open(limits); !ok) return std::unexpected{std::move(ok.error())};
  if (auto ok = server->start_thread(); !ok) return std::unexpected{std::move(ok.error())};
  return server;
}

Result<> HttpServer::open(const HttpEngine::Limits& limits) {
  allow_many_descriptors();
  wake_ = UniqueFd{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!wake_) return fail(errno, "create eventfd");
  auto loop = EventLoop::make();
  if (!loop) return std::unexpected{std::move(loop.error())};
  loop_ = std::move(*loop);
  auto route = [this](const ListenAddress& local, std::string_view path) -> std::optional<Reply> {
    const Handler* handler = listeners_->find(local);
    if (handler == nullptr) return std::nullopt;
    return (*handler)(path);
  };
  auto engine = HttpEngine::make(*loop_, std::move(route), limits);
  if (!engine) return std::unexpected{std::move(engine.error())};
  engine_ = std::move(*engine);
  listeners_ = std::make_unique<Listeners>(
      *loop_, Listeners::Events{.accepted =
                                    [this](UniqueFd connection, const sockaddr_storage& peer) {
                                      engine_->add(std::move(connection), peer);
                                    },
                                .all_accepted = [this] { engine_->run(); },
                                .tried =
                                    [this](std::vector<Unopened> unopened) {
                                      const std::lock_guard lock{mutex_};
                                      unopened_ = std::move(unopened);
                                    }});
  return loop_->watch(wake_.get(), [this] { on_wake(); });
}

// Signals are for the thread that has the signalfd.
Result<> HttpServer::start_thread() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  if (const int error = pthread_sigmask(SIG_SETMASK, &all, &before); error != 0)
    return fail(error, "block signals");
  Result<> done;
  try {
    thread_ = std::thread{[this] {
      if (auto ok = loop_->run(); !ok) log::error("HTTP: {}", ok.error().message());
    }};
  } catch (const std::system_error& error) {
    done = fail(error.code().value(), "start the HTTP thread");
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return done;
}

HttpServer::~HttpServer() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock{mutex_};
      stopping_ = true;
    }
    wake();
    thread_.join();
  }
  listeners_.reset();  // no new connections, then no old ones
  engine_.reset();
}

void HttpServer::serve(std::vector<Site> sites) {
  {
    const std::lock_guard lock{mutex_};
    next_ = std::move(sites);
  }
  wake();
}

std::vector<Unopened> HttpServer::unopened() const {
  const std::lock_guard lock{mutex_};
  return unopened_;
}

void HttpServer::wake() const {
  const std::uint64_t one = 1;
  // Full means that the thread has not woken from the last one.
  if (write(wake_.get(), &one, sizeof one) < 0 && errno != EAGAIN)
    log::error("wake the HTTP thread: {}", std::generic_category().message(errno));
}

void HttpServer::on_wake() {
  std::uint64_t count = 0;
  if (read(wake_.get(), &count, sizeof count) < 0 && errno != EAGAIN)
    log::error("HTTP: read eventfd: {}", std::generic_category().message(errno));
  std::optional<std::vector<Site>> next;
  bool stopping = false;
  {
    const std::lock_guard lock{mutex_};
    next.swap(next_);
    stopping = stopping_;
  }
  if (stopping) return loop_->stop();
  if (next) listeners_->serve(std::move(*next));
}

}  // namespace weir::serve
