// SPDX-License-Identifier: Apache-2.0
#include "cli/cleanup_cmd.hpp"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>

#include "cli/command.hpp"
#include "kernel/attach.hpp"
#include "kernel/cgroup.hpp"
#include "kernel/map.hpp"

namespace weir::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kReserved = "net/ipv4/ip_local_reserved_ports";

// "v1", "v27": the directory of one version of the tables.
bool is_version(const fs::path& path) {
  const auto name = path.filename().string();
  return name.size() > 1 && name[0] == 'v' && name.find_first_not_of("0123456789", 1) == name.npos;
}

Result<std::vector<fs::path>> entries(const fs::path& directory) {
  std::vector<fs::path> paths;
  std::error_code error;
  fs::directory_iterator at{directory, error};
  for (; !error && at != fs::directory_iterator{}; at.increment(error)) paths.push_back(at->path());
  if (error && error != std::errc::no_such_file_or_directory)
    return fail(error.value(), "list {}", directory.string());
  return paths;
}

// A wrong path must not cost anybody files: pins live on a bpf file system only.
Result<bool> exists_on_bpffs(const std::string& path) {
  struct statfs info{};
  if (statfs(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return false;
    return fail(errno, "look at pin path {}", path);
  }
  if (info.f_type != BPF_FS_MAGIC)
    return fail("pin path {}: not on a bpf file system, so nothing is removed", path);
  return true;
}

// Files of a directory, then the directory. How many files.
Result<std::size_t> remove_pins(const fs::path& directory) {
  auto pins = entries(directory);
  if (!pins) return std::unexpected{std::move(pins.error())};
  for (const auto& pin : *pins)
    if (::unlink(pin.c_str()) != 0 && errno != ENOENT)
      return fail(errno, "remove {}", pin.string());
  if (::rmdir(directory.c_str()) != 0 && errno != ENOENT)
    return fail(errno, "remove {}", directory.string());
  return pins->size();
}

Result<> add_to(std::size_t& sum, Result<std::size_t> count) {
  if (!count) return std::unexpected{std::move(count.error())};
  sum += *count;
  return {};
}

// What is in `ports` and not in `taken`.
std::vector<node::PortRange> without(const std::vector<node::PortRange>& ports,
                                     const std::vector<node::PortRange>& taken) {
  std::vector<node::PortRange> left;
  const auto within = [](const std::vector<node::PortRange>& ranges, unsigned port) {
    return std::ranges::any_of(
        ranges, [&](const auto& range) { return range.first <= port && port <= range.last; });
  };
  for (unsigned i = 1; i <= 65'535; ++i) {
    const auto port = static_cast<std::uint16_t>(i);
    if (within(ports, port) && !within(taken, port)) left.push_back({port, port});
  }
  return node::joined(std::move(left));
}

// The agent has reserved the source ports that local sockets could be given too (see
// node::reserve_ports). Which of them somebody else had reserved before, nobody knows any more.
Result<> release_ports(const kernel::Pins& pins, const Cleanup& how, Removed& removed) {
  const auto config = kernel::MappedArray<weir_config>::open(pins, "weir_config", false);
  if (!config) return {};  // half cleaned up before, or never complete
  std::vector<node::PortRange> source;
  for (const auto& range : (*config)[0].source_ports)
    if (range.count != 0)
      source.push_back({range.first, static_cast<std::uint16_t>(range.first + range.count - 1)});
  const auto local = node::local_port_range(how.sysctl_path);
  if (!local) return std::unexpected{local.error()};
  const auto text = node::read_sysctl(kReserved, how.sysctl_path);
  if (!text) return std::unexpected{text.error()};
  const auto reserved = node::parse_ports(*text);
  if (!reserved) return std::unexpected{reserved.error()};

  const auto ours = node::common(*reserved, node::common(source, {*local}));
  if (ours.empty()) return {};
  removed.reserved_ports = node::format_ports(ours);
  return node::write_sysctl(kReserved, node::format_ports(without(*reserved, ours)),
                            how.sysctl_path);
}

// Programs come off first: none must run on while the tables that others share with it go.
Result<> remove_version(const fs::path& root, Removed& removed) {
  if (auto done = add_to(removed.attachments, kernel::detach_cgroup(root / "links")); !done)
    return done;
  if (auto done = add_to(removed.attachments, kernel::detach_all(root / "links")); !done)
    return done;
  std::size_t links = 0;  // detached already
  if (auto done = add_to(links, remove_pins(root / "links")); !done) return done;
  if (auto done = add_to(removed.programs, remove_pins(root / "programs")); !done) return done;
  if (auto done = add_to(removed.maps, remove_pins(root / "maps")); !done) return done;
  if (::rmdir(root.c_str()) != 0 && errno != ENOENT) return fail(errno, "remove {}", root.string());
  return {};
}

Result<UniqueFd> take_lock(const kernel::Pins& pins, bool force) {
  auto lock = pins.lock();
  if (lock || force) return lock ? std::move(lock) : Result<UniqueFd>{UniqueFd{}};
  if (lock.error().code() == std::errc::operation_would_block)
    return fail("pin path {}: an agent is running on it; stop it first, or give --force",
                pins.path());
  return lock;
}

Result<> remove_versions(const kernel::Pins& pins, const Cleanup& how, Removed& removed) {
  auto lock = take_lock(pins, how.force);  // held, so that no agent starts meanwhile
  if (!lock) return std::unexpected{std::move(lock.error())};
  if (auto done = release_ports(pins, how, removed); !done) return done;
  auto roots = entries(pins.path());
  if (!roots) return std::unexpected{std::move(roots.error())};
  for (const auto& root : *roots) {
    if (!is_version(root)) continue;
    if (auto done = remove_version(root, removed); !done) return done;
  }
  // The path may be somebody's mount point, or hold other things: then it stays.
  if (::rmdir(pins.path().c_str()) != 0 && errno != EBUSY && errno != ENOTEMPTY && errno != ENOENT)
    return fail(errno, "remove {}", pins.path());
  return {};
}

}  // namespace

Result<Removed> clean_up(const kernel::Pins& pins, const Cleanup& how) {
  Removed removed;
  auto there = exists_on_bpffs(pins.path());
  if (!there) return std::unexpected{std::move(there.error())};
  if (*there)
    if (auto done = remove_versions(pins, how, removed); !done)
      return std::unexpected{std::move(done.error())};
  // clsact filters are pinned nowhere: they may be there with the path long gone.
  if (auto done = add_to(removed.attachments, kernel::detach_all(pins.links())); !done)
    return std::unexpected{std::move(done.error())};
  return removed;
}

void add_cleanup_command(CLI::App& app, Shared& shared) {
  auto* cleanup =
      add_command(app, {.name = "cleanup",
                        .description = "Remove every trace of weir; traffic to Services ends",
                        .example = "weir cleanup"});
  auto how = std::make_shared<Cleanup>();
  cleanup->add_flag("--force", how->force, "Also while an agent is running");
  cleanup->add_option("--sysctl-path", how->sysctl_path, "As `weir run` was given it")
      ->option_text("DIR");
  prints(*cleanup, shared, "clean up", [how](const kernel::Pins& pins) -> Result<Value> {
    auto removed = clean_up(pins, *how);
    if (!removed) return std::unexpected{std::move(removed.error())};
    Object object;
    object.add("attachments_removed", Cell{removed->attachments});
    object.add("programs_removed", Cell{removed->programs});
    object.add("maps_removed", Cell{removed->maps});
    object.add("reserved_ports_released", Cell{removed->reserved_ports});
    return object;
  });
}

}  // namespace weir::cli
