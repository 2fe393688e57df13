// SPDX-License-Identifier: Apache-2.0
// Tells people what is wrong with their Services where they look: `kubectl describe`.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/event_loop.hpp"
#include "source/kubernetes/transport.hpp"

namespace weir::kubernetes {

// Something that is wrong now.
struct Notice {
  enum class Object : std::uint8_t { service, node };
  enum class Type : std::uint8_t { warning, normal };

  Object object = Object::service;
  std::string ns;    // of a Node: ""
  std::string name;  // of the object
  // Of the object. May be empty; `kubectl describe service` then does not find the event.
  std::string uid;
  std::string reason;                  // one word in CamelCase: "NoRoom"
  std::string note;                    // a line for a person
  std::string action = "Programming";  // what weir was about to do
  Type type = Type::warning;
};

// Posts Events of events.k8s.io/v1. Best effort: a server that does not answer, or does not allow
// it, makes no difference to anything else.
class Events final : private Receiver {
 public:
  // client-go's: 25 at once, then one in five seconds; each is tried at most twelve times, ten
  // seconds apart.
  struct Pace {
    unsigned burst = 25;
    std::chrono::milliseconds refill{5'000};
    std::chrono::milliseconds retry{10'000};
    unsigned attempts = 12;
  };
  // So many notices are known at a time; the rest wait until others are gone.
  static constexpr std::size_t kMaxNotices = 1'000;

  // `node` is this node's name. Loop and transport must outlive this.
  Events(EventLoop& loop, Transport& transport, std::string node, const Pace& pace);
  Events(EventLoop& loop, Transport& transport, std::string node)
      : Events{loop, transport, std::move(node), Pace{}} {}
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;
  ~Events() override;

  // All that is wrong now, most important first. What was not in the last set is posted, once; what
  // is gone before its turn is not posted. Two are the same if object, reason and note are.
  void report(std::vector<Notice> notices);

 private:
  using Clock = std::chrono::steady_clock;
  using Identity = std::tuple<Notice::Object, std::string, std::string, std::string, std::string>;
  struct State {
    std::chrono::system_clock::time_point since;
    unsigned attempts = 0;
    bool done = false;  // posted, or given up
  };

  void head(const Head& head) override { head_ = head; }
  bool body(std::string_view /*piece*/) override { return true; }
  void end(const Result<>& how) override;

  static Identity identity(const Notice& notice);
  const Notice* next() const;
  void work();
  void work_in(Clock::duration delay);
  void refill(Clock::time_point now);
  void post(const Notice& notice);
  // False: it should be tried again.
  bool settle(const Result<>& how, const State& state);

  EventLoop& loop_;
  Transport& transport_;
  std::string node_;
  Pace pace_;
  EventLoop::TimerId timer_;
  std::vector<Notice> notices_;
  std::map<Identity, State> states_;
  std::optional<Identity> open_;  // of the request that is under way
  Transport::Id request_ = 0;
  Head head_;
  unsigned tokens_;
  Clock::time_point refilled_ = Clock::now();
  Clock::time_point not_before_;
  bool told_forbidden_ = false;
};

// The body of a POST, as JSON. `node` reports; the time is in UTC, to the microsecond.
std::string event_json(const Notice& notice, const std::string& node,
                       std::chrono::system_clock::time_point time);

}  // namespace weir::kubernetes
