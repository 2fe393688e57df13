// SPDX-License-Identifier: Apache-2.0
// The smallest programs, and who is attached where, asked of the kernel directly.
#pragma once

#include <bpf/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <vector>

#include "base/unique_fd.hpp"
#include "kernel/compat.hpp"

namespace weir::node {

// Returns `verdict` and does nothing.
inline UniqueFd load(bpf_prog_type type, int verdict) {
  const std::array<bpf_insn, 2> code{{
      {.code = BPF_ALU64 | BPF_MOV | BPF_K,
       .dst_reg = BPF_REG_0,
       .src_reg = 0,
       .off = 0,
       .imm = verdict},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  }};
  UniqueFd fd{
      bpf_prog_load(type, "weirnode_test", "Dual BSD/GPL", code.data(), code.size(), nullptr)};
  if (!fd) throw std::system_error{errno, std::generic_category(), "load test program"};
  return fd;
}

inline UniqueFd load_tc() {
  return load(BPF_PROG_TYPE_SCHED_CLS, -1);
}
inline UniqueFd load_xdp() {
  return load(BPF_PROG_TYPE_XDP, XDP_PASS);
}

inline std::uint32_t id_of(const UniqueFd& program) {
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0)
    throw std::system_error{errno, std::generic_category(), "read test program"};
  return info.id;
}

// Ids of the programs on a tcx hook, in the order in which they run.
inline std::vector<std::uint32_t> in_line(std::uint32_t ifindex, bpf_attach_type type) {
  std::vector<std::uint32_t> ids(64);
  kernel::QueryAttr query;
  query.target_ifindex = ifindex;
  query.attach_type = type;
  query.prog_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  query.count = static_cast<std::uint32_t>(ids.size());
  if (::syscall(SYS_bpf, BPF_PROG_QUERY, &query, sizeof query) != 0)
    throw std::system_error{errno, std::generic_category(), "query"};
  ids.resize(query.count);
  return ids;
}

// Somebody else's program on the hook, for as long as the descriptor is open.
inline UniqueFd stranger(const UniqueFd& program, std::uint32_t ifindex, bpf_attach_type type,
                         std::uint32_t flags = 0) {
  LIBBPF_OPTS(bpf_link_create_opts, options);
  options.flags = flags;
  UniqueFd fd{bpf_link_create(program.get(), static_cast<int>(ifindex), type, &options)};
  if (!fd) throw std::system_error{errno, std::generic_category(), "attach stranger"};
  return fd;
}

}  // namespace weir::node
