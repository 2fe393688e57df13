// SPDX-License-Identifier: Apache-2.0
#include "kernel/address_filter.hpp"

#include <atomic>
#include <vector>

namespace weir::kernel {
namespace {

struct Place {
  std::uint32_t word;
  std::uint64_t mask;
};

Place place(const weir_addr& address, std::uint32_t bits) {
  const auto slot = static_cast<std::uint32_t>(weir_filter_slot(&address));
  return {.word = slot / 8, .mask = (std::uint64_t{bits} & 0xff) << slot % 8 * 8};
}

Result<MappedArray<__u64>> open_words(const Pins& pins, std::string_view name, std::uint32_t size) {
  auto words = MappedArray<__u64>::open(pins, name, true);
  if (words && words->size() != size)
    return fail("map {} has {} words, not {}", name, words->size(), size);
  return words;
}

}  // namespace

Result<AddressFilter> AddressFilter::open(const Pins& pins) {
  auto words = open_words(pins, "weir_filter", WEIR_FILTER_WORDS);
  if (!words) return std::unexpected{std::move(words.error())};
  return AddressFilter{std::move(*words)};
}

void AddressFilter::add(const weir_addr& address, std::uint32_t bits) {
  const auto at = place(address, bits);
  std::atomic_ref<__u64>{words_[at.word]}.fetch_or(at.mask, std::memory_order_release);
  ++held_;
}

Result<> AddressFilter::rebuild(const Map<weir_addr, weir_address>& addresses) {
  std::vector<std::uint64_t> wanted(words_.size());
  std::uint32_t held = 0;
  auto walked = addresses.for_each([&](const weir_addr& key, const weir_address& value) {
    const auto at = place(key, value.bits);
    wanted[at.word] |= at.mask;
    ++held;
  });
  if (!walked) return walked;
  for (std::uint32_t i = 0; i < words_.size(); ++i)
    if (words_[i] != wanted[i])
      std::atomic_ref<__u64>{words_[i]}.store(wanted[i], std::memory_order_release);
  held_ = held;
  removed_ = 0;
  return {};
}

Result<KnownPorts> KnownPorts::open(const Pins& pins) {
  auto words = open_words(pins, "weir_port", WEIR_PORT_WORDS);
  if (!words) return std::unexpected{std::move(words.error())};
  return KnownPorts{std::move(*words)};
}

void KnownPorts::add(std::uint16_t port) {
  std::atomic_ref<__u64>{words_[port / 64U]}.fetch_or(1ULL << port % 64, std::memory_order_release);
}

void KnownPorts::add(const weir_port_range& range) {
  for (std::uint32_t i = 0; i < range.count; ++i) add(static_cast<std::uint16_t>(range.first + i));
}

}  // namespace weir::kernel
