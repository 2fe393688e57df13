// SPDX-License-Identifier: Apache-2.0
// A set of connections to one server, and the exchanges on them: a multi handle of libcurl, driven
// by the loop.
#pragma once

#include <functional>
#include <memory>
#include <set>

#include "base/event_loop.hpp"
#include "source/kubernetes/curl.hpp"

namespace weir::kubernetes {

// Owned by whoever sends on it and by every exchange that is on it, so that an old set ends with
// the last of its exchanges.
class Connections : public std::enable_shared_from_this<Connections> {
 public:
  // An exchange is over. Called from the loop, outside of libcurl's calls: it may do anything.
  using Done = std::function<void(CURL* easy, CURLcode code)>;

  static Result<std::shared_ptr<Connections>> make(EventLoop& loop, Done done);
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;
  // Closes them. No exchange may be left.
  ~Connections();

  // Neither from within libcurl's callbacks.
  Result<> add(CURL* easy);
  void remove(CURL* easy) { curl_multi_remove_handle(multi_.get(), easy); }

 private:
  Connections(EventLoop& loop, Done done)
      : loop_{loop}, done_{std::move(done)}, timer_{loop.new_timer()} {}

  static int on_socket(CURL* easy, curl_socket_t fd, int what, void* self, void* unused);
  static int on_timer(CURLM* multi, long timeout_ms, void* self);
  Result<> want(curl_socket_t fd, int what);
  void act(curl_socket_t fd, int events);

  EventLoop& loop_;
  Done done_;
  EventLoop::TimerId timer_;
  std::set<int> watched_;
  MultiHandle multi_;
};

}  // namespace weir::kubernetes
