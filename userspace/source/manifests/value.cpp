// SPDX-License-Identifier: Apache-2.0
#include "source/manifests/value.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weir::manifests {
namespace {

// Bytes of the UTF-8 sequence at the start of `text`; 0 if that is not a whole, printable one.
std::size_t sequence_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f ? 1 : 0;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  // 0xc2 0x80 to 0xc2 0x9f are control characters.
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  if (lead == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0) return 0;
  const auto tail = text.substr(1, length - 1);
  const bool whole =
      std::all_of(tail.begin(), tail.end(), [](char c) { return (c & 0xc0) == 0x80; });
  return whole ? length : 0;
}

}  // namespace

const Value* Value::find(std::string_view member) const {
  const auto found = std::ranges::find(items(), member, &Value::name);
  return found == items().end() ? nullptr : &*found;
}

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    if (out.size() + std::max<std::size_t>(length, 1) > limit) return out + "...";
    if (length == 0) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
      text.remove_prefix(1);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return out;
}

std::string describe(const Value& value) {
  constexpr std::size_t kShown = 60;
  switch (value.kind) {
    case ValueKind::null:
      return "nothing";
    case ValueKind::boolean:
    case ValueKind::number:
      return printable(value.scalar, kShown);
    case ValueKind::text:
      return fmt::format("\"{}\"", printable(value.scalar, kShown));
    case ValueKind::list:
      return "a list";
    case ValueKind::map:
      return "a map";
  }
  return "?";
}

}  // namespace weir::manifests
