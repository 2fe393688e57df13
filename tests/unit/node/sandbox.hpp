// SPDX-License-Identifier: Apache-2.0
// A network namespace and a pin directory for one test, gone with it.
#pragma once

#include <chrono>
#include <string>

#include "base/unique_fd.hpp"
#include "node/monitor.hpp"

namespace weir::node {

// Ends the test as skipped, with the reason, where it cannot run (Catch2 2 has no SKIP).
void need_root();

// Runs a command line in the shell; throws with its output if it fails.
void run(const std::string& command);
std::string output_of(const std::string& command);

// A network namespace named weirnode-<pid>-<number>; the calling thread is in it until the end.
class Sandbox {
 public:
  Sandbox();
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  // A directory on bpffs.
  [[nodiscard]] const std::string& links() const { return links_; }
  // Another namespace, gone with this one. The calling thread does not enter it.
  std::string another();

 private:
  std::string name_;
  std::string links_;
  UniqueFd before_;
  int count_ = 0;
};

std::uint32_t ifindex_of(const std::string& device);
bool setup_works(const std::string& command);

// Waits until the monitor's network is as wanted, or the time is up; refreshes it as an event
// loop would, only when its descriptor is readable.
template <class Wanted>
bool comes_true(Monitor& monitor, std::chrono::milliseconds within, const Wanted& wanted);

// Waits for the descriptor. False if nothing came.
bool readable(int fd, std::chrono::milliseconds within);

template <class Wanted>
bool comes_true(Monitor& monitor, std::chrono::milliseconds within, const Wanted& wanted) {
  const auto end = std::chrono::steady_clock::now() + within;
  while (!wanted(monitor.network())) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    if (left.count() <= 0 || !readable(monitor.fd(), left)) return false;
    if (!monitor.refresh()) return false;
  }
  return true;
}

}  // namespace weir::node
