// SPDX-License-Identifier: Apache-2.0
// Follows one resource: lists it, watches it from there, and lists again when the server has
// forgotten where that was. (client-go: tools/cache/reflector.go has the same protocol.)
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/event_loop.hpp"
#include "model/watch_end.hpp"
#include "source/kubernetes/backoff.hpp"
#include "source/kubernetes/mirror.hpp"
#include "source/kubernetes/object_stream.hpp"
#include "source/kubernetes/transport.hpp"

namespace weir::kubernetes {

enum class WatchState : std::uint8_t { not_started, listing, watching, retrying };
std::string_view to_string(WatchState state);

struct WatchStatus {
  WatchState state = WatchState::not_started;
  Date since;                 // in this state
  std::optional<Date> heard;  // the last piece of any answer that was a success
  bool synced = false;        // listed once
  std::uint64_t lists = 0;    // that were complete
  std::uint64_t watches = 0;  // that were begun
  std::uint64_t failures = 0;
  std::uint64_t events = 0;  // bookmarks included
  std::uint64_t bytes = 0;   // of bodies
  std::string error;         // the last failure's, while it lasts
};

using weir::WatchEnd;

// Who wants to know how it goes, as it happens.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void entered(Resource resource, WatchState state) = 0;
  virtual void heard(Resource resource, std::size_t bytes) = 0;
  virtual void listed(Resource resource) = 0;
  virtual void restarted(Resource resource, WatchEnd why) = 0;
};

struct Pace {
  Backoff::Pace backoff;
  std::chrono::seconds shortest_watch{300};  // timeoutSeconds is drawn between these
  std::chrono::seconds longest_watch{600};
  // Without a sign of them, the server does not know how to list by a watch.
  std::chrono::milliseconds initial_events{30'000};
  unsigned page = 500;  // objects of a list's page
};

class Reflector final : private Receiver {
 public:
  struct What {
    Resource resource = Resource::services;
    std::string path;      // "/api/v1/services"
    std::string selector;  // "labelSelector=..." encoded; may be empty
  };

  // `changed` is called after the mirror has changed, or the status to or from synced.
  Reflector(What what, EventLoop& loop, Transport& transport, Mirror& mirror,
            std::function<void()> changed, const manifests::Options& options);
  Reflector(const Reflector&) = delete;
  Reflector& operator=(const Reflector&) = delete;
  ~Reflector() override;

  void set_pace(const Pace& pace);
  // Must outlive this; null: nobody.
  void set_observer(Observer* observer) { observer_ = observer; }
  void start();
  [[nodiscard]] bool synced() const { return status_.synced; }
  [[nodiscard]] const WatchStatus& status() const { return status_; }

 private:
  enum class Asked : std::uint8_t { nothing, stream_list, list, watch };
  // What an answer says is to be done, once it is no longer being read.
  enum class Verdict : std::uint8_t { go_on, list_again, later };

  // reflector.cpp: requests
  void ask(Asked what, std::string query);
  void list_anew();
  void stream_list();
  void list(std::string version, bool pages);
  void next_page(const std::string& continuation);
  void watch();
  void fail_with(WatchEnd kind, std::string why, std::optional<std::chrono::seconds> at_least = {});
  void again();
  void limit_silence();
  void enter(WatchState state);

  // reflector_answer.cpp: answers
  void head(const Head& head) override;
  bool body(std::string_view piece) override;
  void end(const Result<>& how) override;
  void take_item(const Value& item);
  bool take_document(const Value& root);
  bool take_event(const Value& event);
  bool take_error(const Value& object);
  void take_object(const Value& object, bool deleted);
  bool take_bookmark(const Value& object);
  void settle(const Result<>& how);
  void settle_list(const Result<>& how);
  void settle_watch(const Result<>& how);
  void settle_refusal();
  void give_up_when_broken();
  void list_complete();
  [[nodiscard]] bool list_at_once(const std::string& why);
  void drop();

  What what_;
  EventLoop& loop_;
  Transport& transport_;
  Mirror& mirror_;
  std::function<void()> changed_;
  const manifests::Options& options_;
  Pace pace_;
  Observer* observer_ = nullptr;
  Backoff backoff_;
  EventLoop::TimerId retry_;
  EventLoop::TimerId initial_;
  std::minstd_rand random_{std::random_device{}()};

  WatchStatus status_;
  std::string version_;        // up to where the mirror is; empty: nowhere
  bool by_stream_ = true;      // the server may know how to list by a watch
  bool list_instead_ = false;  // and yet, the next time
  unsigned broken_ = 0;        // watches in a row that failed without an event
  bool expired_ = false;       // the last watch was from a version that was no more

  Asked asked_ = Asked::nothing;
  std::optional<Transport::Id> request_;
  std::unique_ptr<ObjectStream> stream_;
  Head head_;
  Verdict verdict_ = Verdict::go_on;
  std::optional<Status> refusal_;  // the body of an answer that is no success, or an ERROR event
  std::string list_version_;       // what this list was asked to be no older than
  bool paged_ = false;             // this answer continues a list
  Metadata list_;                  // of the answer to a list
  bool list_read_ = false;
  bool unreadable_ = false;  // what came was not of the API
  std::uint64_t events_before_ = 0;
  std::uint64_t bytes_before_ = 0;
  std::chrono::steady_clock::time_point asked_at_;
};

}  // namespace weir::kubernetes
