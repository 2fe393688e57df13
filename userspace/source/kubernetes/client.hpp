// SPDX-License-Identifier: Apache-2.0
// The HTTP client of the API server: libcurl's multi interface in the agent's loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/event_loop.hpp"
#include "source/kubernetes/config.hpp"
#include "source/kubernetes/credentials.hpp"
#include "source/kubernetes/transport.hpp"

namespace weir::kubernetes {

class Connections;
class Exchange;

// HTTP/2 over one connection where the server has it, else a connection of HTTP/1.1 for each
// request at a time; TLS 1.2 at least. Bodies go to the receiver as they come: none is kept.
// Redirects are answers like others.
//
// Credentials are read again as they age, after a 401 and after a failed connection. Once the
// certificates are other ones, or a request has met silence, new requests go to new connections;
// what is under way on the old ones ends there.
//
// Errors read "GET https://10.0.0.1:6443/api/v1/services: Connection refused": no query, nothing
// secret.
class Client final : public Transport {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Reads the credentials and connects to nothing yet. From here on there are no core dumps. The
  // clock is the one that credentials age by.
  static Result<std::unique_ptr<Client>> make(EventLoop& loop, ClientConfig config,
                                              Time (*clock)() = &std::chrono::steady_clock::now);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  // Receivers of open requests hear nothing more. Not from within a receiver's call; before the
  // loop.
  ~Client() override;

  Id send(Request request, Receiver& receiver) override;
  void cancel(Id id) override;

  [[nodiscard]] const Url& server() const { return config_.server; }

 private:
  Client(EventLoop& loop, ClientConfig config, Credentials credentials);
  Result<> prepare();
  Result<> renew();
  void work_soon();
  void work();
  void start(Exchange& exchange);
  void finished(Exchange& exchange, int code);
  void end(Id id, const Result<>& how);
  void check_deadlines();
  void await_deadline();

  EventLoop& loop_;
  ClientConfig config_;
  Credentials credentials_;
  Time (*clock_)() = nullptr;
  std::shared_ptr<Connections> connections_;  // of new requests
  std::map<Id, std::unique_ptr<Exchange>> exchanges_;
  std::vector<Id> waiting_;                           // sent, and not yet started
  std::vector<std::unique_ptr<Exchange>> cancelled_;  // maybe from within libcurl: not yet gone
  Id next_id_ = 1;
  EventLoop::TimerId work_timer_;
  EventLoop::TimerId deadline_timer_;
  Time next_check_ = Time::max();
};

}  // namespace weir::kubernetes
