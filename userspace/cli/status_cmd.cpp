// SPDX-License-Identifier: Apache-2.0
#include "cli/status_cmd.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <ctime>

#include "cli/command.hpp"
#include "cli/map_info.hpp"
#include "cli/source_status.hpp"
#include "cli/text.hpp"
#include "cli/version.hpp"
#include "kernel/attach.hpp"
#include "kernel/cgroup.hpp"
#include "kernel/map.hpp"
#include "kernel/objects.hpp"

namespace weir::cli {
namespace {

// The timer fires every 10 ms; a busy machine may hold it up for longer, but not for seconds.
constexpr std::uint64_t kStalledNs = 2'000'000'000;

Result<bool> anything_pinned(const kernel::Pins& pins) {
  struct stat info{};
  if (stat(pins.maps().c_str(), &info) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return fail(errno, "look at {}", pins.maps());
}

Cell mode(const kernel::AttachedProgram& program) {
  if (!program.xdp_mode) return {};
  return program.xdp_mode == kernel::XdpMode::native ? "native" : "generic";
}

Cell name_of(const kernel::ProgramNames& names, std::uint32_t id) {
  const auto found = names.find(id);
  return found == names.end() ? std::string{} : found->second;
}

Result<Listing> list_attachments(const kernel::Pins& pins, const kernel::ProgramNames& names) {
  const auto programs = kernel::list_attached(pins.links());
  if (!programs) return std::unexpected{programs.error()};

  Listing listing{
      .columns = {"interface", "ifindex", "hook", "mode", "program", "program_id", "live"},
      .rows = {}};
  for (const auto& program : *programs)
    listing.rows.push_back({device_text(program.ifindex), std::uint64_t{program.ifindex},
                            std::string{to_string(program.hook)}, mode(program),
                            name_of(names, program.prog_id), std::uint64_t{program.prog_id},
                            program.live});
  return listing;
}

Result<Listing> list_host_edge(const kernel::Pins& pins, const kernel::ProgramNames& names) {
  auto programs = kernel::list_cgroup(pins.links());
  if (!programs) return std::unexpected{std::move(programs.error())};
  Listing listing{.columns = {"hook", "program", "program_id", "cgroup_id", "live"}, .rows = {}};
  for (const auto& program : *programs)
    listing.rows.push_back(
        {program.hook, name_of(names, program.prog_id), std::uint64_t{program.prog_id},
         program.cgroup == 0 ? Cell{} : Cell{program.cgroup}, program.cgroup != 0});
  return listing;
}

Result<Listing> list_tables(const kernel::Pins& pins) {
  auto maps = read_maps(pins);
  if (!maps) return std::unexpected{std::move(maps.error())};
  Listing listing{.columns = {"table", "entries", "max_entries", "bytes"}, .rows = {}};
  for (const auto& map : *maps)
    listing.rows.push_back({map.info.name, map.entries ? Cell{*map.entries} : Cell{},
                            std::uint64_t{map.info.max_entries}, map.bytes});
  return listing;
}

std::uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

Result<Object> describe_expiry(const kernel::Pins& pins) {
  const auto array = kernel::MappedArray<weir_state>::open(pins, "weir_state", false);
  if (!array) return std::unexpected{array.error()};
  const weir_state state = (*array)[0];
  const auto now = monotonic_ns();
  const auto ago = now > state.expiry_last ? now - state.expiry_last : 0;
  Object object;
  object.add("timer", Cell{state.expiry_runs == 0 ? "never ran"
                           : ago > kStalledNs     ? "stalled"
                                                  : "running"});
  Cell last_run;  // assigned and not chosen: gcc 12 at -O2 takes the choice for uninitialized
  if (state.expiry_runs != 0) last_run = ago / 1'000'000;
  object.add("last_run_ms_ago", std::move(last_run));
  object.add("longest_run_us", Cell{state.expiry_longest / 1000});
  object.add("runs", Cell{state.expiry_runs});
  object.add("flows_checked", Cell{state.expiry_checked});
  object.add("flows_collected", Cell{state.expiry_deleted});
  return object;
}

Result<> add_tables(const kernel::Pins& pins, Object& status) {
  auto source = describe_source(pins);
  if (!source) return std::unexpected{std::move(source.error())};
  status.add("source", std::move(*source));
  const auto names = kernel::program_names(pins);
  if (!names) return std::unexpected{names.error()};
  auto attachments = list_attachments(pins, *names);
  if (!attachments) return std::unexpected{std::move(attachments.error())};
  status.add("attachments", std::move(*attachments));
  auto host_edge = list_host_edge(pins, *names);
  if (!host_edge) return std::unexpected{std::move(host_edge.error())};
  status.add("host_edge", std::move(*host_edge));
  auto tables = list_tables(pins);
  if (!tables) return std::unexpected{std::move(tables.error())};
  status.add("tables", std::move(*tables));
  auto expiry = describe_expiry(pins);
  if (!expiry) return std::unexpected{std::move(expiry.error())};
  status.add("expiry", std::move(*expiry));
  return {};
}

}  // namespace

Result<Object> read_status(const kernel::Pins& pins) {
  auto pinned = anything_pinned(pins);
  if (!pinned) return std::unexpected{std::move(pinned.error())};
  Result<bool> agent = false;
  if (*pinned) agent = pins.locked();
  if (!agent) return std::unexpected{std::move(agent.error())};

  Object status;
  status.add("version", Cell{kVersion});
  status.add("abi", Cell{std::uint64_t{WEIR_ABI_VERSION}});
  status.add("pin_path", Cell{pins.path()});
  status.add("agent_running", Cell{*agent});
  status.add("tables_pinned", Cell{*pinned});
  if (*pinned)
    if (auto done = add_tables(pins, status); !done)
      return std::unexpected{std::move(done.error())};
  return status;
}

void add_status_command(CLI::App& app, Shared& shared) {
  auto* status = add_command(
      app, {.name = "status",
            .description = "Agent, its source, attached programs, fill of the tables, expiry",
            .example = "weir status\nweir status -o json"});
  prints(*status, shared, "show status", [](const kernel::Pins& pins) -> Result<Value> {
    auto object = read_status(pins);
    if (!object) return std::unexpected{std::move(object.error())};
    return std::move(*object);
  });
}

}  // namespace weir::cli
