// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <expected>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace weir {

// What failed, outermost step first, and the code a caller can branch on.
// Reads as one line: "attach weir_xdp to eth0: pin link: Permission denied".
class [[nodiscard]] Error {
 public:
  Error(std::error_code code, std::string step) : code_{code}, steps_{std::move(step)} {}
  // An error that no errno describes ("line 3: spec.ports: expected a list").
  explicit Error(std::string text) : steps_{std::move(text)} {}

  [[nodiscard]] std::error_code code() const noexcept { return code_; }
  [[nodiscard]] std::string message() const {
    return code_ ? fmt::format("{}: {}", steps_, code_.message()) : steps_;
  }

  void wrap(std::string_view step) { steps_ = fmt::format("{}: {}", step, steps_); }

 private:
  std::error_code code_;
  std::string steps_;
};

template <class T = void>
using Result = std::expected<T, Error>;

// A new error. libbpf returns -errno and syscalls set errno: either sign will do.
template <class... Args>
[[nodiscard]] auto fail(int err, fmt::format_string<Args...> step, Args&&... args) {
  const std::error_code code{err < 0 ? -err : err, std::generic_category()};
  return std::unexpected<Error>{Error{code, fmt::format(step, std::forward<Args>(args)...)}};
}

// A new error that is its own explanation.
template <class... Args>
[[nodiscard]] auto fail(fmt::format_string<Args...> text, Args&&... args) {
  return std::unexpected<Error>{Error{fmt::format(text, std::forward<Args>(args)...)}};
}

// The same error, one step further out.
template <class... Args>
[[nodiscard]] auto fail(Error cause, fmt::format_string<Args...> step, Args&&... args) {
  cause.wrap(fmt::format(step, std::forward<Args>(args)...));
  return std::unexpected<Error>{std::move(cause)};
}

}  // namespace weir
