// SPDX-License-Identifier: Apache-2.0
// Where the agent's view of the cluster comes from, joined to its loop: manifests or the API.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/options.hpp"
#include "base/event_loop.hpp"
#include "base/result.hpp"
#include "source/kubernetes/events.hpp"
#include "source/kubernetes/reflector.hpp"
#include "source/source.hpp"

namespace weir::agent {

// How long it took to take in what was published last; nothing where that has no meaning.
struct FeedTiming {
  std::chrono::nanoseconds read{0};
  std::chrono::nanoseconds assemble{0};
};

class Feed {
 public:
  virtual ~Feed() = default;

  // From here on, `changed` is called when the view is another, and for the first time when it is
  // complete, if it is not by now.
  virtual Result<> follow(std::function<void()> changed) = 0;

  [[nodiscard]] virtual Source& source() = 0;
  [[nodiscard]] virtual FeedTiming timing() const { return {}; }
  // When those things happened that are in the view now and were not when this was asked last.
  virtual std::vector<std::chrono::system_clock::time_point> take_triggers() { return {}; }
  // All that is wrong with objects now, for whoever looks after them.
  virtual void report(const std::vector<kubernetes::Notice>& /*notices*/) {}
};

// Reads everything once; an unreadable path is an error.
Result<std::unique_ptr<Feed>> open_manifests(EventLoop& loop, const Options& options);
// Finds out where the API server is; nobody is asked yet. The observer must outlive the feed.
Result<std::unique_ptr<Feed>> open_api(EventLoop& loop, const Options& options,
                                       kubernetes::Observer& observer);

}  // namespace weir::agent
