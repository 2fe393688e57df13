// SPDX-License-Identifier: Apache-2.0
// A pinned BPF link of any kind: opened, given another program, taken off.
#pragma once

#include <bpf/bpf.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "kernel/attach.hpp"

namespace weir::kernel {

// Info: struct bpf_link_info, or as much of it as these headers lack.
template <class Info>
struct Link {
  UniqueFd fd;
  Info info{};
};

// Nothing if there is no such pin.
template <class Info>
Result<std::optional<Link<Info>>> open_link(const std::string& pin) {
  Link<Info> link;
  link.fd = UniqueFd{bpf_obj_get(pin.c_str())};
  if (!link.fd && errno == ENOENT) return std::nullopt;
  if (!link.fd) return fail(errno, "open link {}", pin);
  std::uint32_t size = sizeof link.info;
  if (const int rc = bpf_obj_get_info_by_fd(link.fd.get(), &link.info, &size); rc != 0)
    return fail(rc, "read link {}", pin);
  return link;
}

// Puts `program` in place of the one with the id `attached`, unless it is that one.
Result<Outcome> exchange_program(int link, std::uint32_t attached, int program,
                                 const std::string& pin);

// Off what it is attached to even if somebody else holds the link open, then off the file system.
Result<> remove_link(int link, const std::string& pin);

}  // namespace weir::kernel
