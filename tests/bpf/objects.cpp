// SPDX-License-Identifier: Apache-2.0
#include "bpf/objects.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string_view>
#include <vector>

#include "weir_expiry.skel.h"
#include "weir_tc.skel.h"
#include "weir_xdp.skel.h"

namespace weir::test {
namespace {

constexpr std::uint32_t kArrayEntries = 128;  // cleared one by one before each test

// Kept until the process ends: there is nothing to free them for.
struct Loaded {
  weir_xdp_bpf* xdp{};
  weir_tc_bpf* tc{};
  weir_expiry_bpf* expiry{};
};

Loaded& loaded() {
  static Loaded objects;
  return objects;
}

std::map<std::string, std::uint32_t>& sizes() {
  static std::map<std::string, std::uint32_t> entries;
  return entries;
}

[[noreturn]] void give_up(const char* what, const char* which) {
  std::fprintf(stderr, "objects: %s %s: %s\n", what, which, std::strerror(errno));
  std::exit(EXIT_FAILURE);
}

template <class Skeleton>
Skeleton* opened(const char* name) {
  Skeleton* skeleton = Skeleton::open(nullptr);
  if (skeleton == nullptr) give_up("open", name);
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton->obj) {
    if (bpf_map__set_pin_path(map, nullptr) != 0) give_up("keep unpinned", bpf_map__name(map));
    const bool array = bpf_map__type(map) == BPF_MAP_TYPE_ARRAY;
    if (array && bpf_map__max_entries(map) > kArrayEntries &&
        bpf_map__set_max_entries(map, kArrayEntries) != 0)
      give_up("size", bpf_map__name(map));
    const auto size = sizes().find(bpf_map__name(map));
    if (size != sizes().end() && bpf_map__set_max_entries(map, size->second) != 0)
      give_up("size", bpf_map__name(map));
  }
  return skeleton;
}

// Maps that both have become those of `first`.
void share_maps(const bpf_object* first, bpf_object* second) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, second) {
    const bpf_map* shared = bpf_object__find_map_by_name(first, bpf_map__name(map));
    if (shared == nullptr || bpf_map__is_internal(map)) continue;
    if (bpf_map__reuse_fd(map, bpf_map__fd(shared)) != 0) give_up("share", bpf_map__name(map));
  }
}

void clear_hash(int fd, std::size_t key_size) {
  std::vector<unsigned char> key(key_size);
  while (bpf_map_get_next_key(fd, nullptr, key.data()) == 0)
    if (bpf_map_delete_elem(fd, key.data()) != 0) give_up("clear", "a hash map");
}

void clear_array(int fd, std::uint32_t entries, std::size_t value_size) {
  const auto cpus = static_cast<std::size_t>(libbpf_num_possible_cpus());
  const std::vector<unsigned char> zeros((value_size + 7) / 8 * 8 * cpus);
  for (std::uint32_t i = 0; i < entries; ++i) bpf_map_update_elem(fd, &i, zeros.data(), 0);
}

void clear_queue(int fd, std::size_t value_size) {
  std::vector<unsigned char> value(value_size);
  while (bpf_map_lookup_and_delete_elem(fd, nullptr, value.data()) == 0) {
  }
}

// Both filters let everything through to the tables, but for a test that sets them.
bool is_filter(const std::string_view name) {
  return name == "weir_filter" || name == "weir_port";
}

void open_filter(int fd, std::uint32_t entries) {
  const std::uint64_t all = ~std::uint64_t{0};
  for (std::uint32_t i = 0; i < entries; ++i) bpf_map_update_elem(fd, &i, &all, 0);
}

void clear_map(const bpf_map* map) {
  const int fd = bpf_map__fd(map);
  if (is_filter(bpf_map__name(map))) return open_filter(fd, bpf_map__max_entries(map));
  switch (bpf_map__type(map)) {
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_LRU_HASH:
    case BPF_MAP_TYPE_DEVMAP_HASH:
    case BPF_MAP_TYPE_LPM_TRIE:
      return clear_hash(fd, bpf_map__key_size(map));
    case BPF_MAP_TYPE_ARRAY:
    case BPF_MAP_TYPE_PERCPU_ARRAY:
      return clear_array(fd, bpf_map__max_entries(map), bpf_map__value_size(map));
    case BPF_MAP_TYPE_QUEUE:
      return clear_queue(fd, bpf_map__value_size(map));
    default:
      give_up("no way to clear", bpf_map__name(map));
  }
}

}  // namespace

Objects& Objects::get() {
  static Objects objects;
  return objects;
}

void Objects::resize(const std::string& map, std::uint32_t entries) {
  sizes()[map] = entries;
}

Objects::Objects() {
  auto& all = loaded();
  all.xdp = opened<weir_xdp_bpf>("weir_xdp");
  if (weir_xdp_bpf::load(all.xdp) != 0) give_up("load", "weir_xdp");
  all.tc = opened<weir_tc_bpf>("weir_tc");
  share_maps(all.xdp->obj, all.tc->obj);
  if (weir_tc_bpf::load(all.tc) != 0) give_up("load", "weir_tc");
  all.expiry = opened<weir_expiry_bpf>("weir_expiry");
  share_maps(all.xdp->obj, all.expiry->obj);
  if (weir_expiry_bpf::load(all.expiry) != 0) give_up("load", "weir_expiry");
}

int Objects::program(Hook hook) const {
  const auto& all = loaded();
  const std::array programs{all.xdp->progs.weir_xdp,   all.tc->progs.weir_up_in,
                            all.tc->progs.weir_up_out, all.tc->progs.weir_l3_in,
                            all.tc->progs.weir_l3_out, all.tc->progs.weir_pod_in,
                            all.tc->progs.weir_pod_out};
  return bpf_program__fd(programs.at(static_cast<std::size_t>(hook)));
}

int Objects::arm_program() const {
  return bpf_program__fd(loaded().expiry->progs.weir_expiry_arm);
}

int Objects::map(const std::string& name) const {
  for (const auto* object : {loaded().xdp->obj, loaded().tc->obj, loaded().expiry->obj})
    if (const auto* map = bpf_object__find_map_by_name(object, name.c_str()))
      return bpf_map__fd(map);
  give_up("no map", name.c_str());
}

void Objects::clear() {
  const bpf_map* map = nullptr;
  bpf_object__for_each_map(map, loaded().xdp->obj) {
    if (!bpf_map__is_internal(map)) clear_map(map);
  }
  clear_queue(this->map("weir_expiry"), sizeof(weir_expiry));
  clear_map(bpf_object__find_map_by_name(loaded().tc->obj, "weir_icmp"));  // its own
}

}  // namespace weir::test
