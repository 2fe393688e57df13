// SPDX-License-Identifier: Apache-2.0
// A server that a test plays: requests are kept, and answered as the test says.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "source/kubernetes/transport.hpp"

namespace weir::test {

class Script final : public kubernetes::Transport {
 public:
  struct Open {
    kubernetes::Request request;
    kubernetes::Receiver* receiver = nullptr;
  };

  Id send(kubernetes::Request request, kubernetes::Receiver& receiver) override {
    targets.push_back(request.target);
    open.emplace(++last_, Open{std::move(request), &receiver});
    return last_;
  }
  void cancel(Id id) override { open.erase(id); }

  // The newest open request whose target contains this; 0: none.
  [[nodiscard]] Id find(std::string_view part) const {
    Id found = 0;
    for (const auto& [id, one] : open)
      if (one.request.target.find(part) != std::string::npos) found = id;
    return found;
  }
  void head(Id id, int status, std::optional<std::chrono::seconds> retry_after = {}) {
    open.at(id).receiver->head({.status = status, .retry_after = retry_after});
  }
  // False: the receiver wants no more; the request is gone then.
  bool body(Id id, std::string_view piece) {
    auto* const receiver = open.at(id).receiver;
    const bool more = receiver->body(piece);
    if (!more) open.erase(id);
    return more;
  }
  void end(Id id, const Result<>& how = {}) {
    auto* const receiver = open.at(id).receiver;
    open.erase(id);
    receiver->end(how);
  }
  // A whole answer.
  void answer(Id id, int status, std::string_view text) {
    head(id, status);
    if (open.contains(id) && body(id, text)) end(id);
  }

  std::map<Id, Open> open;
  std::vector<std::string> targets;  // of all requests so far

 private:
  Id last_ = 0;
};

}  // namespace weir::test
