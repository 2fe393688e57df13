// SPDX-License-Identifier: Apache-2.0
// Texts that a person types, as values. Each error says what was expected.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/options.hpp"
#include "base/result.hpp"
#include "model/address.hpp"

namespace weir::cli {

// Decimal digits only, within [least, most].
Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t least, std::uint64_t most);

// "30s", "5m", "24h", "1h30m": at least a second, at most a year.
Result<std::chrono::seconds> parse_duration(std::string_view text);

// "30000-32767", or a single port.
Result<agent::PortRange> parse_port_range(std::string_view text);

// "10.0.0.0/8", or an address for the block of it alone.
Result<Cidr> parse_block(std::string_view text);

// "tcp", "udp" or "sctp", in small letters or capitals.
Result<Protocol> parse_protocol(std::string_view text);

// Which ends of flows a filter takes: all within a block, on one port if that is given.
struct EndFilter {
  Cidr block;
  std::optional<std::uint16_t> port;  // host order
};

// "10.0.0.1", "10.0.0.1:80", "10.0.0.0/8", "fd00::1", "[fd00::1]:80".
Result<EndFilter> parse_end(std::string_view text);

// "NS/NAME", "NS/NAME:http", "NS/NAME:80"
struct ServiceFilter {
  std::string service;  // "ns/name"
  std::string port;     // name or number; empty: all
};

Result<ServiceFilter> parse_service(std::string_view text);

}  // namespace weir::cli
