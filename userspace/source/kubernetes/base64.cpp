// SPDX-License-Identifier: Apache-2.0
// libcurl has a decoder and does not export it; OpenSSL's would be a dependency for thirty lines.
#include "source/kubernetes/base64.hpp"

#include <cstdint>

namespace weir::kubernetes {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::optional<Secret> decode_base64(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size() / 4 * 3 + 3);  // it never moves, and leaves no copy behind
  std::uint32_t bits = 0;
  unsigned digits = 0;
  unsigned padding = 0;
  for (const char c : text) {
    if (c == '\n' || c == '\r') continue;
    const auto value = kAlphabet.find(c);
    if (c == '=' ? digits % 4 < 2 : value == std::string_view::npos || padding > 0)
      return std::nullopt;
    padding += c == '=' ? 1 : 0;
    bits = bits << 6 | (c == '=' ? 0 : static_cast<std::uint32_t>(value));
    if (++digits % 4 != 0) continue;
    for (const int shift : {16, 8, 0}) decoded.push_back(static_cast<char>(bits >> shift & 0xff));
    decoded.resize(decoded.size() - padding);
  }
  return digits % 4 == 0 ? std::optional{Secret{std::move(decoded)}} : std::nullopt;
}

}  // namespace weir::kubernetes
