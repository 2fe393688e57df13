// SPDX-License-Identifier: Apache-2.0
#include "kernel/clsact.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <libmnl/libmnl.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>

namespace weir::kernel {
namespace {

// Filters run by ascending priority.
constexpr std::uint32_t kFirst = 1;
constexpr std::uint32_t kLast = 65535;

// libbpf prints the kernel's word on every request that fails, also where failing is an answer.
class Quiet {
 public:
  Quiet() : before_{libbpf_set_print(nullptr)} {}
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
  ~Quiet() { libbpf_set_print(before_); }

 private:
  libbpf_print_fn_t before_;
};

std::optional<dev_t> file_system(const std::filesystem::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return info.st_dev;
}

// Where that is in its file system: that may be mounted elsewhere for others, as in a container.
std::string within_file_system(const std::filesystem::path& path) {
  auto root = path;
  while (root.has_relative_path()) {
    const auto here = file_system(root);
    if (here && here != file_system(root.parent_path())) break;
    root = root.parent_path();
  }
  return path.lexically_relative(root);
}

// Filters have no pins: whose they are is told by their handle, which is the pin path's, so that
// nobody takes another's away. FNV-1a; 0 would be no handle.
std::uint32_t handle_of(const std::string& links) {
  std::error_code ignored;
  const auto pins = std::filesystem::weakly_canonical(links, ignored).parent_path().parent_path();
  std::uint32_t hash = 0x811c9dc5;
  for (const char byte : within_file_system(pins))
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x01000193;
  return hash == 0 ? 1 : hash;
}

bpf_tc_hook hook_of(std::uint32_t ifindex, Direction direction) {
  return {.sz = sizeof(bpf_tc_hook),
          .ifindex = static_cast<int>(ifindex),
          .attach_point = direction == Direction::ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS,
          .parent = 0};
}

bpf_tc_opts options_of(std::uint32_t handle, Direction direction) {
  bpf_tc_opts options{};
  options.sz = sizeof options;
  options.handle = handle;
  options.priority = direction == Direction::ingress ? kFirst : kLast;
  return options;
}

Result<> make_qdisc(std::uint32_t ifindex) {
  auto hook = hook_of(ifindex, Direction::ingress);
  hook.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
  const int rc = bpf_tc_hook_create(&hook);
  if (rc != 0 && rc != -EEXIST) return fail(rc, "make clsact on device {}", ifindex);
  return {};
}

// Id of the program in the filter of that handle, or nothing.
Result<std::optional<std::uint32_t>> filter_program(std::uint32_t handle, std::uint32_t ifindex,
                                                    Direction direction) {
  const auto hook = hook_of(ifindex, direction);
  auto options = options_of(handle, direction);
  const int rc = bpf_tc_query(&hook, &options);
  // No such filter; no qdisc; no device.
  if (rc == -ENOENT || rc == -EINVAL || rc == -ENODEV) return std::nullopt;
  if (rc != 0) return fail(rc, "query clsact of device {}", ifindex);
  return options.prog_id;
}

struct CloseSocket {
  void operator()(mnl_socket* socket) const noexcept {
    static_cast<void>(mnl_socket_close(socket));
  }
};

int count_filter(const nlmsghdr* message, void* count) {
  if (message->nlmsg_type == RTM_NEWTFILTER) ++*static_cast<unsigned*>(count);
  return MNL_CB_OK;
}

// Whether any filter is on that side of the device's clsact, whoever made it.
Result<bool> has_filters(std::uint32_t ifindex, Direction direction) {
  alignas(nlmsghdr) std::array<char, 32 * 1024> buffer{};
  const std::unique_ptr<mnl_socket, CloseSocket> socket{
      mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC)};
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) != 0)
    return fail(errno, "open netlink socket");
  auto* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = RTM_GETTFILTER;
  request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  auto* header = static_cast<tcmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(tcmsg)));
  header->tcm_ifindex = static_cast<int>(ifindex);
  header->tcm_parent =
      TC_H_MAKE(TC_H_CLSACT, direction == Direction::ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
  if (mnl_socket_sendto(socket.get(), request, request->nlmsg_len) < 0)
    return fail(errno, "list filters of device {}", ifindex);
  unsigned count = 0;
  for (int more = MNL_CB_OK; more > MNL_CB_STOP;) {
    const auto length = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    if (length < 0) return fail(errno, "list filters of device {}", ifindex);
    more = mnl_cb_run(buffer.data(), static_cast<std::size_t>(length), 0, 0, count_filter, &count);
    if (more == MNL_CB_ERROR) return fail(errno, "list filters of device {}", ifindex);
  }
  return count > 0;
}

Result<> remove_qdisc_if_empty(std::uint32_t ifindex) {
  for (const Direction direction : {Direction::ingress, Direction::egress}) {
    const auto any = has_filters(ifindex, direction);
    if (!any) return std::unexpected{any.error()};
    if (*any) return {};
  }
  auto hook = hook_of(ifindex, Direction::ingress);
  hook.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
  const int rc = bpf_tc_hook_destroy(&hook);
  if (rc != 0 && rc != -ENOENT && rc != -EINVAL && rc != -ENODEV)
    return fail(rc, "remove clsact of device {}", ifindex);
  return {};
}

}  // namespace

Result<Outcome> attach_clsact(int prog_fd, std::uint32_t ifindex, Direction direction,
                              const std::string& links) {
  const Quiet quiet;
  const auto handle = handle_of(links);
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  if (const int rc = bpf_obj_get_info_by_fd(prog_fd, &info, &size); rc != 0)
    return fail(rc, "read program");
  const auto present = filter_program(handle, ifindex, direction);
  if (!present) return std::unexpected{present.error()};
  if (*present && **present == info.id) return Outcome::unchanged;
  if (auto made = make_qdisc(ifindex); !made) return std::unexpected{std::move(made.error())};
  const auto hook = hook_of(ifindex, direction);
  auto options = options_of(handle, direction);
  options.prog_fd = prog_fd;
  options.flags = *present ? BPF_TC_F_REPLACE : 0;
  if (const int rc = bpf_tc_attach(&hook, &options); rc != 0)
    return fail(rc, "attach filter to device {}", ifindex);
  return *present ? Outcome::updated : Outcome::attached;
}

Result<std::vector<AttachedProgram>> list_clsact(const std::string& links) {
  const Quiet quiet;
  const auto handle = handle_of(links);
  const std::unique_ptr<struct if_nameindex, void (*)(struct if_nameindex*)> devices{
      if_nameindex(), if_freenameindex};
  if (!devices) return fail(errno, "list devices");
  std::vector<AttachedProgram> result;
  for (const auto* device = devices.get(); device->if_index != 0; ++device) {
    for (const Direction direction : {Direction::ingress, Direction::egress}) {
      const auto program = filter_program(handle, device->if_index, direction);
      if (!program) return std::unexpected{program.error()};
      if (!*program) continue;
      const bool ingress = direction == Direction::ingress;
      result.push_back({.ifindex = device->if_index,
                        .hook = ingress ? Hook::clsact_ingress : Hook::clsact_egress,
                        .link_id = 0,
                        .prog_id = **program,
                        .live = true,
                        .xdp_mode = std::nullopt});
    }
  }
  return result;
}

Result<> detach_clsact(std::uint32_t ifindex, Direction direction, const std::string& links) {
  const Quiet quiet;
  const auto handle = handle_of(links);
  const auto present = filter_program(handle, ifindex, direction);
  if (!present) return std::unexpected{present.error()};
  if (!*present) return {};
  const auto hook = hook_of(ifindex, direction);
  const auto options = options_of(handle, direction);
  const int rc = bpf_tc_detach(&hook, &options);
  if (rc != 0 && rc != -ENOENT) return fail(rc, "remove filter of device {}", ifindex);
  return remove_qdisc_if_empty(ifindex);
}

}  // namespace weir::kernel
