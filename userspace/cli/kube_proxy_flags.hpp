// SPDX-License-Identifier: Apache-2.0
// kube-proxy's command line, for those who have it in their hands: what means the same works under
// its names, and what means nothing here is refused with what to do instead.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::cli {

struct RunAlias {
  std::string_view name;   // kube-proxy's, without the dashes
  std::string_view flag;   // that of `weir run`
  std::string_view value;  // its form
  bool commas = false;     // several values in one, with commas between
};

std::span<const RunAlias> run_aliases();
const RunAlias* find_alias(std::string_view name);

// As the flag itself takes them.
std::vector<std::string> alias_values(const RunAlias& alias,
                                      const std::vector<std::string>& values);

// Why weir has no such flag of kube-proxy's, and what to do; empty: it is none of kube-proxy's.
std::string_view kube_proxy_only(std::string_view name);

}  // namespace weir::cli
