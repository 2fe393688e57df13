// SPDX-License-Identifier: Apache-2.0
#include "kernel/map.hpp"

#include <sys/mman.h>

namespace weir::kernel {
namespace {

// As the kernel lays out an mmapable array: kernel/bpf/arraymap.c, array_map_alloc().
std::size_t mapped_length(const MapInfo& info, std::uint32_t elements) {
  const std::size_t stride = (info.value_size + 7) / 8 * 8;
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (stride * elements + page - 1) / page * page;
}

}  // namespace

Result<MapInfo> map_info(int fd) {
  bpf_map_info raw{};
  __u32 length = sizeof raw;
  if (const int rc = bpf_obj_get_info_by_fd(fd, &raw, &length); rc != 0)
    return fail(rc, "ask for a map's layout");
  return MapInfo{.name = raw.name,
                 .type = raw.type,
                 .key_size = raw.key_size,
                 .value_size = raw.value_size,
                 .max_entries = raw.max_entries};
}

Result<UniqueFd> open_map(const Pins& pins, std::string_view name) {
  UniqueFd fd{bpf_obj_get(pins.map(name).c_str())};
  if (fd) return fd;
  if (errno == ENOENT && !pins.exist())
    return fail(errno, "weir has not run on pin path {}", pins.path());
  return fail(errno, "open map {}", pins.map(name));
}

Result<void*> map_memory(int fd, const MapInfo& info, std::size_t value_size,
                         std::uint32_t elements, bool writable) {
  if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != value_size)
    return fail("map {} has another layout (value {} bytes)", info.name, info.value_size);
  void* at = mmap(nullptr, mapped_length(info, elements),
                  writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return fail(errno, "map {} into memory", info.name);
  return at;
}

void unmap_memory(void* at, const MapInfo& info, std::uint32_t elements) {
  munmap(at, mapped_length(info, elements));
}

}  // namespace weir::kernel
