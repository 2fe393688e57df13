// SPDX-License-Identifier: Apache-2.0
#include "bpf/host/socket.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <ostream>
#include <system_error>
#include <utility>

#include "bpf/host/node.hpp"

namespace weir::test {
namespace {

struct Raw {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

// An IPv4 address on an IPv6 socket has to be written "::ffff:...".
Raw to_raw(const End& end) {
  Raw raw;
  if (end.ip.find(':') != end.ip.npos) {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(raw.storage);
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(end.port);
    need(::inet_pton(AF_INET6, end.ip.c_str(), &in6.sin6_addr) == 1, end.ip);
    raw.size = sizeof in6;
  } else {
    auto& in = reinterpret_cast<sockaddr_in&>(raw.storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(end.port);
    need(::inet_pton(AF_INET, end.ip.c_str(), &in.sin_addr) == 1, end.ip);
    raw.size = sizeof in;
  }
  return raw;
}

End to_end(const Raw& raw) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool v4 = raw.storage.ss_family == AF_INET;
  const auto& in = reinterpret_cast<const sockaddr_in&>(raw.storage);
  const auto& in6 = reinterpret_cast<const sockaddr_in6&>(raw.storage);
  const void* from = v4 ? static_cast<const void*>(&in.sin_addr) : &in6.sin6_addr;
  ::inet_ntop(raw.storage.ss_family, from, text.data(), text.size());
  return {text.data(), ntohs(v4 ? in.sin_port : in6.sin6_port)};
}

}  // namespace

void need(bool done, const std::string& what) {
  if (!done) throw std::system_error{errno, std::generic_category(), what};
}

weir_addr to_addr(const std::string& ip) {
  weir_addr addr{};
  if (ip.find(':') != ip.npos) {
    need(::inet_pton(AF_INET6, ip.c_str(), &addr) == 1, ip);
  } else {
    addr.word[2] = htonl(0xffff);
    need(::inet_pton(AF_INET, ip.c_str(), &addr.word[3]) == 1, ip);
  }
  return addr;
}

std::ostream& operator<<(std::ostream& out, const End& end) {
  return out << '[' << end.ip << "]:" << end.port;
}

Socket::Socket(int family, int type) : family_{family} {
  enter_node();
  fd_ = UniqueFd{::socket(family, type | SOCK_CLOEXEC, 0)};
  need(static_cast<bool>(fd_), "open a socket");
}

int Socket::connect(const End& to) {
  Raw raw = to_raw(to);
  return ::connect(fd(), raw.get(), raw.size) == 0 ? 0 : errno;
}

int Socket::send(const std::string& text) {
  return ::send(fd(), text.data(), text.size(), MSG_NOSIGNAL) >= 0 ? 0 : errno;
}

int Socket::send_to(const End& to, const std::string& text) {
  Raw raw = to_raw(to);
  return ::sendto(fd(), text.data(), text.size(), 0, raw.get(), raw.size) >= 0 ? 0 : errno;
}

int Socket::open_with(const End& to) {
  Raw raw = to_raw(to);
  return ::sendto(fd(), "who", 3, MSG_FASTOPEN, raw.get(), raw.size) >= 0 ? 0 : errno;
}

void Socket::disconnect() {
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  need(::connect(fd(), &none, sizeof none) == 0, "disconnect");
}

void Socket::reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  need(::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0, "SO_LINGER");
  close();
}

std::optional<Socket::Received> Socket::receive() {
  return receive(500);
}

// What loopback carries is there when send() returns.
std::optional<Socket::Received> Socket::receive_now() {
  return receive(0);
}

std::optional<Socket::Received> Socket::receive(int within_ms) {
  pollfd ready{.fd = fd(), .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, within_ms) <= 0) return std::nullopt;
  std::array<char, 256> text{};
  Raw from;
  const auto size = ::recvfrom(fd(), text.data(), text.size(), 0, from.get(), &from.size);
  if (size < 0) return std::nullopt;
  return Received{{text.data(), static_cast<std::size_t>(size)},
                  from.size == 0 ? End{} : to_end(from)};
}

End Socket::peer() const {
  Raw raw;
  need(::getpeername(fd(), raw.get(), &raw.size) == 0, "getpeername");
  return to_end(raw);
}

End Socket::sent_from() const {
  Raw raw;
  need(::getsockname(fd(), raw.get(), &raw.size) == 0, "getsockname");
  return to_end(raw);
}

std::uint64_t Socket::cookie() const {
  std::uint64_t value = 0;
  socklen_t size = sizeof value;
  need(::getsockopt(fd(), SOL_SOCKET, SO_COOKIE, &value, &size) == 0, "SO_COOKIE");
  return value;
}

int Socket::error() const {
  int value = 0;
  socklen_t size = sizeof value;
  need(::getsockopt(fd(), SOL_SOCKET, SO_ERROR, &value, &size) == 0, "SO_ERROR");
  return value;
}

void Socket::listen_at(const End& at) {
  const int one = 1;
  need(::setsockopt(fd(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0, "SO_REUSEADDR");
  Raw raw = to_raw(at);
  need(::bind(fd(), raw.get(), raw.size) == 0, "bind " + at.ip);
  int type = 0;
  socklen_t size = sizeof type;
  need(::getsockopt(fd(), SOL_SOCKET, SO_TYPE, &type, &size) == 0, "SO_TYPE");
  if (type == SOCK_STREAM) need(::listen(fd(), 64) == 0, "listen");
}

Socket Socket::accept() {
  pollfd ready{.fd = fd(), .events = POLLIN, .revents = 0};
  need(::poll(&ready, 1, 500) > 0, "a connection");
  UniqueFd accepted{::accept4(fd(), nullptr, nullptr, SOCK_CLOEXEC)};
  need(static_cast<bool>(accepted), "accept");
  return Socket{std::move(accepted), family_};
}

}  // namespace weir::test
