// SPDX-License-Identifier: Apache-2.0
// One manifest file: what it holds, with the last good version of whatever is broken in it.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "source/manifests/journal.hpp"
#include "source/manifests/manifests.hpp"
#include "source/manifests/object.hpp"

namespace weir::manifests {

// Tells one state of a file from another without reading it.
struct Signature {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;
  friend bool operator==(const Signature&, const Signature&) = default;
  static Signature of(const struct stat& status);
};

class File {
 public:
  static constexpr std::int64_t kMaxSize = std::int64_t{256} << 20;

  explicit File(std::string path) : path_{std::make_shared<const std::string>(std::move(path))} {}

  // Reads the file if it is not as it was, or in any case where `force`. True if objects() and
  // lines() may be different now. `complete` is asked after reading: if somebody is writing the
  // file, what was read is forgotten. A file that cannot be read keeps its objects.
  bool refresh(const Options& options, bool force, const std::function<bool()>& complete);

  // Takes this as the file's new content. Atomic: after a syntax error nothing of it counts.
  void update(std::string_view content, const Options& options);

  [[nodiscard]] const std::string& path() const { return *path_; }
  [[nodiscard]] const std::vector<ObjectPtr>& objects() const { return objects_; }
  // What lines() complains about, as far as it has a name.
  [[nodiscard]] const std::vector<ObjectId>& broken() const { return broken_; }
  [[nodiscard]] const std::vector<Line>& lines() const { return lines_; }

 private:
  std::shared_ptr<const std::string> path_;
  std::optional<Signature> signature_;
  std::vector<ObjectPtr> objects_;  // in the order of the file
  std::vector<ObjectId> broken_;
  std::vector<Line> lines_;
};

}  // namespace weir::manifests
