// SPDX-License-Identifier: Apache-2.0
// Where a server listens, and sockets that do.
#pragma once

#include <sys/socket.h>

#include <compare>
#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "model/address.hpp"

namespace weir::serve {

// Go's net.Listen, and so kube-proxy, takes 0.0.0.0 as it takes ::, for every address of both
// families; so does this.
struct ListenAddress {
  Address address;         // unspecified, of whichever family: all of both
  std::uint16_t port = 0;  // host order
  friend auto operator<=>(const ListenAddress&, const ListenAddress&) = default;

  [[nodiscard]] std::string to_string() const;  // "10.0.0.1:80", "*:80"
};

// Listening, not blocking. Takes a port again at once whose last connections are still ending.
Result<UniqueFd> listen_on(const ListenAddress& at);

// The address and port in it, IPv4 whether or not it came in through an IPv6 socket.
ListenAddress listen_address(const sockaddr_storage& from);

}  // namespace weir::serve
