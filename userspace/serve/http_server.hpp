// SPDX-License-Identifier: Apache-2.0
// A thread that serves HTTP at any number of addresses, so that answers do not wait for whatever
// else the process does.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/event_loop.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "serve/http_engine.hpp"
#include "serve/listeners.hpp"

namespace weir::serve {

class HttpServer {
 public:
  static Result<std::unique_ptr<HttpServer>> start(const HttpEngine::Limits& limits = {});
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  // Every socket is closed when this returns.
  ~HttpServer();

  // All there is to serve from now on (see Listeners::serve). Returns at once. Handlers are called
  // in the server's thread, until it serves something else or is destroyed.
  void serve(std::vector<Site> sites);
  // Of the sites, those that could not be opened when that was tried last.
  [[nodiscard]] std::vector<Unopened> unopened() const;

 private:
  HttpServer() = default;
  Result<> open(const HttpEngine::Limits& limits);
  Result<> start_thread();
  void on_wake();
  void wake() const;

  UniqueFd wake_;
  mutable std::mutex mutex_;
  std::optional<std::vector<Site>> next_;  // by mutex_
  bool stopping_ = false;                  // by mutex_
  std::vector<Unopened> unopened_;         // by mutex_
  // The thread's own.
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<HttpEngine> engine_;
  std::unique_ptr<Listeners> listeners_;
  std::thread thread_;
};

}  // namespace weir::serve
