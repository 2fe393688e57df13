// SPDX-License-Identifier: Apache-2.0
#include "node/sysctl.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <optional>

#include "base/unique_fd.hpp"

namespace weir::node {
namespace {

constexpr const char* kReserved = "net/ipv4/ip_local_reserved_ports";
constexpr std::size_t kLongest = 256 * 1024;  // bytes of any setting
constexpr std::string_view kBlank = " \t\n";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* begin = text.data();
  const char* end = begin + text.size();
  const auto [at, error] = std::from_chars(begin, end, port);
  return error == std::errc{} && at == end ? std::optional{port} : std::nullopt;
}

std::optional<PortRange> parse_range(std::string_view text) {
  const auto dash = text.find('-');
  const auto first = parse_port(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  return PortRange{*first, *last};
}

// What is in `ports` and not in `taken`; both joined.
std::vector<PortRange> without(const std::vector<PortRange>& ports,
                               const std::vector<PortRange>& taken) {
  std::vector<PortRange> left;
  for (const PortRange& range : ports) {
    unsigned from = range.first;  // wider than a port: one past the last must fit
    for (const PortRange& hole : taken) {
      if (hole.last < from || hole.first > range.last) continue;
      if (hole.first > from)
        left.push_back(
            {static_cast<std::uint16_t>(from), static_cast<std::uint16_t>(hole.first - 1)});
      from = hole.last + 1U;
    }
    if (from <= range.last) left.push_back({static_cast<std::uint16_t>(from), range.last});
  }
  return left;
}

Result<UniqueFd> open_sysctl(const std::string& root, const std::string& path, int flags) {
  UniqueFd fd{::open(fmt::format("{}/{}", root, path).c_str(), flags | O_CLOEXEC)};
  if (!fd) return fail(errno, "open sysctl {}", path);
  return fd;
}

}  // namespace

Result<std::vector<PortRange>> parse_ports(std::string_view text) {
  std::vector<PortRange> ports;
  text = trimmed(text);
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    const auto part = trimmed(text.substr(0, comma));
    const auto range = parse_range(part);
    if (!range) return fail("ports \"{}\": expected PORT or FIRST-LAST", part);
    ports.push_back(*range);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return ports;
}

std::string format_ports(const std::vector<PortRange>& ports) {
  std::string text;
  for (const PortRange& range : ports) {
    if (!text.empty()) text += ',';
    text += range.first == range.last ? fmt::format("{}", range.first)
                                      : fmt::format("{}-{}", range.first, range.last);
  }
  return text;
}

std::vector<PortRange> joined(std::vector<PortRange> ports) {
  std::ranges::sort(ports);
  std::vector<PortRange> result;
  for (const PortRange& range : ports) {
    if (!result.empty() && range.first <= result.back().last + 1U)
      result.back().last = std::max(result.back().last, range.last);
    else
      result.push_back(range);
  }
  return result;
}

std::vector<PortRange> common(const std::vector<PortRange>& a, const std::vector<PortRange>& b) {
  std::vector<PortRange> result;
  for (const PortRange& one : a) {
    for (const PortRange& other : b) {
      const PortRange both{std::max(one.first, other.first), std::min(one.last, other.last)};
      if (both.first <= both.last) result.push_back(both);
    }
  }
  return joined(std::move(result));
}

Reservation plan_reservation(const std::vector<PortRange>& source_ports, PortRange local_ports,
                             const std::vector<PortRange>& reserved, PortRange node_ports) {
  const auto needed = common(source_ports, {local_ports});
  auto all = reserved;
  all.insert(all.end(), needed.begin(), needed.end());
  return {.reserved = joined(std::move(all)),
          .added = without(needed, joined(reserved)),
          .contradicts = common(source_ports, {node_ports})};
}

Result<Reservation> reserve_ports(const std::vector<PortRange>& source_ports, PortRange node_ports,
                                  const std::string& root) {
  const auto local = local_port_range(root);
  if (!local) return fail(local.error(), "reserve ports");
  const auto text = read_sysctl(kReserved, root);
  if (!text) return fail(text.error(), "reserve ports");
  const auto reserved = parse_ports(*text);
  if (!reserved) return fail(reserved.error(), "reserve ports: {}", kReserved);
  auto plan = plan_reservation(source_ports, *local, *reserved, node_ports);
  if (plan.added.empty()) return plan;
  if (auto done = write_sysctl(kReserved, format_ports(plan.reserved), root); !done)
    return fail(std::move(done.error()), "reserve ports {}", format_ports(plan.added));
  return plan;
}

Result<PortRange> local_port_range(const std::string& root) {
  constexpr const char* kPath = "net/ipv4/ip_local_port_range";
  const auto text = read_sysctl(kPath, root);
  if (!text) return std::unexpected{text.error()};
  const std::string_view view = *text;
  const auto gap = view.find_first_of(kBlank);
  const auto first = parse_port(view.substr(0, gap));
  const auto last =
      gap == std::string_view::npos ? std::nullopt : parse_port(trimmed(view.substr(gap)));
  if (!first || !last) return fail("sysctl {}: \"{}\" is no port range", kPath, view);
  return PortRange{*first, *last};
}

Result<Forwarding> forwarding(const std::string& root) {
  const auto ipv4 = read_sysctl("net/ipv4/ip_forward", root);
  if (!ipv4) return std::unexpected{ipv4.error()};
  const auto ipv6 = read_sysctl("net/ipv6/conf/all/forwarding", root);
  if (!ipv6 && ipv6.error().code() != std::errc::no_such_file_or_directory)
    return std::unexpected{ipv6.error()};
  return Forwarding{.ipv4 = *ipv4 != "0", .ipv6 = ipv6 && *ipv6 != "0"};
}

Result<std::string> read_sysctl(const std::string& path, const std::string& root) {
  const auto fd = open_sysctl(root, path, O_RDONLY);
  if (!fd) return std::unexpected{fd.error()};
  // One read, large enough for any port list: a second one gives nothing (proc_do_large_bitmap).
  std::string text(kLongest, '\0');
  const auto n = ::read(fd->get(), text.data(), text.size());
  if (n < 0) return fail(errno, "read sysctl {}", path);
  text.resize(static_cast<std::size_t>(n));
  return std::string{trimmed(text)};
}

Result<> write_sysctl(const std::string& path, std::string_view value, const std::string& root) {
  const auto fd = open_sysctl(root, path, O_WRONLY);
  if (!fd) return std::unexpected{fd.error()};
  // The kernel takes a port list by the page: the first write replaces, later ones add.
  while (!value.empty()) {
    const auto n = ::write(fd->get(), value.data(), value.size());
    if (n <= 0) return fail(n < 0 ? errno : EIO, "write sysctl {}", path);
    value.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace weir::node
