// SPDX-License-Identifier: Apache-2.0
// weir_filter and weir_port: what lets most packets pass without a look at the tables.
#pragma once

#include <cstdint>
#include <utility>

#include "kernel/map.hpp"

namespace weir::kernel {

class AddressFilter {
 public:
  static Result<AddressFilter> open(const Pins& pins);

  // Before the address is put: a packet that the filter lets pass is not looked at again.
  void add(const weir_addr& address, std::uint32_t bits);
  // After an address was erased. Its bits stay, which is only slow, until there are too many such.
  void removed() {
    ++removed_;
    if (held_ > 0) --held_;
  }
  [[nodiscard]] bool stale() const { return removed_ > kRemovedAtLeast + held_ / 4; }

  // Leaves the bits of the addresses that are there.
  Result<> rebuild(const Map<weir_addr, weir_address>& addresses);

 private:
  static constexpr std::uint32_t kRemovedAtLeast = 1024;

  explicit AddressFilter(MappedArray<__u64> words) : words_{std::move(words)} {}

  MappedArray<__u64> words_;
  std::uint32_t held_ = 0;
  std::uint32_t removed_ = 0;
};

// Only ever grows: see the ABI.
class KnownPorts {
 public:
  static Result<KnownPorts> open(const Pins& pins);

  // Before anything is kept for that port of the node's addresses. Host order.
  void add(std::uint16_t port);
  void add(const weir_port_range& range);

 private:
  explicit KnownPorts(MappedArray<__u64> words) : words_{std::move(words)} {}

  MappedArray<__u64> words_;
};

}  // namespace weir::kernel
