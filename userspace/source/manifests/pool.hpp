// SPDX-License-Identifier: Apache-2.0
// Addresses and node ports to give away, and which of them are gone.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_set>

#include "model/address.hpp"

namespace weir::manifests {

// Numbers 0 to size-1, taken by probing on from a hash.
class NumberPool {
 public:
  struct Taken {
    std::uint64_t number = 0;
    bool moved = false;  // the first choice was taken
  };

  explicit NumberPool(std::uint64_t size) : size_{size} {}
  void reserve(std::uint64_t number) {
    if (number < size_) taken_.insert(number);
  }
  void release(std::uint64_t number) { taken_.erase(number); }
  std::optional<Taken> take(std::uint64_t hash);

 private:
  std::uint64_t size_;
  std::unordered_set<std::uint64_t> taken_;
};

// The usable addresses of a block: neither network nor broadcast address, nor IPv6's
// subnet-router anycast address, unless the block is too small to have any (RFC 3021, RFC 6164).
// Of a large IPv6 block, the first 2^32 only: enough, and the addresses stay readable.
class AddressPool {
 public:
  explicit AddressPool(const Cidr& cidr);
  [[nodiscard]] const Cidr& cidr() const { return cidr_; }
  void reserve(const Address& address);
  void release(const Address& address);
  struct Taken {
    Address address;
    Address wished;
  };
  std::optional<Taken> take(std::uint64_t hash);

 private:
  [[nodiscard]] std::optional<std::uint64_t> number_of(const Address& address) const;
  [[nodiscard]] Address address_of(std::uint64_t number) const;

  Cidr cidr_;
  std::uint64_t first_ = 0;
  std::uint64_t size_ = 0;
  NumberPool numbers_;
};

}  // namespace weir::manifests
