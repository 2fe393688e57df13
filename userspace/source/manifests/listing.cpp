// SPDX-License-Identifier: Apache-2.0
#include "source/manifests/listing.hpp"

#include <dirent.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace weir::manifests {
namespace {

struct CloseDir {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Hidden files are editors' and Kubernetes' own ("..data").
bool is_manifest(std::string_view name) {
  return !name.starts_with('.') &&
         (name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json"));
}

// False if there is no such file, or a link into nothing.
bool add_file(const std::string& path, Listing& listing) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0 && (errno == ENOENT || errno == ENOTDIR)) return false;
  std::string target = path;
  std::array<char, PATH_MAX> resolved{};
  struct stat link{};
  if (::lstat(path.c_str(), &link) == 0 && S_ISLNK(link.st_mode) &&
      ::realpath(path.c_str(), resolved.data()) != nullptr) {
    target = resolved.data();
    listing.directories.insert(parent_of(target));
  }
  listing.files.emplace(path, std::move(target));
  return true;
}

void add_directory(const std::string& path, Listing& listing) {
  const std::unique_ptr<DIR, CloseDir> directory{::opendir(path.c_str())};
  if (!directory) {
    listing.lost.emplace(path, Error{{errno, std::generic_category()}, "open"}.message());
    return;
  }
  while (const dirent* entry = ::readdir(directory.get()))
    if (is_manifest(entry->d_name)) add_file(path + "/" + entry->d_name, listing);
}

}  // namespace

Result<Root> Root::of(const std::string& path) {
  Root root{path, false};
  while (root.path.size() > 1 && root.path.ends_with('/')) root.path.pop_back();
  struct stat status{};
  if (path.empty() || ::stat(root.path.c_str(), &status) != 0)
    return fail(path.empty() ? ENOENT : errno, "manifests {}", path);
  root.directory = S_ISDIR(status.st_mode);
  if (!root.directory && !S_ISREG(status.st_mode))
    return fail("manifests {}: expected a file or a directory", path);
  return root;
}

std::string Root::parent() const {
  return parent_of(path);
}

Listing list(const std::vector<Root>& roots) {
  Listing listing;
  for (const auto& root : roots) {
    listing.directories.insert(root.parent());
    if (root.directory) {
      listing.directories.insert(root.path);
      add_directory(root.path, listing);
      continue;
    }
    struct stat status{};
    if (!add_file(root.path, listing) && ::stat(root.parent().c_str(), &status) != 0)
      listing.lost.emplace(root.parent(),
                           Error{{errno, std::generic_category()}, "open"}.message());
  }
  return listing;
}

namespace {

std::string name_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

// "a.yaml" is "./a.yaml" to a watch of its directory.
std::string watched_path(const Root& root) {
  const std::string parent = root.parent();
  return (parent == "/" ? "" : parent) + "/" + name_of(root.path);
}

// The path by which list() would have the file, or "" if it would not.
std::string listed_path(const std::vector<Root>& roots, const std::string& path) {
  for (const auto& root : roots) {
    if (!root.directory && watched_path(root) == path) return root.path;
    if (root.directory && parent_of(path) == root.path && is_manifest(name_of(path))) return path;
  }
  return {};
}

}  // namespace

std::optional<Glance> glance(const std::vector<Root>& roots, const std::set<std::string>& paths) {
  Glance found;
  for (const auto& path : paths) {
    for (const auto& root : roots)
      if (root.directory && watched_path(root) == path) return std::nullopt;
    const std::string file = listed_path(roots, path);
    if (file.empty()) continue;
    struct stat status{};
    if (::lstat(file.c_str(), &status) != 0) {
      if (errno != ENOENT) return std::nullopt;
      found.missing.insert(file);
    } else {
      if (S_ISLNK(status.st_mode)) return std::nullopt;
      found.files.insert(file);
    }
  }
  return found;
}

}  // namespace weir::manifests
