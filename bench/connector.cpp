// SPDX-License-Identifier: Apache-2.0
//
// Both ends of the TCP connections that the bench measures. Everything blocks and one thing happens
// at a time, so that with both on one CPU the time taken is what all parts of the way cost
// together.
//   weir_bench_connector serve PORT                  until it is killed
//   weir_bench_connector KIND ADDRESS PORT MILLIS    prints {"count": N, "ns": N}
// KIND is short: connect, ask, be answered, close; request: ask and be answered on one connection;
// bulk: send as much as goes through, and count bytes.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <span>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"

namespace {

constexpr std::size_t kMessage = 64;  // a question, and its answer
constexpr std::size_t kChunk = 256 * 1024;
constexpr char kAsk = 'a', kBulk = 'b';  // what a question begins with

using Message = std::array<char, kMessage>;

[[noreturn]] void give_up(std::string_view what) {
  std::fprintf(stderr, "weir_bench_connector: %.*s: %s\n", static_cast<int>(what.size()),
               what.data(), std::strerror(errno));
  std::exit(EXIT_FAILURE);
}

template <typename Number>
Number number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    errno = EINVAL;
    give_up(text);
  }
  return value;
}

std::uint64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

weir::UniqueFd tcp_socket() {
  weir::UniqueFd fd{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd) give_up("socket");
  return fd;
}

// False at the end of the stream, or if the other side broke it off.
bool receive(int fd, Message& message) {
  std::size_t have = 0;
  while (have < message.size()) {
    const ssize_t got = read(fd, &message[have], message.size() - have);
    if (got <= 0) return false;
    have += static_cast<std::size_t>(got);
  }
  return true;
}

bool send_all(int fd, std::span<const char> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

std::uint64_t drain(int fd) {
  static std::vector<char> buffer(kChunk);
  std::uint64_t total = 0;
  for (ssize_t got{}; (got = read(fd, buffer.data(), buffer.size())) > 0;)
    total += static_cast<std::uint64_t>(got);
  return total;
}

void answer(int fd) {
  Message message{};
  while (receive(fd, message)) {
    if (message[0] == kBulk) {
      const std::uint64_t total = drain(fd);
      std::memcpy(message.data(), &total, sizeof(total));
    }
    if (!send_all(fd, message)) return;
  }
}

[[noreturn]] void serve(std::uint16_t port) {
  const auto listener = tcp_socket();
  const int yes = 1;
  const sockaddr_in own{
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
  if (setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
      bind(listener.get(), reinterpret_cast<const sockaddr*>(&own), sizeof(own)) != 0 ||
      listen(listener.get(), SOMAXCONN) != 0)
    give_up("listen");
  for (;;) {
    const weir::UniqueFd fd{accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    if (fd) answer(fd.get());
  }
}

weir::UniqueFd connected(const sockaddr_in& to) {
  auto fd = tcp_socket();
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0)
    give_up("connect");
  return fd;
}

void ask(int fd, char kind) {
  Message message{kind};
  if (!send_all(fd, message) || !receive(fd, message)) give_up("ask");
}

// To the end of both directions: nothing of this connection is left to the time of the next one.
void finish(const weir::UniqueFd& fd) {
  shutdown(fd.get(), SHUT_WR);
  if (drain(fd.get()) != 0) give_up("more than an answer");
}

std::uint64_t short_connections(const sockaddr_in& to, std::uint64_t end) {
  std::uint64_t count = 0;
  for (; now() < end; count++) {
    const auto fd = connected(to);
    ask(fd.get(), kAsk);
    finish(fd);
  }
  return count;
}

std::uint64_t requests(const sockaddr_in& to, std::uint64_t end) {
  const auto fd = connected(to);
  std::uint64_t count = 0;
  for (; now() < end; count++) ask(fd.get(), kAsk);
  finish(fd);
  return count;
}

std::uint64_t bulk(const sockaddr_in& to, std::uint64_t end) {
  const auto fd = connected(to);
  const std::vector<char> chunk(kChunk);
  Message message{kBulk};
  if (!send_all(fd.get(), message)) give_up("bulk");
  while (now() < end)
    if (!send_all(fd.get(), chunk)) give_up("bulk");
  shutdown(fd.get(), SHUT_WR);
  if (!receive(fd.get(), message)) give_up("bulk");
  std::uint64_t total{};
  std::memcpy(&total, message.data(), sizeof(total));
  return total;
}

auto* kind(std::string_view name) {
  if (name == "short") return &short_connections;
  if (name == "request") return &requests;
  if (name == "bulk") return &bulk;
  errno = EINVAL;
  give_up(name);
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char*> words{argv + 1, static_cast<std::size_t>(argc > 0 ? argc - 1 : 0)};
  if (words.size() == 2 && std::string_view{words[0]} == "serve")
    serve(number<std::uint16_t>(words[1]));
  if (words.size() != 4) {
    std::fputs("weir_bench_connector: see bench/connector.cpp\n", stderr);
    return EXIT_FAILURE;
  }
  sockaddr_in to{.sin_family = AF_INET,
                 .sin_port = htons(number<std::uint16_t>(words[2])),
                 .sin_addr = {},
                 .sin_zero = {}};
  if (inet_pton(AF_INET, words[1], &to.sin_addr) != 1) give_up(words[1]);
  auto* const run = kind(words[0]);
  const std::uint64_t begin = now();
  const std::uint64_t count = run(to, begin + number<std::uint64_t>(words[3]) * 1'000'000);
  std::printf("{\"count\": %llu, \"ns\": %llu}\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(now() - begin));
  return EXIT_SUCCESS;
}
