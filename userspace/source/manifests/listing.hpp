// SPDX-License-Identifier: Apache-2.0
// Which manifest files there are at the configured paths right now.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace weir::manifests {

// A configured path. What it is, is decided once: a directory that is gone is still one.
struct Root {
  std::string path;
  bool directory = false;

  static Result<Root> of(const std::string& path);
  // The directory that holds it.
  [[nodiscard]] std::string parent() const;
};

struct Listing {
  // Path of each file, and where that leads to if it is a symbolic link (else the same).
  std::map<std::string, std::string> files;
  // Directories whose events matter: the roots', those around them, those that links lead to.
  std::set<std::string> directories;
  // Directories that cannot be listed now, and why: of their files, nothing is known.
  std::map<std::string, std::string> lost;
};

Listing list(const std::vector<Root>& roots);

// What has become of some paths, as far as there are manifest files of the roots there, or were.
struct Glance {
  std::set<std::string> files;
  std::set<std::string> missing;
};

// Paths as a watch has them. Nothing where only list() can tell: of a root that is a directory
// itself, or a symbolic link.
std::optional<Glance> glance(const std::vector<Root>& roots, const std::set<std::string>& paths);

}  // namespace weir::manifests
