// SPDX-License-Identifier: Apache-2.0
#include "cli/text.hpp"

#include <fmt/format.h>
#include <net/if.h>

#include <array>
#include <cstring>

#include "model/address.hpp"

namespace weir::cli {
namespace {

// What another version of the tables may hold is shown as its number, not hidden.
template <std::size_t N>
std::string word(const std::array<const char*, N>& words, std::uint32_t number) {
  return number < N && words[number] ? words[number] : fmt::format("{}", number);
}

}  // namespace

std::string protocol_text(std::uint8_t protocol) {
  switch (protocol) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
    case IPPROTO_SCTP:
      return std::string{to_string(Protocol{protocol})};
    default:
      return fmt::format("{}", protocol);
  }
}

std::string family_text(std::uint8_t family) {
  return family == 4 || family == 6 ? std::string{to_string(Family{family})}
                                    : fmt::format("{}", family);
}

std::string type_text(std::uint8_t type) {
  static constexpr std::array<const char*, 4> kWords{nullptr, "ClusterIP", "NodePort",
                                                     "LoadBalancer"};
  static_assert(WEIR_TYPE_LOAD_BALANCER + 1 == kWords.size());
  return word(kWords, type);
}

std::string frontend_text(std::uint8_t frontend) {
  static constexpr std::array<const char*, 5> kWords{nullptr, "ClusterIP", "NodePort",
                                                     "LoadBalancer", "ExternalIP"};
  static_assert(WEIR_FRONTEND_EXTERNAL_IP + 1 == kWords.size());
  return word(kWords, frontend);
}

std::string backend_state_text(std::uint8_t state) {
  static constexpr std::array<const char*, 4> kWords{"free", "active", "terminating", "gone"};
  static_assert(WEIR_BACKEND_GONE + 1 == kWords.size());
  return word(kWords, state);
}

std::string source_kind_text(std::uint32_t kind) {
  static constexpr std::array<const char*, 3> kWords{nullptr, "manifests", "kubernetes"};
  static_assert(WEIR_SOURCE_KUBERNETES + 1 == kWords.size());
  return word(kWords, kind);
}

std::string source_resource_text(std::uint32_t resource) {
  static constexpr std::array<const char*, 3> kWords{"services", "endpointslices", "node"};
  static_assert(WEIR_SOURCE_MAX == kWords.size());
  return word(kWords, resource);
}

std::string source_state_text(std::uint32_t state) {
  static constexpr std::array<const char*, 4> kWords{"not started", "listing", "watching",
                                                     "retrying"};
  static_assert(WEIR_SOURCE_RETRYING + 1 == kWords.size());
  return word(kWords, state);
}

std::string policy_text(bool local) {
  return local ? "Local" : "Cluster";
}

std::string name_text(const weir_name& name) {
  return std::string{name.text, strnlen(name.text, sizeof name.text)};
}

std::string address_text(const weir_addr& address) {
  return Address{address}.to_string();
}

std::string end_text(const weir_addr& address, __be16 port) {
  return endpoint_text(Address{address}, ntohs(port));
}

std::string mac_text(const __u8 (&mac)[6]) {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac[0], mac[1], mac[2], mac[3],
                     mac[4], mac[5]);
}

std::string device_text(std::uint32_t ifindex) {
  if (ifindex == 0) return {};
  std::array<char, IF_NAMESIZE> name{};
  return if_indextoname(ifindex, name.data()) ? name.data() : fmt::format("if{}", ifindex);
}

}  // namespace weir::cli
