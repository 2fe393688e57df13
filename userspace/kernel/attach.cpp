// SPDX-License-Identifier: Apache-2.0
// tcx and XDP links. clsact.cpp has the filters.
#include "kernel/attach.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <utility>

#include "base/unique_fd.hpp"
#include "kernel/clsact.hpp"
#include "kernel/compat.hpp"
#include "kernel/link.hpp"

namespace weir::kernel {
namespace {

constexpr std::array<std::pair<Hook, std::string_view>, 5> kHookNames{{
    {Hook::tcx_ingress, "tcx-ingress"},
    {Hook::tcx_egress, "tcx-egress"},
    {Hook::xdp, "xdp"},
    {Hook::clsact_ingress, "clsact-ingress"},
    {Hook::clsact_egress, "clsact-egress"},
}};

constexpr std::size_t kMostPrograms = 64;  // BPF_MPROG_MAX: of one hook of one device

bpf_attach_type attach_type(Hook hook) {
  return hook == Hook::tcx_ingress ? kTcxIngress : kTcxEgress;
}

std::string path_of(const std::string& links, const LinkName& name) {
  return fmt::format("{}/{}", links, name.to_string());
}

// A link's own word (its ifindex) is not enough: the device may have moved to another namespace
// and kept its number. The device of that number here must name the link.
Result<bool> tcx_live(std::uint32_t ifindex, Hook hook, const DeviceLinkInfo& info) {
  if (info.type != kLinkTypeTcx || info.ifindex != ifindex) return false;
  std::array<std::uint32_t, kMostPrograms> programs{};
  std::array<std::uint32_t, kMostPrograms> ids{};
  QueryAttr query;
  query.target_ifindex = ifindex;
  query.attach_type = attach_type(hook);
  query.prog_ids = reinterpret_cast<std::uintptr_t>(programs.data());
  query.link_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  query.count = kMostPrograms;
  if (::syscall(SYS_bpf, BPF_PROG_QUERY, &query, sizeof query) != 0) {
    if (errno == ENODEV) return false;
    return fail(errno, "query {} of device {}", to_string(hook), ifindex);
  }
  const auto end = ids.begin() + std::min<std::ptrdiff_t>(query.count, ids.size());
  return std::find(ids.begin(), end, info.id) != end;
}

struct XdpState {
  bool live = false;
  std::optional<XdpMode> mode;
};

Result<XdpState> xdp_state(std::uint32_t ifindex, const DeviceLinkInfo& info) {
  if (info.type != kLinkTypeXdp || info.ifindex != ifindex) return XdpState{};
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  const int rc = bpf_xdp_query(static_cast<int>(ifindex), 0, &query);
  if (rc == -ENODEV) return XdpState{};
  if (rc != 0) return fail(rc, "query XDP of device {}", ifindex);
  if (info.prog_id == query.drv_prog_id) return XdpState{true, XdpMode::native};
  if (info.prog_id == query.skb_prog_id) return XdpState{true, XdpMode::generic};
  return XdpState{};
}

Result<Outcome> create(int prog_fd, std::uint32_t ifindex, bpf_attach_type type,
                       std::uint32_t flags, const std::string& pin) {
  LIBBPF_OPTS(bpf_link_create_opts, options);
  options.flags = flags;
  UniqueFd fd{bpf_link_create(prog_fd, static_cast<int>(ifindex), type, &options)};
  if (!fd) return fail(errno, "attach to device {}", ifindex);
  // Unpinned, the link ends with its descriptor: nothing stays half attached.
  if (const int rc = bpf_obj_pin(fd.get(), pin.c_str()); rc != 0)
    return fail(rc, "pin link {}", pin);
  return Outcome::attached;
}

// What there is under the name, with `live` found out.
Result<AttachedProgram> describe(const LinkName& name, const DeviceLinkInfo& info) {
  AttachedProgram found{.ifindex = name.ifindex,
                        .hook = name.hook,
                        .link_id = info.id,
                        .prog_id = info.prog_id,
                        .live = false,
                        .xdp_mode = std::nullopt};
  if (name.hook == Hook::xdp) {
    const auto state = xdp_state(name.ifindex, info);
    if (!state) return std::unexpected{state.error()};
    found.live = state->live;
    found.xdp_mode = state->mode;
    return found;
  }
  const auto live = tcx_live(name.ifindex, name.hook, info);
  if (!live) return std::unexpected{live.error()};
  found.live = *live;
  return found;
}

// Adopts the pinned link if it is as wanted, and clears its place if it is not. The result is
// empty if a link has to be made.
Result<std::optional<Outcome>> adopt(const LinkName& name, std::optional<XdpMode> mode, int prog_fd,
                                     const std::string& pin) {
  const auto link = open_link<DeviceLinkInfo>(pin);
  if (!link) return std::unexpected{link.error()};
  if (!*link) return std::nullopt;
  const auto found = describe(name, (*link)->info);
  if (!found) return std::unexpected{found.error()};
  if (found->live && found->xdp_mode == mode)
    return exchange_program((*link)->fd.get(), (*link)->info.prog_id, prog_fd, pin);
  if (auto removed = remove_link((*link)->fd.get(), pin); !removed)
    return std::unexpected{std::move(removed.error())};
  return std::nullopt;
}

Result<std::vector<LinkName>> pinned(const std::string& links) {
  std::vector<LinkName> names;
  std::error_code code;
  for (std::filesystem::directory_iterator at{links, code}, end; !code && at != end;
       at.increment(code)) {
    const auto name = LinkName::parse(at->path().filename().string());
    if (name && name->hook <= Hook::xdp) names.push_back(*name);
  }
  if (code && code != std::errc::no_such_file_or_directory)
    return fail(code.value(), "list links in {}", links);
  std::ranges::sort(names, {}, [](const LinkName& n) { return std::pair{n.ifindex, n.hook}; });
  return names;
}

Result<> detach_link(const LinkName& name, const std::string& links) {
  const std::string pin = path_of(links, name);
  const auto link = open_link<DeviceLinkInfo>(pin);
  if (!link) return std::unexpected{link.error()};
  return *link ? remove_link((*link)->fd.get(), pin) : Result<>{};
}

}  // namespace

std::string_view to_string(Hook hook) {
  for (const auto& [value, name] : kHookNames) {
    if (value == hook) return name;
  }
  return "?";
}

std::string LinkName::to_string() const {
  return fmt::format("{}-{}", ifindex, kernel::to_string(hook));
}

std::optional<LinkName> LinkName::parse(std::string_view text) {
  LinkName name;
  const char* begin = text.data();
  const char* end = begin + text.size();
  const auto [at, error] = std::from_chars(begin, end, name.ifindex);
  if (error != std::errc{} || at == end || *at != '-') return std::nullopt;
  const std::string_view rest{at + 1, end};
  for (const auto& [hook, hook_name] : kHookNames) {
    if (rest == hook_name) {
      name.hook = hook;
      return name;
    }
  }
  return std::nullopt;
}

Result<bool> has_tcx() {
  // r0 = TCX_NEXT; exit
  constexpr std::array<bpf_insn, 2> kProgram{{
      {.code = BPF_ALU64 | BPF_MOV | BPF_K,
       .dst_reg = BPF_REG_0,
       .src_reg = 0,
       .off = 0,
       .imm = -1},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  }};
  UniqueFd program{bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "weir_probe", "Dual BSD/GPL",
                                 kProgram.data(), kProgram.size(), nullptr)};
  if (!program) return fail(errno, "load a program");
  // No device has index 0. A kernel with tcx gets as far as looking for it.
  UniqueFd link{bpf_link_create(program.get(), 0, kTcxIngress, nullptr)};
  if (link || errno == ENODEV) return true;
  if (errno == EINVAL) return false;
  return fail(errno, "look for tcx");
}

Result<Outcome> attach_tcx(int prog_fd, std::uint32_t ifindex, Direction direction,
                           const std::string& links) {
  const bool ingress = direction == Direction::ingress;
  const LinkName name{ifindex, ingress ? Hook::tcx_ingress : Hook::tcx_egress};
  const std::string pin = path_of(links, name);
  auto adopted = adopt(name, std::nullopt, prog_fd, pin);
  if (!adopted) return std::unexpected{std::move(adopted.error())};
  if (*adopted) return **adopted;
  return create(prog_fd, ifindex, attach_type(name.hook), ingress ? kBefore : kAfter, pin);
}

Result<Outcome> attach_xdp(int prog_fd, std::uint32_t ifindex, XdpMode mode,
                           const std::string& links) {
  const LinkName name{ifindex, Hook::xdp};
  const std::string pin = path_of(links, name);
  auto adopted = adopt(name, mode, prog_fd, pin);
  if (!adopted) return std::unexpected{std::move(adopted.error())};
  if (*adopted) return **adopted;
  const std::uint32_t flags = mode == XdpMode::native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  return create(prog_fd, ifindex, BPF_XDP, flags, pin);
}

Result<std::vector<AttachedProgram>> list_links(const std::string& links) {
  const auto names = pinned(links);
  if (!names) return std::unexpected{names.error()};
  std::vector<AttachedProgram> result;
  for (const LinkName& name : *names) {
    const auto link = open_link<DeviceLinkInfo>(path_of(links, name));
    if (!link) return std::unexpected{link.error()};
    if (!*link) continue;  // removed meanwhile
    auto found = describe(name, (*link)->info);
    if (!found) return std::unexpected{std::move(found.error())};
    result.push_back(*found);
  }
  return result;
}

Result<std::vector<AttachedProgram>> list_attached(const std::string& links) {
  auto programs = list_links(links);
  if (!programs) return programs;
  auto filters = list_clsact(links);
  if (!filters) return filters;
  programs->insert(programs->end(), filters->begin(), filters->end());
  return programs;
}

Result<> detach(const LinkName& name, const std::string& links) {
  switch (name.hook) {
    case Hook::clsact_ingress:
      return detach_clsact(name.ifindex, Direction::ingress, links);
    case Hook::clsact_egress:
      return detach_clsact(name.ifindex, Direction::egress, links);
    case Hook::tcx_ingress:
    case Hook::tcx_egress:
    case Hook::xdp:
      return detach_link(name, links);
  }
  return {};
}

Result<std::size_t> detach_gone(const std::string& links,
                                const std::function<bool(std::uint32_t ifindex)>& present) {
  const auto names = pinned(links);
  if (!names) return std::unexpected{names.error()};
  std::size_t count = 0;
  for (const LinkName& name : *names) {
    if (present(name.ifindex)) continue;
    if (auto done = detach_link(name, links); !done)
      return std::unexpected{std::move(done.error())};
    ++count;
  }
  return count;
}

Result<std::size_t> detach_all(const std::string& links) {
  const auto names = pinned(links);
  if (!names) return std::unexpected{names.error()};
  std::vector<LinkName> all = *names;
  std::optional<Error> first;
  if (auto filters = list_clsact(links)) {
    for (const auto& filter : *filters) all.push_back({filter.ifindex, filter.hook});
  } else {
    first = std::move(filters.error());
  }
  std::size_t count = 0;
  for (const LinkName& name : all) {
    if (auto done = detach(name, links))
      ++count;
    else if (!first)
      first = std::move(done.error());
  }
  if (first) return std::unexpected{std::move(*first)};
  return count;
}

}  // namespace weir::kernel
