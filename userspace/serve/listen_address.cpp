// SPDX-License-Identifier: Apache-2.0
#include "serve/listen_address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>

namespace weir::serve {
namespace {

constexpr int kBacklog = 512;

// The last four bytes of an IPv4-mapped address.
in_addr ipv4_part(const weir_addr& raw) {
  in_addr part{};
  part.s_addr = raw.word[3];
  return part;
}

socklen_t fill(const ListenAddress& at, int family, sockaddr_storage& to) {
  if (family == AF_INET) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(at.port);
    if (!at.address.is_unspecified()) in.sin_addr = ipv4_part(at.address.raw());
    std::memcpy(&to, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(at.port);
  if (!at.address.is_unspecified())
    std::memcpy(&in6.sin6_addr, &at.address.raw(), sizeof in6.sin6_addr);
  std::memcpy(&to, &in6, sizeof in6);
  return sizeof in6;
}

Result<UniqueFd> listen_with(const ListenAddress& at, int family) {
  UniqueFd fd{socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd) return fail(errno, "open socket");
  const auto set = [&](int level, int option, int value) {
    return setsockopt(fd.get(), level, option, &value, sizeof value) == 0;
  };
  if (!set(SOL_SOCKET, SO_REUSEADDR, 1)) return fail(errno, "set SO_REUSEADDR");
  if (family == AF_INET6 && !set(IPPROTO_IPV6, IPV6_V6ONLY, at.address.is_unspecified() ? 0 : 1))
    return fail(errno, "set IPV6_V6ONLY");
  sockaddr_storage name{};
  const socklen_t length = fill(at, family, name);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), length) != 0)
    return fail(errno, "bind");
  if (listen(fd.get(), kBacklog) != 0) return fail(errno, "listen");
  return fd;
}

}  // namespace

std::string ListenAddress::to_string() const {
  if (address.is_unspecified()) return fmt::format("*:{}", port);
  return endpoint_text(address, port);
}

Result<UniqueFd> listen_on(const ListenAddress& at) {
  const bool any = at.address.is_unspecified();
  if (!any && at.address.family() == Family::ipv4) return listen_with(at, AF_INET);
  auto fd = listen_with(at, AF_INET6);
  // A kernel without IPv6 has all addresses in AF_INET.
  if (!fd && any && fd.error().code() == std::errc::address_family_not_supported)
    return listen_with(at, AF_INET);
  return fd;
}

ListenAddress listen_address(const sockaddr_storage& from) {
  weir_addr raw{};
  if (from.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &from, sizeof in);
    raw.word[2] = htonl(0xffff);
    raw.word[3] = in.sin_addr.s_addr;
    return {Address{raw}, ntohs(in.sin_port)};
  }
  sockaddr_in6 in6{};
  std::memcpy(&in6, &from, sizeof in6);
  std::memcpy(&raw, &in6.sin6_addr, sizeof raw);
  return {Address{raw}, ntohs(in6.sin6_port)};
}

}  // namespace weir::serve
