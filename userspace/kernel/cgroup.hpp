// SPDX-License-Identifier: Apache-2.0
// The host edge: programs on a cgroup, for the sockets of its processes. Links, pinned beside those
// of devices, so that they outlive the agent. Many may be on one cgroup: each agent of a machine
// has its own there. What is as wanted already is found out by reading only.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "kernel/attach.hpp"

namespace weir::kernel {

struct SocketHook {
  std::string_view name;     // "connect4"; its pin is "cgroup-connect4"
  std::string_view program;  // "weir_connect4"
  int type;                  // bpf_attach_type
};

// In the order in which they are put on: a process that is sent to a backend must find that its
// answers are translated back.
const std::array<SocketHook, 9>& socket_hooks();

// Where cgroup v2 is mounted, from the text of /proc/mounts, in its order.
std::vector<std::string> find_cgroup2(std::string_view mounts);

struct Cgroup {
  std::string path;
  std::uint64_t id = 0;  // the kernel's number, as in the information about a link
  [[nodiscard]] bool is_root() const { return id == 1; }
};

// The cgroup at this path, or without one the root of cgroup v2, wherever this process sees it. In
// a cgroup namespace of its own a container has a mount too, whose top is the container's own
// cgroup: that one is never chosen by itself. ENOENT: cgroup v2 is not mounted.
Result<Cgroup> find_cgroup(const std::string& path = {});

// The kernel's name for the network namespace of the calling thread; never 0.
Result<std::uint64_t> netns_cookie();

using ProgramOf = std::function<int(std::string_view name)>;  // descriptor

// Puts all programs on the cgroup, or none: after an error nothing stays attached. The outcome is
// that of the most that had to be done to any of them.
Result<Outcome> attach_cgroup(const std::string& cgroup, const ProgramOf& program,
                              const std::string& links);

// A pinned link to a cgroup.
struct SocketProgram {
  std::string hook;
  std::uint32_t prog_id = 0;
  std::uint64_t cgroup = 0;  // id; 0: the cgroup is gone, and nothing is attached any more
  friend bool operator==(const SocketProgram&, const SocketProgram&) = default;
};

// In the order of socket_hooks(). A directory that is not there holds none.
Result<std::vector<SocketProgram>> list_cgroup(const std::string& links);

// Takes off all of them, link and pin; goes on after a failure and returns the first. How many.
Result<std::size_t> detach_cgroup(const std::string& links);

}  // namespace weir::kernel
