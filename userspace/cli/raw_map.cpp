// SPDX-License-Identifier: Apache-2.0
#include "cli/raw_map.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <numeric>
#include <vector>

namespace weir::cli {
namespace {

constexpr int kNotSupported = 524;  // ENOTSUPP, which the kernel lets out but has in no header

using Buffer = std::vector<unsigned char>;

bool per_cpu(const kernel::MapInfo& info) {
  return info.type == BPF_MAP_TYPE_PERCPU_ARRAY || info.type == BPF_MAP_TYPE_PERCPU_HASH ||
         info.type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

// What one lookup writes: a per-CPU map gives every CPU's value, each in a multiple of 8 bytes.
std::size_t value_length(const kernel::MapInfo& info) {
  if (!per_cpu(info)) return info.value_size;
  return (info.value_size + std::size_t{7}) / 8 * 8 *
         static_cast<std::size_t>(libbpf_num_possible_cpus());
}

// One call for thousands of elements. False if this type of map has no such call.
Result<bool> walk_batches(int fd, const kernel::MapInfo& info, const VisitRaw& visit) {
  std::size_t room = 1024;
  const auto value_size = value_length(info);
  Buffer keys(room * info.key_size), values(room * value_size);
  Buffer in(std::max<std::size_t>(info.key_size, 4)), out(in.size());
  for (bool first = true;; first = false) {
    auto count = static_cast<__u32>(room);
    const int rc = bpf_map_lookup_batch(fd, first ? nullptr : in.data(), out.data(), keys.data(),
                                        values.data(), &count, nullptr);
    if (first && (rc == -kNotSupported || rc == -EOPNOTSUPP || rc == -EINVAL)) return false;
    if (rc == -ENOSPC) {  // one bucket holds more than the batch
      room *= 2;
      keys.resize(room * info.key_size);
      values.resize(room * value_size);
      continue;
    }
    if (rc != 0 && rc != -ENOENT) return fail(rc, "walk map {}", info.name);
    for (std::size_t i = 0; i < count; ++i)
      visit(Bytes{keys}.subspan(i * info.key_size, info.key_size),
            Bytes{values}.subspan(i * value_size, value_size));
    if (rc == -ENOENT) return true;
    in = out;
  }
}

Result<> walk_singly(int fd, const kernel::MapInfo& info, const VisitRaw& visit) {
  Buffer key(info.key_size), next(info.key_size), value(value_length(info));
  for (bool first = true;; first = false) {
    const int rc = bpf_map_get_next_key(fd, first ? nullptr : key.data(), next.data());
    if (rc == -ENOENT) return {};
    if (rc != 0) return fail(rc, "walk map {}", info.name);
    key = next;
    if (bpf_map_lookup_elem(fd, key.data(), value.data()) == 0) visit(key, value);
  }
}

}  // namespace

Result<> walk(int fd, const kernel::MapInfo& info, const VisitRaw& visit) {
  if (info.key_size == 0) return fail("map {} has no keys to walk", info.name);
  auto batched = walk_batches(fd, info, visit);
  if (!batched) return std::unexpected{std::move(batched.error())};
  return *batched ? Result<>{} : walk_singly(fd, info, visit);
}

Result<std::vector<std::uint64_t>> per_cpu_sums(int fd, const kernel::MapInfo& info) {
  if (info.type != BPF_MAP_TYPE_PERCPU_ARRAY || info.value_size != sizeof(std::uint64_t))
    return fail("map {} has another layout (value {} bytes)", info.name, info.value_size);
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return fail(cpus, "count the CPUs");
  std::vector<std::uint64_t> of_cpu(static_cast<std::size_t>(cpus));
  std::vector<std::uint64_t> sums;
  for (__u32 i = 0; i < info.max_entries; ++i) {
    if (const int rc = bpf_map_lookup_elem(fd, &i, of_cpu.data()); rc != 0)
      return fail(rc, "read map {}", info.name);
    sums.push_back(std::accumulate(of_cpu.begin(), of_cpu.end(), std::uint64_t{0}));
  }
  return sums;
}

}  // namespace weir::cli
