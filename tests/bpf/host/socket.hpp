// SPDX-License-Identifier: Apache-2.0
// Sockets of this process, in the namespace and cgroup of the node under test.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

#include "base/abi.hpp"
#include "base/unique_fd.hpp"

namespace weir::test {

// "10.96.0.10" and 80; of an IPv6 socket that speaks IPv4, "::ffff:10.96.0.10".
struct End {
  std::string ip;
  std::uint16_t port = 0;
  friend bool operator==(const End&, const End&) = default;
};
std::ostream& operator<<(std::ostream& out, const End& end);

// What is asked about is returned; everything else throws where it fails.
class Socket {
 public:
  Socket(int family, int type);
  // 0, or the errno.
  int connect(const End& to);
  int send(const std::string& text);
  int send_to(const End& to, const std::string& text = "who");
  struct Received {
    std::string text;
    End from;
  };
  // Nothing if nothing comes in half a second, or is there already.
  std::optional<Received> receive();
  std::optional<Received> receive_now();
  [[nodiscard]] End peer() const;       // what getpeername says
  [[nodiscard]] End sent_from() const;  // its own end
  [[nodiscard]] std::uint64_t cookie() const;
  [[nodiscard]] int error() const;  // SO_ERROR
  [[nodiscard]] int fd() const { return fd_.get(); }
  void listen_at(const End& at);
  Socket accept();
  void close() { fd_ = UniqueFd{}; }
  void disconnect();             // what connect() does with AF_UNSPEC
  void reset();                  // close, TCP with a RST
  int open_with(const End& to);  // TCP fast open, with a few bytes

 private:
  std::optional<Received> receive(int within_ms);
  Socket(UniqueFd fd, int family) : fd_{std::move(fd)}, family_{family} {}
  UniqueFd fd_;
  int family_;
};

// Throws with errno if it is not done.
void need(bool done, const std::string& what);
weir_addr to_addr(const std::string& ip);

}  // namespace weir::test
