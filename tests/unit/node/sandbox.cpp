// SPDX-License-Identifier: Apache-2.0
#include "sandbox.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace weir::node {
namespace {

constexpr const char* kBpffs = "/sys/fs/bpf";

int next_number = 0;

struct Finished {
  int status = 0;
  std::string output;  // stdout and stderr
};

Finished finish(const std::string& command) {
  const std::string with_errors = "{ " + command + "; } 2>&1";
  std::FILE* pipe = ::popen(with_errors.c_str(), "re");
  if (!pipe) throw std::system_error{errno, std::generic_category(), "popen"};
  Finished result;
  std::array<char, 4096> buffer{};
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe))
    result.output.append(buffer.data(), n);
  result.status = ::pclose(pipe);
  return result;
}

void mount_bpffs() {
  struct statfs info{};
  if (::statfs(kBpffs, &info) == 0 && info.f_type == BPF_FS_MAGIC) return;
  if (::mount("bpf", kBpffs, "bpf", 0, nullptr) != 0)
    throw std::system_error{errno, std::generic_category(), "mount bpffs"};
}

void enter(const UniqueFd& ns) {
  if (::setns(ns.get(), CLONE_NEWNET) != 0)
    throw std::system_error{errno, std::generic_category(), "setns"};
}

UniqueFd open_namespace(const std::string& path) {
  UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd) throw std::system_error{errno, std::generic_category(), path};
  return fd;
}

}  // namespace

void need_root() {
  if (::geteuid() == 0) return;
  std::puts("skipped: needs root for network namespaces");
  std::exit(77);
}

void run(const std::string& command) {
  static_cast<void>(output_of(command));
}

std::string output_of(const std::string& command) {
  auto finished = finish(command);
  if (finished.status != 0) throw std::runtime_error{command + ": " + finished.output};
  return std::move(finished.output);
}

bool setup_works(const std::string& command) {
  return finish(command).status == 0;
}

Sandbox::Sandbox() {
  need_root();
  name_ = "weirnode-" + std::to_string(::getpid()) + "-" + std::to_string(next_number++);
  links_ = std::string{kBpffs} + "/" + name_;
  before_ = open_namespace("/proc/thread-self/ns/net");
  mount_bpffs();
  run("ip netns add " + name_);
  std::filesystem::create_directory(links_);
  // Not `ip netns exec`: that would hide the bpf file system behind a fresh /sys.
  enter(open_namespace("/run/netns/" + name_));
  run("ip link set lo up");
}

Sandbox::~Sandbox() {
  if (::setns(before_.get(), CLONE_NEWNET) != 0) std::perror("leave sandbox");
  std::error_code ignored;
  std::filesystem::remove_all(links_, ignored);
  finish("ip netns del " + name_);
  for (int i = 0; i < count_; ++i) finish("ip netns del " + name_ + "-" + std::to_string(i));
}

std::string Sandbox::another() {
  const std::string other = name_ + "-" + std::to_string(count_++);
  run("ip netns add " + other);
  return other;
}

std::uint32_t ifindex_of(const std::string& device) {
  return ::if_nametoindex(device.c_str());
}

bool readable(int fd, std::chrono::milliseconds within) {
  pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&watched, 1, static_cast<int>(within.count())) > 0;
}

}  // namespace weir::node
