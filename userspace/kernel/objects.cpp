// SPDX-License-Identifier: Apache-2.0
#include "kernel/objects.hpp"

#include <arpa/inet.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <type_traits>

#include "base/log.hpp"
#include "kernel/owned.hpp"
#include "weir_expiry.skel.h"
#include "weir_sock.skel.h"
#include "weir_tc.skel.h"
#include "weir_trace.skel.h"
#include "weir_trace_xdp.skel.h"
#include "weir_xdp.skel.h"

namespace weir::kernel {
namespace {

constexpr std::array<std::string_view, 20> kPrograms{
    "weir_xdp",      "weir_up_in",      "weir_up_out",   "weir_l3_in",      "weir_l3_out",
    "weir_pod_in",   "weir_pod_out",    "weir_connect4", "weir_connect6",   "weir_sendmsg4",
    "weir_sendmsg6", "weir_recvmsg4",   "weir_recvmsg6", "weir_peername4",  "weir_peername6",
    "weir_release",  "weir_expiry_arm", "weir_trace_tc", "weir_trace_host", "weir_trace_xdp"};

// Room of the queue beyond the flows that the datapath admits: see flow_push() in bpf/lib/half.h.
constexpr std::uint32_t kQueueSlack = 1024;

int to_log(libbpf_print_level level, const char* format, va_list arguments) {
  if (!log::enabled(log::Level::debug)) return 0;
  std::array<char, 8192> line{};
  std::vsnprintf(line.data(), line.size(), format, arguments);
  std::string_view text{line.data()};
  while (text.ends_with('\n')) text.remove_suffix(1);
  log::debug("libbpf{}: {}", level == LIBBPF_WARN ? " warning" : "", text);
  return 0;
}

// FNV-1a, 64 bits: names a build, protects against nothing.
std::uint64_t add_hash(std::uint64_t hash, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
  return hash;
}

std::uint64_t objects_hash() {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const auto bytes :
       {weir_tc_bpf::elf_bytes, weir_xdp_bpf::elf_bytes, weir_sock_bpf::elf_bytes,
        weir_expiry_bpf::elf_bytes, weir_trace_bpf::elf_bytes, weir_trace_xdp_bpf::elf_bytes}) {
    std::size_t size = 0;
    const void* object = bytes(&size);
    hash = add_hash(hash, object, size);
  }
  return hash;
}

// The option that gives a map its size, for a person.
std::string_view size_option(std::string_view map) {
  if (map == "weir_backend") return "--max-backends";
  if (map == "weir_slot") return "--max-slots";
  if (map == "weir_flow" || map == "weir_expiry") return "--max-flows";
  if (map == "weir_half_tcp" || map == "weir_half_udp") return "--max-half-open";
  if (map == "weir_affinity") return "--max-affinities";
  return "--max-services";
}

// Maps of an earlier run, in other sizes, cannot be grown; say so before libbpf says EINVAL.
Result<> check_sizes(const Pins& pins, const Limits& limits) {
  for (const auto& [name, size] : map_sizes(limits)) {
    UniqueFd fd{bpf_obj_get(pins.map(name).c_str())};
    if (!fd && errno == ENOENT) continue;
    if (!fd) return fail(errno, "open map {}", pins.map(name));
    auto info = map_info(fd.get());
    if (!info) return std::unexpected{std::move(info.error())};
    if (info->max_entries != size)
      return fail(
          "map {} has room for {} entries, {} asks for {}: it keeps its size until "
          "`weir cleanup`",
          name, info->max_entries, size_option(name), size);
  }
  return {};
}

Result<> set_sizes(bpf_object* object, const Limits& limits) {
  for (const auto& [name, size] : map_sizes(limits)) {
    bpf_map* map = bpf_object__find_map_by_name(object, name.c_str());
    if (!map) continue;
    if (const int rc = bpf_map__set_max_entries(map, size); rc != 0)
      return fail(rc, "size map {}", name);
  }
  return {};
}

// A program under a pin: replaced in one step if there is one already.
Result<> pin_program(const Pins& pins, const bpf_program* program) {
  const std::string path = pins.program(bpf_program__name(program));
  const std::string fresh = path + "_new";  // bpffs keeps dots in names to itself
  ::unlink(fresh.c_str());
  if (const int rc = bpf_obj_pin(bpf_program__fd(program), fresh.c_str()); rc != 0)
    return fail(rc, "pin {}", path);
  if (std::rename(fresh.c_str(), path.c_str()) != 0) return fail(errno, "pin {}", path);
  return {};
}

// A devmap is pinned by us: see bpf/lib/send_xdp.h.
constexpr const char* kDevmap = "weir_xdp_tx";

Result<> reuse_devmap(const Pins& pins, bpf_object* object) {
  bpf_map* map = bpf_object__find_map_by_name(object, kDevmap);
  if (!map) return {};
  const UniqueFd pinned{bpf_obj_get(pins.map(kDevmap).c_str())};
  if (!pinned) return errno == ENOENT ? Result<>{} : fail(errno, "open map {}", pins.map(kDevmap));
  if (const int rc = bpf_map__reuse_fd(map, pinned.get()); rc != 0)
    return fail(rc, "take over map {}", kDevmap);
  return {};
}

Result<> pin_devmap(const Pins& pins, bpf_object* object) {
  const bpf_map* map = bpf_object__find_map_by_name(object, kDevmap);
  if (!map) return {};
  const int rc = bpf_obj_pin(bpf_map__fd(map), pins.map(kDevmap).c_str());
  if (rc != 0 && rc != -EEXIST) return fail(rc, "pin map {}", kDevmap);
  return {};
}

template <class Skeleton>
Result<OwnedSkeleton<Skeleton>> load_object(const Pins& pins, const Limits& limits,
                                            std::string_view name) {
  const std::string maps = pins.maps();
  bpf_object_open_opts options{};
  options.sz = sizeof options;
  options.pin_root_path = maps.c_str();
  OwnedSkeleton<Skeleton> skeleton{Skeleton::open(&options)};
  if (!skeleton) return fail(errno, "open object {}", name);
  if (auto ok = set_sizes(skeleton->obj, limits); !ok)
    return std::unexpected{std::move(ok.error())};
  if (auto ok = reuse_devmap(pins, skeleton->obj); !ok)
    return std::unexpected{std::move(ok.error())};
  if (const int rc = Skeleton::load(skeleton.get()); rc != 0)
    return fail(rc, "load object {} into the kernel (--log-level debug shows the kernel's log)",
                name);
  if (auto ok = pin_devmap(pins, skeleton->obj); !ok) return std::unexpected{std::move(ok.error())};
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton->obj) {
    if (auto ok = pin_program(pins, program); !ok) return std::unexpected{std::move(ok.error())};
  }
  return skeleton;
}

Result<> load_all(const Pins& pins, const Limits& limits) {
  if (auto ok = load_object<weir_tc_bpf>(pins, limits, "weir_tc"); !ok)
    return std::unexpected{std::move(ok.error())};
  if (auto ok = load_object<weir_xdp_bpf>(pins, limits, "weir_xdp"); !ok)
    return std::unexpected{std::move(ok.error())};
  if (auto ok = load_object<weir_sock_bpf>(pins, limits, "weir_sock"); !ok)
    return std::unexpected{std::move(ok.error())};
  if (auto ok = load_object<weir_expiry_bpf>(pins, limits, "weir_expiry"); !ok)
    return std::unexpected{std::move(ok.error())};
  if (auto ok = load_object<weir_trace_bpf>(pins, limits, "weir_trace"); !ok)
    return std::unexpected{std::move(ok.error())};
  if (auto ok = load_object<weir_trace_xdp_bpf>(pins, limits, "weir_trace_xdp"); !ok)
    return std::unexpected{std::move(ok.error())};
  return {};
}

template <class T>
void set_if_other(T& field, std::type_identity_t<T> value) {
  if (field != value) field = value;  // mapped memory: an equal store is a store all the same
}

// Seconds as the datapath counts them, rounded up (WEIR_TICK_SHIFT).
std::uint32_t to_ticks(std::chrono::seconds time) {
  const auto ns = static_cast<std::uint64_t>(std::chrono::nanoseconds{time}.count());
  return static_cast<std::uint32_t>((ns + (1ULL << WEIR_TICK_SHIFT) - 1) >> WEIR_TICK_SHIFT);
}

weir_block to_block(const Cidr& cidr) {
  weir_block block{.base = cidr.base.raw(), .mask = {}};
  for (unsigned word = 0; word < 4; ++word) {
    const unsigned bits = std::clamp(cidr.mapped_length(), 32 * word, 32 * word + 32) - 32 * word;
    block.mask.word[word] = bits == 0 ? 0 : htonl(~__u32{0} << (32 - bits));
  }
  return block;
}

// At index 0 the one of IPv4.
weir_block block_of(const std::vector<Cidr>& blocks, std::size_t index) {
  const Family family = index == 0 ? Family::ipv4 : Family::ipv6;
  const auto found =
      std::ranges::find(blocks, family, [](const Cidr& block) { return block.base.family(); });
  return found == blocks.end() ? weir_block{} : to_block(*found);
}

Result<> configure(weir_config& config, const Limits& limits, const DatapathSettings& settings) {
  if (config.seed == 0 && getrandom(&config.seed, sizeof config.seed, 0) != sizeof config.seed)
    return fail(errno, "draw a hash seed");
  set_if_other(config.max_flows, limits.flows);
  for (std::size_t i = 0; i < std::size(config.source_ports); ++i) {
    const auto range =
        i < settings.source_ports.size() ? settings.source_ports[i] : weir_port_range{};
    set_if_other(config.source_ports[i].first, range.first);
    set_if_other(config.source_ports[i].count, range.count);
  }
  set_if_other(config.life_tcp, to_ticks(settings.life_tcp));
  set_if_other(config.life_tcp_half_closed, to_ticks(settings.life_tcp_half_closed));
  set_if_other(config.life_tcp_closing, to_ticks(settings.life_tcp_closing));
  set_if_other(config.life_udp, to_ticks(settings.life_udp));
  set_if_other(config.life_half, to_ticks(settings.life_half));
  set_if_other(config.netns, settings.netns);
  for (std::size_t i = 0; i < std::size(config.service_blocks); ++i)
    if (const auto block = block_of(settings.service_blocks, i);
        std::memcmp(&config.service_blocks[i], &block, sizeof block) != 0)
      config.service_blocks[i] = block;
  return {};
}

// Runs the program that arms the collector's timer, once.
Result<> arm_expiry(int program) {
  std::array<unsigned char, 64> frame{};  // the kernel wants a packet, the program does not
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = frame.data();
  options.data_size_in = frame.size();
  if (const int rc = bpf_prog_test_run_opts(program, &options); rc != 0)
    return fail(rc, "arm the collector of flows");
  if (options.retval != 0) return fail("arm the collector of flows: refused ({})", options.retval);
  return {};
}

// The timer runs by itself every 10 ms; one that has stood for a second is not armed.
bool expiry_stands(const weir_state& state) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const auto ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
                  static_cast<std::uint64_t>(now.tv_nsec);
  return state.expiry_last + 1'000'000'000 < ns;
}

}  // namespace

std::map<std::string, std::uint32_t> map_sizes(const Limits& limits) {
  return {
      {"weir_address", limits.addresses},
      {"weir_service", limits.frontends},
      {"weir_current", limits.services},
      {"weir_version", 2 * limits.services},
      {"weir_slot", limits.slots},
      {"weir_backend", limits.backends},
      {"weir_name", limits.services},
      {"weir_stat", limits.services},
      {"weir_affinity", limits.affinities},
      {"weir_source_range", limits.ranges},
      {"weir_device", WEIR_MAX_DEVICES},
      {"weir_flow", 2 * limits.flows},
      {"weir_half_tcp", limits.half_open},
      {"weir_half_udp", limits.half_open},
      {"weir_expiry", limits.flows + kQueueSlack},
  };
}

Result<> bpf_allowed() {
  // No file has this name: whoever may ask is told so.
  const UniqueFd none{bpf_obj_get("")};
  if (!none && errno == EPERM)
    return fail(
        "bpf() is forbidden: by a seccomp profile that is older than CAP_BPF, or a security "
        "module");
  return {};
}

Result<UniqueFd> open_program(const Pins& pins, std::string_view name) {
  UniqueFd fd{bpf_obj_get(pins.program(name).c_str())};
  if (!fd) return fail(errno, "open program {}", pins.program(name));
  return fd;
}

Result<ProgramNames> program_names(const Pins& pins) {
  ProgramNames names;
  for (const auto name : kPrograms) {
    const UniqueFd fd{bpf_obj_get(pins.program(name).c_str())};
    if (!fd && errno == ENOENT) continue;
    bpf_prog_info info{};
    __u32 length = sizeof info;
    if (!fd || bpf_obj_get_info_by_fd(fd.get(), &info, &length) != 0)
      return fail(errno, "read program {}", pins.program(name));
    names.emplace(info.id, name);
  }
  return names;
}

Result<Objects> Objects::load(const Pins& pins, const Limits& limits,
                              const DatapathSettings& settings) {
  libbpf_set_print(to_log);
  if (auto ok = check_sizes(pins, limits); !ok) return std::unexpected{std::move(ok.error())};

  const std::uint64_t wanted = objects_hash();
  Objects objects;
  if (auto config = MappedArray<weir_config>::open(pins, "weir_config", false); config)
    objects.adopted_ = (*config)[0].programs == wanted;
  if (!objects.adopted_) {
    if (auto ok = load_all(pins, limits); !ok) return std::unexpected{std::move(ok.error())};
  }
  for (const auto name : kPrograms) {
    auto fd = open_program(pins, name);
    if (!fd) return std::unexpected{std::move(fd.error())};
    objects.programs_.emplace(name, std::move(*fd));
  }

  auto config = MappedArray<weir_config>::open(pins, "weir_config", true);
  if (!config) return std::unexpected{std::move(config.error())};
  if (auto ok = configure((*config)[0], limits, settings); !ok)
    return std::unexpected{std::move(ok.error())};
  auto state = MappedArray<weir_state>::open(pins, "weir_state", false);
  if (!state) return std::unexpected{std::move(state.error())};
  if (!objects.adopted_ || expiry_stands((*state)[0])) {
    if (auto ok = arm_expiry(objects.program("weir_expiry_arm")); !ok)
      return std::unexpected{std::move(ok.error())};
  }
  // Last: an agent that died before this loads again.
  set_if_other((*config)[0].programs, wanted);
  return objects;
}

int Objects::program(std::string_view name) const {
  const auto found = programs_.find(name);
  return found == programs_.end() ? -1 : found->second.get();
}

}  // namespace weir::kernel
