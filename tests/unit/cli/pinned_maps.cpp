// SPDX-License-Identifier: Apache-2.0
#include "unit/cli/pinned_maps.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "model/address.hpp"

namespace weir::test {
namespace {

constexpr int kSkipped = 77;  // SKIP_RETURN_CODE of weir_add_test

[[noreturn]] void skip(const char* why) {
  fmt::print(stderr, "skipped: {}: {}\n", why,
             std::error_code{errno, std::generic_category()}.message());
  std::_Exit(kSkipped);
}

// Once in the life of the process; undone by its end.
void enter_namespaces() {
  static const bool entered = [] {
    if (unshare(CLONE_NEWNS | CLONE_NEWNET) != 0) skip("make namespaces");
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) skip("separate mounts");
    if (mount("bpf", "/sys/fs/bpf", "bpf", 0, nullptr) != 0) skip("mount a bpf file system");
    return true;
  }();
  static_cast<void>(entered);
}

struct Layout {
  const char* name;
  bpf_map_type type;
  std::uint32_t key;
  std::uint32_t value;
  std::uint32_t entries;
  std::uint32_t flags;
};

constexpr std::array kLayouts{
    Layout{"weir_address", BPF_MAP_TYPE_HASH, sizeof(weir_addr), sizeof(weir_address), kEntries, 0},
    Layout{"weir_filter", BPF_MAP_TYPE_ARRAY, 4, 8, kEntries, BPF_F_MMAPABLE},
    Layout{"weir_port", BPF_MAP_TYPE_ARRAY, 4, 8, kEntries, BPF_F_MMAPABLE},
    Layout{"weir_service", BPF_MAP_TYPE_HASH, sizeof(weir_service_key), sizeof(weir_service),
           kEntries, 0},
    Layout{"weir_current", BPF_MAP_TYPE_ARRAY, 4, 4, kEntries, BPF_F_MMAPABLE},
    Layout{"weir_version", BPF_MAP_TYPE_ARRAY, 4, sizeof(weir_version), kEntries, BPF_F_MMAPABLE},
    Layout{"weir_slot", BPF_MAP_TYPE_ARRAY, 4, sizeof(weir_slot), kEntries, BPF_F_MMAPABLE},
    Layout{"weir_backend", BPF_MAP_TYPE_ARRAY, 4, sizeof(weir_backend), kEntries, BPF_F_MMAPABLE},
    Layout{"weir_affinity", BPF_MAP_TYPE_LRU_HASH, sizeof(weir_affinity_key), sizeof(weir_affinity),
           kEntries, 0},
    Layout{"weir_source_range", BPF_MAP_TYPE_LPM_TRIE, sizeof(weir_range_key), 4, kEntries,
           BPF_F_NO_PREALLOC},
    Layout{"weir_stat", BPF_MAP_TYPE_ARRAY, 4, sizeof(weir_stat), kEntries, BPF_F_MMAPABLE},
    Layout{"weir_config", BPF_MAP_TYPE_ARRAY, 4, sizeof(weir_config), 1, BPF_F_MMAPABLE},
    Layout{"weir_state", BPF_MAP_TYPE_ARRAY, 4, sizeof(weir_state), 1, BPF_F_MMAPABLE},
    Layout{"weir_flow", BPF_MAP_TYPE_HASH, sizeof(weir_flow_key), sizeof(weir_flow), 2 * kEntries,
           0},
    Layout{"weir_half_tcp", BPF_MAP_TYPE_LRU_HASH, sizeof(weir_flow_key), sizeof(weir_flow),
           kEntries, 0},
    Layout{"weir_half_udp", BPF_MAP_TYPE_LRU_HASH, sizeof(weir_flow_key), sizeof(weir_flow),
           kEntries, 0},
    Layout{"weir_expiry", BPF_MAP_TYPE_QUEUE, 0, sizeof(weir_expiry), kEntries, 0},
    Layout{"weir_fragment", BPF_MAP_TYPE_LRU_HASH, sizeof(weir_fragment_key), sizeof(weir_fragment),
           kEntries, 0},
    Layout{"weir_device", BPF_MAP_TYPE_HASH, 4, sizeof(weir_device), kEntries, 0},
    Layout{"weir_counter", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, WEIR_COUNTER_MAX, 0},
    Layout{"weir_name", BPF_MAP_TYPE_HASH, 4, sizeof(weir_name), kEntries, 0},
    Layout{"weir_source", BPF_MAP_TYPE_ARRAY, 4, sizeof(weir_source), WEIR_SOURCE_MAX,
           BPF_F_MMAPABLE},
    Layout{"weir_stream", BPF_MAP_TYPE_ARRAY, 4, sizeof(weir_stream_set), kEntries, 0},
    Layout{"weir_peer", BPF_MAP_TYPE_LRU_HASH, sizeof(weir_socket_key), sizeof(weir_peer), kEntries,
           0},
    Layout{"weir_sticky", BPF_MAP_TYPE_LRU_HASH, sizeof(weir_socket_key), sizeof(weir_sticky),
           kEntries, 0},
    Layout{"weir_xdp_tx", BPF_MAP_TYPE_DEVMAP_HASH, 4, 4, kEntries, 0},
};

// `entries` in place of kEntries.
void make(const kernel::Pins& pins, const Layout& layout, std::uint32_t entries) {
  const bool scaled = layout.entries % kEntries == 0;
  const auto room = scaled ? layout.entries / kEntries * entries : layout.entries;
  bpf_map_create_opts options{};
  options.sz = sizeof options;
  options.map_flags = layout.flags;
  const UniqueFd fd{
      bpf_map_create(layout.type, layout.name, layout.key, layout.value, room, &options)};
  INFO(layout.name);
  if (!fd && errno == EPERM) skip("create a map");
  REQUIRE(fd);
  REQUIRE(bpf_obj_pin(fd.get(), pins.map(layout.name).c_str()) == 0);
}

}  // namespace

PinnedMaps::PinnedMaps(std::uint32_t entries)
    : pins_{fmt::format("/sys/fs/bpf/weircli-{}", getpid())} {
  enter_namespaces();
  REQUIRE(pins_.create());
  for (const auto& layout : kLayouts) make(pins_, layout, entries);
}

PinnedMaps::~PinnedMaps() {
  std::error_code ignored;
  std::filesystem::remove_all(pins_.path(), ignored);
}

void PinnedMaps::put_counter(std::uint32_t index, const std::vector<std::uint64_t>& of_cpu) {
  auto fd = kernel::open_map(pins_, "weir_counter");
  REQUIRE(fd);
  auto values = of_cpu;
  values.resize(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  REQUIRE(bpf_map_update_elem(fd->get(), &index, values.data(), BPF_ANY) == 0);
}

weir_addr address(const std::string& text) {
  const auto parsed = Address::parse(text);
  REQUIRE(parsed);
  return parsed->raw();
}

std::vector<std::string> command(const PinnedMaps& maps, std::vector<std::string> words) {
  words.insert(words.end(), {"--pin-path", maps.pins().path()});
  return words;
}

}  // namespace weir::test
