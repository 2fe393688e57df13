// SPDX-License-Identifier: Apache-2.0
#include "cli/parse.hpp"

#include <charconv>

namespace weir::cli {
namespace {

constexpr std::chrono::seconds kLongest = std::chrono::hours{24 * 365};

std::optional<std::uint64_t> digits(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::uint64_t seconds_of(char unit) {
  switch (unit) {
    case 's':
      return 1;
    case 'm':
      return 60;
    case 'h':
      return 3600;
    default:
      return 0;
  }
}

std::optional<std::uint16_t> port_number(std::string_view text) {
  const auto number = digits(text);
  if (!number || *number < 1 || *number > 65'535) return std::nullopt;
  return static_cast<std::uint16_t>(*number);
}

}  // namespace

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t least, std::uint64_t most) {
  const auto number = digits(text);
  if (!number || *number < least || *number > most)
    return fail("{}: expected a number from {} to {}", text, least, most);
  return *number;
}

Result<std::chrono::seconds> parse_duration(std::string_view text) {
  std::uint64_t total = 0;
  std::uint64_t smallest = 3601;  // units in falling order, each once
  for (auto rest = text; !rest.empty();) {
    const auto unit_at = rest.find_first_not_of("0123456789");
    const auto unit = unit_at == rest.npos ? 0 : seconds_of(rest[unit_at]);
    const auto number = digits(rest.substr(0, unit_at));
    if (unit == 0 || unit >= smallest || !number || *number > 31'536'000) {
      total = 0;
      break;
    }
    total += *number * unit;
    smallest = unit;
    rest.remove_prefix(unit_at + 1);
  }
  if (total == 0 || total > static_cast<std::uint64_t>(kLongest.count()))
    return fail("{}: expected a duration like 30s, 5m or 24h, of 1s to a year", text);
  return std::chrono::seconds{total};
}

Result<agent::PortRange> parse_port_range(std::string_view text) {
  const auto dash = text.find('-');
  const auto first = port_number(text.substr(0, dash));
  const auto last = dash == text.npos ? first : port_number(text.substr(dash + 1));
  if (!first || !last || *first > *last)
    return fail("{}: expected a range of ports like 30000-32767", text);
  return agent::PortRange{*first, *last};
}

Result<Cidr> parse_block(std::string_view text) {
  if (const auto block = Cidr::parse(text)) return *block;
  if (const auto address = Address::parse(text)) {
    const bool ipv4 = address->family() == Family::ipv4;
    return Cidr{.base = *address, .length = static_cast<std::uint8_t>(ipv4 ? 32 : 128)};
  }
  return fail("{}: expected a block like 10.0.0.0/8, without host bits, or an address", text);
}

Result<Protocol> parse_protocol(std::string_view text) {
  if (text == "tcp" || text == "TCP") return Protocol::tcp;
  if (text == "udp" || text == "UDP") return Protocol::udp;
  if (text == "sctp" || text == "SCTP") return Protocol::sctp;
  return fail("{}: expected tcp, udp or sctp", text);
}

Result<EndFilter> parse_end(std::string_view text) {
  if (auto block = parse_block(text)) return EndFilter{.block = *block, .port = {}};
  const auto colon = text.rfind(':');
  auto host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = Address::parse(host);
  const auto port = colon == text.npos ? std::nullopt : port_number(text.substr(colon + 1));
  // "fd00::1:80" would be an address by itself: an IPv6 address with a port needs its brackets.
  if (!address || !port || bracketed != (address->family() == Family::ipv6))
    return fail("{}: expected IP, IP:PORT, [IPv6]:PORT or a block", text);
  return EndFilter{.block = *parse_block(host), .port = port};
}

Result<ServiceFilter> parse_service(std::string_view text) {
  const auto slash = text.find('/');
  const auto colon = text.find(':');
  const auto name = text.substr(0, colon);
  const bool valid = slash != text.npos && slash > 0 && slash + 1 < name.size() &&
                     name.find('/', slash + 1) == name.npos && colon + 1 != text.size();
  if (!valid) return fail("{}: expected NAMESPACE/NAME or NAMESPACE/NAME:PORT", text);
  return ServiceFilter{.service = std::string{name},
                       .port = std::string{colon == text.npos ? "" : text.substr(colon + 1)}};
}

}  // namespace weir::cli
