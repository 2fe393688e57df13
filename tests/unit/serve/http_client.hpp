// SPDX-License-Identifier: Apache-2.0
// A client on loopback that knows nothing of HTTP but what it is told to send.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include "base/unique_fd.hpp"
#include "support/catch.hpp"

namespace weir::test {

using Clock = std::chrono::steady_clock;

inline sockaddr_in ipv4(const char* address, std::uint16_t port) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  REQUIRE(inet_pton(AF_INET, address, &name.sin_addr) == 1);
  return name;
}

// Somebody else's socket, on 127.0.0.1.
inline UniqueFd occupy(std::uint16_t port) {
  UniqueFd fd{socket(AF_INET, SOCK_STREAM, 0)};
  const int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  const auto name = ipv4("127.0.0.1", port);
  REQUIRE(bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
  REQUIRE(listen(fd.get(), 1) == 0);
  return fd;
}

inline std::uint16_t free_port() {
  const auto fd = occupy(0);
  sockaddr_in name{};
  socklen_t length = sizeof name;
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &length);
  return ntohs(name.sin_port);
}

inline void set_patience(int fd, std::chrono::seconds patience = std::chrono::seconds{5}) {
  const timeval timeout{.tv_sec = patience.count(), .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
}

// Empty: refused.
inline UniqueFd dial(std::uint16_t port, const char* address = "127.0.0.1",
                     const char* source = nullptr) {
  const bool six = std::strchr(address, ':') != nullptr;
  UniqueFd fd{socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0)};
  set_patience(fd.get());
  int rc = -1;
  if (six) {
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(port);
    inet_pton(AF_INET6, address, &name.sin6_addr);
    rc = connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name);
  } else {
    if (source != nullptr) {
      const auto own = ipv4(source, 0);
      REQUIRE(bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0);
    }
    const auto name = ipv4(address, port);
    rc = connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name);
  }
  return rc == 0 ? std::move(fd) : UniqueFd{};
}

// Until the other end closes; "..." at the end: it did not.
inline std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> piece{};
  while (true) {
    const auto got = recv(fd, piece.data(), piece.size(), 0);
    if (got < 0 && errno == EAGAIN) return text + "...";
    if (got <= 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
}

struct Answer {
  std::string status;  // "200"; "refused"
  std::string head;    // with the line of the status
  std::string body;
};

inline Answer exchange(int fd, const std::string& request) {
  send(fd, request.data(), request.size(), MSG_NOSIGNAL);
  const std::string text = read_all(fd);
  const auto end = text.find("\r\n\r\n");
  if (end == text.npos || text.size() < 12) return {text.empty() ? "closed" : text, {}, {}};
  return {text.substr(9, 3), text.substr(0, end + 2), text.substr(end + 4)};
}

inline const std::string kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

inline Answer ask(std::uint16_t port, const std::string& path = "/",
                  const char* address = "127.0.0.1") {
  const auto fd = dial(port, address);
  if (!fd) return {"refused", {}, {}};
  return exchange(fd.get(), "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
}

template <class Condition>
bool until(Condition condition, std::chrono::milliseconds patience = std::chrono::seconds{5}) {
  const auto end = Clock::now() + patience;
  while (!condition()) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return true;
}

}  // namespace weir::test
