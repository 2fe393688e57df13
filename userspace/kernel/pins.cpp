// SPDX-License-Identifier: Apache-2.0
#include "kernel/pins.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <filesystem>

#include "weir/abi.h"

namespace weir::kernel {
namespace {

Result<UniqueFd> open_directory(const std::string& path) {
  UniqueFd fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd) return fail(errno, "open {}", path);
  return fd;
}

Result<> check_bpffs(const std::string& path) {
  // The directory itself need not exist yet: its first existing parent decides.
  std::filesystem::path at{path};
  std::error_code ignored;
  while (at.has_relative_path() && !std::filesystem::exists(at, ignored)) at = at.parent_path();
  struct statfs info{};
  if (statfs(at.c_str(), &info) != 0) return fail(errno, "pin path {}", path);
  if (info.f_type != BPF_FS_MAGIC)
    return fail("pin path {}: {} is not on a bpf file system (mount -t bpf bpf /sys/fs/bpf)", path,
                at.string());
  return {};
}

}  // namespace

Pins::Pins(std::string path) : path_{std::move(path)} {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
}

std::string Pins::root() const {
  return fmt::format("{}/v{}", path_, WEIR_ABI_VERSION);
}
std::string Pins::map(std::string_view name) const {
  return fmt::format("{}/{}", maps(), name);
}
std::string Pins::program(std::string_view name) const {
  return fmt::format("{}/{}", programs(), name);
}

Result<> Pins::create() const {
  if (auto ok = check_bpffs(path_); !ok) return ok;
  for (const auto& directory : {path_, root(), maps(), programs(), links()}) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
      return fail(errno, "make {}", directory);
  }
  return {};
}

bool Pins::exist() const {
  std::error_code ignored;
  return std::filesystem::exists(maps(), ignored);
}

Result<UniqueFd> Pins::lock() const {
  auto fd = open_directory(path_);
  if (!fd) return fd;
  if (::flock(fd->get(), LOCK_EX | LOCK_NB) != 0) return fail(errno, "lock {}", path_);
  return fd;
}

Result<UniqueFd> Pins::lock_trace() const {
  auto fd = open_directory(programs());
  if (!fd) return fd;
  if (::flock(fd->get(), LOCK_EX) != 0) return fail(errno, "lock {}", programs());
  return fd;
}

Result<bool> Pins::locked() const {
  auto fd = open_directory(path_);
  if (!fd) return fail(std::move(fd.error()), "look for an agent");
  if (::flock(fd->get(), LOCK_SH | LOCK_NB) == 0) return false;
  if (errno == EWOULDBLOCK) return true;
  return fail(errno, "look for an agent on {}", path_);
}

}  // namespace weir::kernel
