// SPDX-License-Identifier: Apache-2.0
#include "kernel/link.hpp"

#include <unistd.h>

namespace weir::kernel {
namespace {

Result<std::uint32_t> program_id(int program) {
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  if (const int rc = bpf_obj_get_info_by_fd(program, &info, &size); rc != 0)
    return fail(rc, "read program");
  return info.id;
}

}  // namespace

Result<Outcome> exchange_program(int link, std::uint32_t attached, int program,
                                 const std::string& pin) {
  const auto id = program_id(program);
  if (!id) return std::unexpected{id.error()};
  if (*id == attached) return Outcome::unchanged;
  if (const int rc = bpf_link_update(link, program, nullptr); rc != 0)
    return fail(rc, "put program into link {}", pin);
  return Outcome::updated;
}

Result<> remove_link(int link, const std::string& pin) {
  const int rc = bpf_link_detach(link);
  // ENOLINK: what it was attached to is gone already.
  if (rc != 0 && rc != -ENOLINK) return fail(rc, "detach link {}", pin);
  if (::unlink(pin.c_str()) != 0 && errno != ENOENT) return fail(errno, "remove pin {}", pin);
  return {};
}

}  // namespace weir::kernel
