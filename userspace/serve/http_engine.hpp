// SPDX-License-Identifier: Apache-2.0
// HTTP over connections that somebody else accepted: libmicrohttpd, driven by the caller's loop.
#pragma once

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "base/event_loop.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "serve/listen_address.hpp"
#include "serve/reply.hpp"

struct MHD_Daemon;
struct MHD_Connection;

namespace weir::serve {

// By where the client connected to, and the path. Nothing: the connection is closed unanswered.
using Router = std::function<std::optional<Reply>(const ListenAddress& local, std::string_view)>;

class HttpEngine {
 public:
  // Nobody may hold more: connections beyond these are closed, and silent ones after a while.
  struct Limits {
    unsigned connections = 1000;
    unsigned connections_of_one_address = 250;
    unsigned silence_seconds = 10;
  };

  static Result<std::unique_ptr<HttpEngine>> make(EventLoop& loop, Router router,
                                                  const Limits& limits);
  HttpEngine(const HttpEngine&) = delete;
  HttpEngine& operator=(const HttpEngine&) = delete;
  ~HttpEngine();

  // Takes effect with the next run().
  void add(UniqueFd connection, const sockaddr_storage& peer);
  void run();

 private:
  struct Callbacks;
  friend struct Callbacks;

  HttpEngine(EventLoop& loop, Router router) : loop_{loop}, router_{std::move(router)} {}
  [[nodiscard]] std::optional<Reply> route(MHD_Connection* connection, std::string_view path) const;

  EventLoop& loop_;
  Router router_;
  MHD_Daemon* daemon_ = nullptr;  // owned
  int epoll_ = -1;                // the daemon's
};

}  // namespace weir::serve
