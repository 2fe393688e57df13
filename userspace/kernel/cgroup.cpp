// SPDX-License-Identifier: Apache-2.0
#include "kernel/cgroup.hpp"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <ranges>
#include <utility>

#include "base/log.hpp"
#include "base/unique_fd.hpp"
#include "kernel/link.hpp"

namespace weir::kernel {
namespace {

std::string path_of(const std::string& links, const SocketHook& hook) {
  return fmt::format("{}/cgroup-{}", links, hook.name);
}

// A link to a cgroup always allows others beside it (BPF_F_ALLOW_MULTI).
Result<Outcome> attach_one(int cgroup, std::uint64_t id, const SocketHook& hook, int program,
                           const std::string& pin) {
  const auto old = open_link<bpf_link_info>(pin);
  if (!old) return std::unexpected{old.error()};
  if (*old) {
    if ((*old)->info.type == BPF_LINK_TYPE_CGROUP && (*old)->info.cgroup.cgroup_id == id)
      return exchange_program((*old)->fd.get(), (*old)->info.prog_id, program, pin);
    if (auto removed = remove_link((*old)->fd.get(), pin); !removed)
      return std::unexpected{std::move(removed.error())};
  }
  const UniqueFd fd{
      bpf_link_create(program, cgroup, static_cast<bpf_attach_type>(hook.type), nullptr)};
  if (!fd) return fail(errno, "attach {}", hook.name);
  if (const int rc = bpf_obj_pin(fd.get(), pin.c_str()); rc != 0)
    return fail(rc, "pin link {}", pin);
  return Outcome::attached;
}

Result<bool> detach_one(const std::string& pin) {
  const auto link = open_link<bpf_link_info>(pin);
  if (!link) return std::unexpected{link.error()};
  if (!*link) return false;
  if (auto removed = remove_link((*link)->fd.get(), pin); !removed)
    return std::unexpected{std::move(removed.error())};
  return true;
}

// The kernel writes a blank in a path as "\040".
std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool octal = text[i] == '\\' && i + 3 < text.size();
    if (!octal) {
      plain += text[i];
      continue;
    }
    plain +=
        static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
    i += 3;
  }
  return plain;
}

Result<Cgroup> look_at(const std::string& path) {
  struct statfs file_system{};
  struct stat info{};
  if (::statfs(path.c_str(), &file_system) != 0 || ::stat(path.c_str(), &info) != 0)
    return fail(errno, "look at cgroup {}", path);
  if (file_system.f_type != CGROUP2_SUPER_MAGIC) return fail("{}: no cgroup of cgroup v2", path);
  return Cgroup{.path = path, .id = info.st_ino};
}

}  // namespace

const std::array<SocketHook, 9>& socket_hooks() {
  static constexpr std::array<SocketHook, 9> kHooks{{
      {"sock_release", "weir_release", BPF_CGROUP_INET_SOCK_RELEASE},
      {"getpeername4", "weir_peername4", BPF_CGROUP_INET4_GETPEERNAME},
      {"getpeername6", "weir_peername6", BPF_CGROUP_INET6_GETPEERNAME},
      {"recvmsg4", "weir_recvmsg4", BPF_CGROUP_UDP4_RECVMSG},
      {"recvmsg6", "weir_recvmsg6", BPF_CGROUP_UDP6_RECVMSG},
      {"sendmsg4", "weir_sendmsg4", BPF_CGROUP_UDP4_SENDMSG},
      {"sendmsg6", "weir_sendmsg6", BPF_CGROUP_UDP6_SENDMSG},
      {"connect4", "weir_connect4", BPF_CGROUP_INET4_CONNECT},
      {"connect6", "weir_connect6", BPF_CGROUP_INET6_CONNECT},
  }};
  return kHooks;
}

std::vector<std::string> find_cgroup2(std::string_view mounts) {
  std::vector<std::string> found;
  for (const auto part : std::views::split(mounts, '\n')) {
    const std::string_view line{part.begin(), part.end()};
    std::array<std::string_view, 3> fields;  // what, where, kind
    std::size_t at = 0;
    for (auto& field : fields) {
      const auto end = std::min(line.find(' ', at), line.size());
      field = line.substr(at, end - at);
      at = std::min(end + 1, line.size());
    }
    if (fields[2] == "cgroup2") found.push_back(unescaped(fields[1]));
  }
  return found;
}

Result<Cgroup> find_cgroup(const std::string& path) {
  if (!path.empty()) return look_at(path);
  std::ifstream file{"/proc/mounts"};
  if (!file) return fail(errno, "read /proc/mounts");
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  const auto mounts = find_cgroup2(text);
  if (mounts.empty()) return fail(ENOENT, "cgroup v2 is not mounted");
  for (const auto& mount : mounts)
    if (auto cgroup = look_at(mount); cgroup && cgroup->is_root()) return cgroup;
  return fail("{} is not the root of the node's cgroup v2, which in a container has to be mounted",
              fmt::join(mounts, ", "));
}

Result<std::uint64_t> netns_cookie() {
  const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (!fd || ::getsockopt(fd.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) != 0)
    return fail(errno, "ask for the network namespace's cookie");
  return cookie;
}

Result<Outcome> attach_cgroup(const std::string& cgroup, const ProgramOf& program,
                              const std::string& links) {
  const auto found = look_at(cgroup);
  if (!found) return std::unexpected{found.error()};
  const UniqueFd fd{::open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd) return fail(errno, "open cgroup {}", cgroup);
  auto most = Outcome::unchanged;
  for (const auto& hook : socket_hooks()) {
    auto done = attach_one(fd.get(), found->id, hook, program(hook.program), path_of(links, hook));
    if (!done) {
      // Half of it would be worse than nothing.
      if (auto off = detach_cgroup(links); !off) log::warning("{}", off.error().message());
      return fail(std::move(done.error()), "cgroup {}", cgroup);
    }
    most = std::max(most, *done);
  }
  return most;
}

Result<std::vector<SocketProgram>> list_cgroup(const std::string& links) {
  std::vector<SocketProgram> found;
  for (const auto& hook : socket_hooks()) {
    const auto link = open_link<bpf_link_info>(path_of(links, hook));
    if (!link) return std::unexpected{link.error()};
    if (!*link) continue;
    found.push_back({.hook = std::string{hook.name},
                     .prog_id = (*link)->info.prog_id,
                     .cgroup = (*link)->info.cgroup.cgroup_id});
  }
  return found;
}

Result<std::size_t> detach_cgroup(const std::string& links) {
  std::size_t count = 0;
  std::optional<Error> first;
  // Those that send processes to backends go first.
  for (const auto& hook : std::views::reverse(socket_hooks())) {
    auto done = detach_one(path_of(links, hook));
    if (done)
      count += *done ? 1 : 0;
    else if (!first)
      first = std::move(done.error());
  }
  if (first) return std::unexpected{std::move(*first)};
  return count;
}

}  // namespace weir::kernel
