// SPDX-License-Identifier: Apache-2.0
// The listening sockets of a server, kept in step with what it is to serve. One thread, that of the
// loop.
#pragma once

#include <sys/socket.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/event_loop.hpp"
#include "base/unique_fd.hpp"
#include "serve/listen_address.hpp"
#include "serve/reply.hpp"

namespace weir::serve {

// The answer for a path ("/healthz", without what follows a '?').
using Handler = std::function<Reply(std::string_view path)>;

// A name at an address. Another name takes another socket, so that connections to what was
// there before are over.
struct Site {
  std::string name;  // in the log: "health check of default/web"
  ListenAddress at;
  Handler handler;
};

// A site that nobody can connect to, since something else on the node has its address.
struct Unopened {
  std::string name;
  ListenAddress at;
  std::string why;
  friend bool operator==(const Unopened&, const Unopened&) = default;
};

class Listeners {
 public:
  using Accepted = std::function<void(UniqueFd connection, const sockaddr_storage& peer)>;
  struct Events {
    Accepted accepted;
    std::function<void()> all_accepted;  // of those that were waiting
    // All that could not be opened, after each attempt to.
    std::function<void(std::vector<Unopened>)> tried;
  };

  Listeners(EventLoop& loop, Events events) : loop_{loop}, events_{std::move(events)} {}
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;
  ~Listeners();

  // All there is to be. What is there stays, what is not wanted is closed, and then the rest is
  // opened. What cannot be opened is said once, and tried again with each call and every second.
  void serve(std::vector<Site> sites);

  // What listens where a client connected to; null: nothing any more.
  [[nodiscard]] const Handler* find(const ListenAddress& local) const;

 private:
  using Key = std::pair<ListenAddress, std::string>;
  struct Listener {
    std::string name;
    UniqueFd fd;
  };

  void close_unwanted();
  void open_missing();
  void tell() const;
  void retry_later();
  void accept_from(int fd);
  void rest();
  void watch(int fd);
  void watch_all();

  EventLoop& loop_;
  Events events_;
  std::map<Key, Handler> wanted_;
  std::map<ListenAddress, Listener> open_;
  std::map<Key, std::string> failed_;  // why, as the log has it
};

}  // namespace weir::serve
