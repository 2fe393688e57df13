// SPDX-License-Identifier: Apache-2.0
#include "cli/kube_proxy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <ranges>
#include <system_error>

namespace weir::cli {
namespace {

constexpr std::string_view kPrefix = "KUBE-";
// Names, or beginnings of names where they end in a dash, of its modes iptables and IPVS. Chains
// that other programs call KUBE-something must not be among them.
constexpr std::array<std::string_view, 17> kChains{"SERVICES",      "EXTERNAL-SERVICES",
                                                   "NODEPORTS",     "NODE-PORT",
                                                   "POSTROUTING",   "MARK-MASQ",
                                                   "FORWARD",       "PROXY-",
                                                   "SVC-",          "SVL-",
                                                   "SEP-",          "EXT-",
                                                   "FW-",           "XLB-",
                                                   "LOAD-BALANCER", "SOURCE-RANGES-",
                                                   "IPVS-"};

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file{path};
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

bool is_kube_proxy_chain(std::string_view name) {
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  return std::ranges::any_of(kChains, [&](std::string_view one) {
    return one.ends_with('-') ? name.starts_with(one) : name == one;
  });
}

std::string remove_chains(std::string_view tool) {
  std::string whole;
  std::string begins;
  for (const auto one : kChains) {
    auto& list = one.ends_with('-') ? begins : whole;
    if (!list.empty()) list += '|';
    list += one;
  }
  return fmt::format(R"({0}-save -c | grep -vE '(^:|-[Ajg] ){1}(({2})( |$)|{3})' | {0}-restore -c)",
                     tool, kPrefix, whole, begins);
}

std::size_t virtual_servers(std::string_view ip_vs) {
  std::size_t count = 0;
  for (const auto part : std::views::split(ip_vs, '\n')) {
    const std::string_view line{part.begin(), part.end()};
    for (const std::string_view kind : {"TCP ", "UDP ", "SCTP ", "FWM "})
      count += line.starts_with(kind) ? 1 : 0;
  }
  return count;
}

bool kube_proxy_runs() {
  namespace fs = std::filesystem;
  std::error_code error;
  const auto here = fs::read_symlink("/proc/self/ns/net", error);
  for (fs::directory_iterator at{"/proc", error}, end; !error && at != end; at.increment(error)) {
    if (at->path().filename().string().find_first_not_of("0123456789") != std::string::npos)
      continue;
    if (first_line(at->path() / "comm") != "kube-proxy") continue;
    std::error_code unseen;  // of a process with more privileges than this one
    const auto there = fs::read_symlink(at->path() / "ns/net", unseen);
    if (unseen || there == here) return true;
  }
  return false;
}

}  // namespace weir::cli
