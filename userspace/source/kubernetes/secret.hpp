// SPDX-License-Identifier: Apache-2.0
// Text that must not be shown: tokens, keys, passwords.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/result.hpp"

namespace weir::kubernetes {

// Has no formatter, no stream operator and no conversion, so that it cannot get into a log line or
// an error by mistake. Its memory is cleared when it goes.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) noexcept { text_.swap(text); }
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept { text_.swap(other.text_); }
  Secret& operator=(Secret other) noexcept {
    text_.swap(other.text_);
    return *this;
  }
  ~Secret();

  // Valid until the secret changes or goes.
  [[nodiscard]] std::string_view reveal() const { return text_; }
  [[nodiscard]] const char* c_str() const { return text_.c_str(); }
  [[nodiscard]] bool empty() const { return text_.empty(); }
  friend bool operator==(const Secret&, const Secret&) = default;

 private:
  std::string text_;
};

// The content of a file of at most 1 MiB. The error begins with the file's path.
Result<Secret> read_secret(const std::string& path);

// From here on the kernel writes no core file of this process and hands none to a handler, and only
// a process with CAP_SYS_PTRACE reads its memory.
Result<> forbid_core_dumps();

}  // namespace weir::kubernetes
