// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/secret.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/unique_fd.hpp"

namespace weir::kubernetes {

Secret::~Secret() {
  explicit_bzero(text_.data(), text_.size());
}

Result<Secret> read_secret(const std::string& path) {
  constexpr std::size_t kMaxSize = std::size_t{1} << 20;
  // Not blocking: the path may be a FIFO.
  const UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!file) return fail(errno, "{}", path);
  std::string text;
  std::array<char, 16'384> piece{};
  while (text.size() <= kMaxSize) {
    const ssize_t n = ::read(file.get(), piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno, "{}", path);
    if (n == 0) break;
    // Growing by hand: a string that grows by itself leaves copies behind.
    std::string longer;
    longer.reserve(text.size() + static_cast<std::size_t>(n));
    longer.append(text).append(piece.data(), static_cast<std::size_t>(n));
    text.swap(longer);
    const Secret old{std::move(longer)};
  }
  explicit_bzero(piece.data(), piece.size());
  Secret content{std::move(text)};
  if (content.reveal().size() > kMaxSize) return fail("{}: larger than 1 MiB", path);
  return content;
}

// RLIMIT_CORE of 0 does not keep a core from a handler in core_pattern, and MADV_DONTDUMP would
// cover our copy of a token only: libcurl and OpenSSL have theirs. What PR_SET_DUMPABLE costs is
// that /proc/PID belongs to root; a process still looks into its own (the kernel allows any access
// within a thread group), which is all that weir reads there.
Result<> forbid_core_dumps() {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail(errno, "forbid core dumps");
  return {};
}

}  // namespace weir::kubernetes
