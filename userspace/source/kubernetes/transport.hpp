// SPDX-License-Identifier: Apache-2.0
// HTTP as the followers of the API need it: requests out, answers in as they come. The client on
// libcurl is one transport, a test's script another.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace weir::kubernetes {

struct Request {
  std::string method = "GET";
  std::string target;        // path and query: "/api/v1/services?limit=500"
  std::string content_type;  // of the body
  std::string body;
  // How long nothing may come, before the head or between two pieces of the body. A watch is
  // silent for as long as nothing happens and no bookmark is due.
  std::chrono::seconds silence{30};
  // How long the whole may take; 0: no limit.
  std::chrono::seconds whole{0};
};

struct Head {
  int status = 0;                                   // 200
  std::optional<std::chrono::seconds> retry_after;  // Retry-After, as a number of seconds
};

// Takes in one answer. All calls come from the loop, none from within send().
class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual void head(const Head& head) = 0;
  // A piece of the body, cut anywhere, decompressed. False: the rest is not wanted; the request is
  // over as if cancelled, and end() is not called.
  virtual bool body(std::string_view piece) = 0;
  // The last call: the body is complete, or what went wrong (no connection, TLS, a body shorter
  // than announced; with the code timed_out: the request's silence, or its whole time).
  virtual void end(const Result<>& how) = 0;
};

class Transport {
 public:
  using Id = std::uint64_t;

  virtual ~Transport() = default;
  // The receiver must live until end(), a refused body(), or cancel().
  virtual Id send(Request request, Receiver& receiver) = 0;
  // No call to the receiver after this, nor for an id that is over already. Allowed from within
  // the receiver's calls.
  virtual void cancel(Id id) = 0;
};

}  // namespace weir::kubernetes
