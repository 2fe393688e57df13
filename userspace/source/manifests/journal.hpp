// SPDX-License-Identifier: Apache-2.0
// What is to be said about the manifests as they are now, and what of it has been said already.
#pragma once

#include <fmt/format.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/log.hpp"
#include "source/manifests/field.hpp"

namespace weir::manifests {

struct Line {
  log::Level level = log::Level::warning;
  std::string text;
  friend bool operator==(const Line&, const Line&) = default;
};

// "manifests: /etc/weir/a.yaml: document 2, line 14: spec.ports[0].port: expected ..."
inline std::string placed(const Place& place, std::string_view text) {
  return fmt::format("manifests: {}: document {}, line {}: {}", printable(*place.file),
                     place.document, place.line, text);
}

class Journal {
 public:
  // Writes the lines that were not among the lines of the last call, each once: a part of an object
  // that is looked at twice is complained of twice.
  void say(const std::vector<Line>& lines) {
    std::set<std::string> now;
    for (const auto& line : lines) {
      if (!now.insert(line.text).second || said_.contains(line.text)) continue;
      if (log::enabled(line.level)) log::write(line.level, line.text);
    }
    said_ = std::move(now);
  }

 private:
  std::set<std::string> said_;
};

}  // namespace weir::manifests
