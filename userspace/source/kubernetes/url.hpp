// SPDX-License-Identifier: Apache-2.0
// The address of an API server, taken apart, and the proxy on the way to it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace weir::kubernetes {

struct Url {
  bool tls = true;         // https
  std::string host;        // a name or an IP address, IPv6 without its brackets
  std::uint16_t port = 0;  // host order; 443 or 80 where the text names none
  std::string path;        // in front of every request's: "", "/clusters/a"

  // https://HOST[:PORT][/PATH] or http://...; user names, queries and fragments are errors. An
  // error never holds the text: there might be a password in it.
  static Result<Url> parse(std::string_view text);
  [[nodiscard]] bool is_loopback() const;       // 127.0.0.0/8, ::1, localhost
  [[nodiscard]] std::string authority() const;  // "10.0.0.1:6443", "[fd00::1]:6443"
  [[nodiscard]] std::string text() const;       // without a slash at its end
  friend bool operator==(const Url&, const Url&) = default;
};

// The value of a variable of the environment; empty if it is not set.
using Environment = std::function<std::string(const char* name)>;

// The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY (or their names in lower case) ask for;
// empty: none. As Go's golang.org/x/net/http/httpproxy reads them, and so kubectl: libcurl's own
// reading knows ALL_PROXY, no port in NO_PROXY, and no exception for loopback. May hold a password.
std::string proxy_of_environment(const Url& url, const Environment& environment);

}  // namespace weir::kubernetes
