// SPDX-License-Identifier: Apache-2.0
// Directories watched by inotify: which files are to be read, and which are just being written.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace weir::manifests {

class Watch {
 public:
  using Clock = std::chrono::steady_clock;

  // Long enough for an editor that moves a file away before it writes it anew, and for one that
  // creates a file before it writes; short enough for a change to take effect within 100 ms.
  static constexpr std::chrono::milliseconds kSettle{30};
  // A writer that was seen to write is waited for until it closes the file, or is silent so long.
  static constexpr std::chrono::milliseconds kPatience{2'000};

  static Result<std::unique_ptr<Watch>> make();

  // Readable when something happened or the time given to wake_at() has come.
  [[nodiscard]] int fd() const { return epoll_.get(); }

  // Watches these and no others. A directory that is not there, or not ours to read, is skipped;
  // a later call tries it again. The first failure of another kind is returned.
  Result<> watch(const std::set<std::string>& directories);

  // Takes in what happened so far.
  Result<> drain();

  // Files are about to be read: completed() from now on is what drain() took in so far. What it
  // takes in until done() is for the next time, since the file may have been read before that.
  void begin();
  // True if the file was written, renamed or otherwise completed before begin().
  [[nodiscard]] bool completed(const std::string& path) const;
  // Paths that something happened to before begin(), completed or not; nothing if more than that
  // may have changed: a directory itself, or events were lost.
  [[nodiscard]] std::optional<std::set<std::string>> touched() const;
  // True while the file at this path is incomplete.
  [[nodiscard]] bool being_written(const std::string& path, Clock::time_point now) const;
  void done();
  // True if something happened since begin().
  [[nodiscard]] bool pending() const {
    return !next_.touched.empty() || next_.directories || next_.all;
  }

  // When the first file that is_being_written() no longer is, without an event.
  [[nodiscard]] std::optional<Clock::time_point> first_deadline() const;
  void wake_at(std::optional<Clock::time_point> time);

 private:
  Watch() = default;
  struct Event {
    int directory;
    std::uint32_t mask;
    std::string_view name;
  };
  void take(const Event& event, Clock::time_point now);

  UniqueFd epoll_;
  UniqueFd inotify_;
  UniqueFd timer_;
  std::map<std::string, int> descriptors_;
  std::map<int, std::set<std::string>> directories_;  // one may have several paths
  struct Happened {
    std::set<std::string> completed;  // paths of files
    std::set<std::string> touched;    // these and all others with an event
    bool directories = false;         // something happened to one of them
    bool all = false;                 // events were lost
  };
  Happened now_;                                      // as of begin()
  Happened next_;                                     // since then
  std::map<std::string, Clock::time_point> writing_;  // until when
};

}  // namespace weir::manifests
