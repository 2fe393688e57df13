// SPDX-License-Identifier: Apache-2.0
#include "source/manifests/pool.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace weir::manifests {
namespace {

constexpr unsigned kMaxHostBits = 32;

unsigned host_bits(const Cidr& cidr) {
  const unsigned bits = cidr.base.family() == Family::ipv4 ? 32 : 128;
  return std::min(bits - cidr.length, kMaxHostBits);
}

// The last four bytes, big-endian; no pool is larger.
std::uint32_t tail_of(const Address& address) {
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &address.raw(), bytes.size());
  std::uint32_t tail = 0;
  for (std::size_t i = 12; i < 16; ++i) tail = tail << 8 | bytes[i];
  return tail;
}

Address with_tail(const Address& address, std::uint32_t tail) {
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &address.raw(), bytes.size());
  for (std::size_t i = 0; i < 4; ++i)
    bytes[15 - i] = static_cast<std::uint8_t>(tail >> (8 * i) & 0xff);
  weir_addr raw{};
  std::memcpy(&raw, bytes.data(), bytes.size());
  return Address{raw};
}

}  // namespace

std::optional<NumberPool::Taken> NumberPool::take(std::uint64_t hash) {
  if (taken_.size() >= size_) return std::nullopt;
  const std::uint64_t wished = hash % size_;
  std::uint64_t number = wished;
  while (!taken_.insert(number).second) number = number + 1 == size_ ? 0 : number + 1;
  return Taken{number, number != wished};
}

AddressPool::AddressPool(const Cidr& cidr) : cidr_{cidr}, numbers_{0} {
  const unsigned bits = host_bits(cidr);
  const bool v4 = cidr.base.family() == Family::ipv4;
  first_ = bits >= 2 ? 1 : 0;
  size_ = (std::uint64_t{1} << bits) - first_ - (v4 && bits >= 2 ? 1 : 0);
  numbers_ = NumberPool{size_};
}

std::optional<std::uint64_t> AddressPool::number_of(const Address& address) const {
  const std::uint64_t tail = tail_of(address);
  const std::uint64_t base = tail_of(cidr_.base);
  // The same in everything but the tail, and the tail within the block.
  if (with_tail(address, 0) != with_tail(cidr_.base, 0) || tail < base + first_)
    return std::nullopt;
  const std::uint64_t number = tail - base - first_;
  return number < size_ ? std::optional{number} : std::nullopt;
}

Address AddressPool::address_of(std::uint64_t number) const {
  return with_tail(cidr_.base, tail_of(cidr_.base) + static_cast<std::uint32_t>(number + first_));
}

void AddressPool::reserve(const Address& address) {
  if (const auto number = number_of(address)) numbers_.reserve(*number);
}

void AddressPool::release(const Address& address) {
  if (const auto number = number_of(address)) numbers_.release(*number);
}

std::optional<AddressPool::Taken> AddressPool::take(std::uint64_t hash) {
  const auto taken = numbers_.take(hash);
  if (!taken) return std::nullopt;
  return Taken{address_of(taken->number), address_of(hash % size_)};
}

}  // namespace weir::manifests
