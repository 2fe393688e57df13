// SPDX-License-Identifier: Apache-2.0
// Where everything is pinned. <pin path>/v<ABI>/{maps,programs,links}/...
#pragma once

#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace weir::kernel {

inline constexpr const char* kDefaultPinPath = "/sys/fs/bpf/weir";

class Pins {
 public:
  explicit Pins(std::string path);

  [[nodiscard]] const std::string& path() const { return path_; }  // as given: --pin-path
  [[nodiscard]] std::string root() const;                          // <path>/v1
  [[nodiscard]] std::string maps() const { return root() + "/maps"; }
  [[nodiscard]] std::string programs() const { return root() + "/programs"; }
  [[nodiscard]] std::string links() const { return root() + "/links"; }
  [[nodiscard]] std::string map(std::string_view name) const;  // maps()/weir_flow
  [[nodiscard]] std::string program(std::string_view name) const;

  // Makes the directories. A clear error if the path is not on a bpffs.
  [[nodiscard]] Result<> create() const;
  // True if an agent of this ABI has ever run on the path and was not cleaned up.
  [[nodiscard]] bool exist() const;

  // The exclusive right to write here, held while the descriptor is open (flock on the directory:
  // the kernel gives it back however the process ends). EWOULDBLOCK: another agent holds it.
  [[nodiscard]] Result<UniqueFd> lock() const;
  // The right to run the programs that trace, likewise; waits for it. On a directory of its own,
  // since an agent may well be running.
  [[nodiscard]] Result<UniqueFd> lock_trace() const;
  // Whether some process holds the agent's right now.
  [[nodiscard]] Result<bool> locked() const;

 private:
  std::string path_;
};

}  // namespace weir::kernel
