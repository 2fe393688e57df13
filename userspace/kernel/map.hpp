// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/abi.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "kernel/pins.hpp"

namespace weir::kernel {

struct MapInfo {
  std::string name;
  std::uint32_t type = 0;  // enum bpf_map_type
  std::uint32_t key_size = 0;
  std::uint32_t value_size = 0;
  std::uint32_t max_entries = 0;
};

Result<MapInfo> map_info(int fd);
// Opens <pins>/maps/<name>. "weir is not running here" reads better than ENOENT: see the .cpp.
Result<UniqueFd> open_map(const Pins& pins, std::string_view name);

// A typed map that owns its descriptor. Values of a hash are copied out whole.
template <MapData Key, MapData Value>
class Map {
 public:
  static Result<Map> open(const Pins& pins, std::string_view name) {
    auto fd = open_map(pins, name);
    if (!fd) return std::unexpected{std::move(fd.error())};
    return of(std::move(*fd), name);
  }

  // `name` is for messages: the kernel keeps 15 characters of it.
  static Result<Map> of(UniqueFd fd, std::string_view name = {}) {
    auto info = map_info(fd.get());
    if (!info) return std::unexpected{std::move(info.error())};
    if (!name.empty()) info->name = name;
    // Against a pinned map of another build, a wrong size is a torn read.
    if (info->key_size != sizeof(Key) || info->value_size != sizeof(Value))
      return fail("map {} has another layout (key {}, value {} bytes)", info->name, info->key_size,
                  info->value_size);
    return Map{std::move(fd), std::move(*info)};
  }

  Result<> put(const Key& key, const Value& value, std::uint64_t flags = BPF_ANY) {
    if (const int rc = bpf_map_update_elem(fd_.get(), &key, &value, flags); rc != 0)
      return fail(rc, "write map {}", info_.name);
    return {};
  }

  // Of a hash, in order. After an error, some of them may have been written.
  Result<> put_all(const std::vector<Key>& keys, const std::vector<Value>& values) {
    auto count = static_cast<std::uint32_t>(keys.size());
    if (const int rc = bpf_map_update_batch(fd_.get(), keys.data(), values.data(), &count, nullptr);
        rc != 0)
      return fail(rc, "write map {}", info_.name);
    return {};
  }

  [[nodiscard]] Result<std::optional<Value>> find(const Key& key) const {
    Value value{};
    const int rc = bpf_map_lookup_elem(fd_.get(), &key, &value);
    if (rc == -ENOENT) return std::nullopt;
    if (rc != 0) return fail(rc, "read map {}", info_.name);
    return value;
  }

  // Removing what is not there is no error.
  Result<> erase(const Key& key) {
    if (const int rc = bpf_map_delete_elem(fd_.get(), &key); rc != 0 && rc != -ENOENT)
      return fail(rc, "delete from map {}", info_.name);
    return {};
  }

  // Every element once, by batches of 4096; elements that come or go meanwhile may be missed.
  Result<> for_each(const std::function<void(const Key&, const Value&)>& visit) const {
    constexpr std::uint32_t kBatch = 4096;
    std::vector<Key> keys(kBatch);
    std::vector<Value> values(kBatch);
    // The cursor of a hash is a bucket number and of an array a key: 4 bytes, or a key's size.
    std::vector<unsigned char> in(std::max(sizeof(Key), sizeof(std::uint32_t)));
    std::vector<unsigned char> out(in.size());
    for (bool first = true;; first = false) {
      std::uint32_t count = static_cast<std::uint32_t>(keys.size());
      const int rc = bpf_map_lookup_batch(fd_.get(), first ? nullptr : in.data(), out.data(),
                                          keys.data(), values.data(), &count, nullptr);
      if (rc == -ENOSPC) {  // one bucket holds more than the batch: take a larger one
        keys.resize(keys.size() * 2);
        values.resize(keys.size());
        continue;
      }
      if (rc != 0 && rc != -ENOENT) return fail(rc, "walk map {}", info_.name);
      for (std::uint32_t i = 0; i < count; ++i) visit(keys[i], values[i]);
      if (rc == -ENOENT) return {};
      in = out;
    }
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const MapInfo& info() const { return info_; }

 private:
  Map(UniqueFd fd, MapInfo info) : fd_{std::move(fd)}, info_{std::move(info)} {}

  UniqueFd fd_;
  MapInfo info_;
};

// Elements of a BPF_F_MMAPABLE array as plain memory, shared with the kernel half.
// The kernel needs a writable descriptor for a writable view.
template <MapData Value>
class MappedArray {
 public:
  static Result<MappedArray> open(const Pins& pins, std::string_view name, bool writable);
  static Result<MappedArray> of(UniqueFd fd, bool writable);
  MappedArray(MappedArray&& other) noexcept
      : fd_{std::move(other.fd_)},
        info_{std::move(other.info_)},
        at_{std::exchange(other.at_, nullptr)},
        mapped_{other.mapped_},
        writable_{other.writable_} {}
  MappedArray& operator=(MappedArray other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(info_, other.info_);
    std::swap(at_, other.at_);
    std::swap(mapped_, other.mapped_);
    std::swap(writable_, other.writable_);
    return *this;
  }
  ~MappedArray();

  [[nodiscard]] std::uint32_t size() const { return info_.max_entries; }
  // Only the first elements from now on, or more again: what is mapped counts as this process's
  // memory, touched or not. References to elements do not outlive this.
  Result<> window(std::uint32_t elements);
  [[nodiscard]] std::uint32_t mapped() const { return mapped_; }
  // The array stores each value in a multiple of 8 bytes.
  [[nodiscard]] Value& operator[](std::uint32_t index) {
    return *reinterpret_cast<Value*>(static_cast<unsigned char*>(at_) + index * stride());
  }
  [[nodiscard]] const Value& operator[](std::uint32_t index) const {
    return *reinterpret_cast<const Value*>(static_cast<const unsigned char*>(at_) +
                                           index * stride());
  }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  MappedArray(UniqueFd fd, MapInfo info, void* at, bool writable)
      : fd_{std::move(fd)},
        info_{std::move(info)},
        at_{at},
        mapped_{info_.max_entries},
        writable_{writable} {}
  static constexpr std::size_t stride() { return (sizeof(Value) + 7) / 8 * 8; }

  UniqueFd fd_;
  MapInfo info_;
  void* at_ = nullptr;
  std::uint32_t mapped_ = 0;
  bool writable_ = false;
};

// The first elements of the map, or an error if it is no such array.
Result<void*> map_memory(int fd, const MapInfo& info, std::size_t value_size,
                         std::uint32_t elements, bool writable);
void unmap_memory(void* at, const MapInfo& info, std::uint32_t elements);

template <MapData Value>
Result<MappedArray<Value>> MappedArray<Value>::of(UniqueFd fd, bool writable) {
  auto info = map_info(fd.get());
  if (!info) return std::unexpected{std::move(info.error())};
  auto at = map_memory(fd.get(), *info, sizeof(Value), info->max_entries, writable);
  if (!at) return std::unexpected{std::move(at.error())};
  return MappedArray{std::move(fd), std::move(*info), *at, writable};
}

template <MapData Value>
Result<MappedArray<Value>> MappedArray<Value>::open(const Pins& pins, std::string_view name,
                                                    bool writable) {
  auto fd = open_map(pins, name);
  if (!fd) return std::unexpected{std::move(fd.error())};
  return of(std::move(*fd), writable);
}

template <MapData Value>
MappedArray<Value>::~MappedArray() {
  if (at_) unmap_memory(at_, info_, mapped_);
}

template <MapData Value>
Result<> MappedArray<Value>::window(std::uint32_t elements) {
  elements = std::clamp(elements, 1U, size());
  auto at = map_memory(fd_.get(), info_, sizeof(Value), elements, writable_);
  if (!at) return std::unexpected{std::move(at.error())};
  unmap_memory(std::exchange(at_, *at), info_, std::exchange(mapped_, elements));
  return {};
}

}  // namespace weir::kernel
