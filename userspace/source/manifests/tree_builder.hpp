// SPDX-License-Identifier: Apache-2.0
// Builds the tree of one document from a parser's events, within fixed bounds of depth and size.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "source/manifests/value.hpp"

namespace weir::manifests {

// Every function returns false once the document is refused; error() and error_line() say why.
class TreeBuilder {
 public:
  // Kubernetes objects nest about twelve deep. The tree is freed recursively.
  static constexpr std::size_t kMaxDepth = 64;
  // A value is about 100 bytes: this bounds a document to some hundred megabytes.
  static constexpr std::size_t kMaxValues = 4'000'000;
  // What anchors and aliases may copy, in bytes: far more than people write by hand, far less than
  // aliases of aliases of aliases need.
  static constexpr std::size_t kMaxCopied = std::size_t{16} << 20;

  bool scalar(Value value, std::string_view anchor = {});
  bool begin(ValueKind kind, unsigned line, std::string_view anchor = {});
  bool end();
  bool alias(std::string_view anchor, unsigned line);

  // True if the next scalar is the name of a map's member.
  [[nodiscard]] bool wants_name() const {
    return !stack_.empty() && stack_.back().value.kind == ValueKind::map && !stack_.back().name;
  }
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] unsigned error_line() const { return error_line_; }
  // The finished document; the builder is empty again, ready for the next one.
  Value take();

 private:
  struct Frame {
    Value value;
    std::string anchor;
    std::optional<std::string> name;  // of the member whose value comes next
    std::vector<Value> merged;        // maps after <<, to be added where the map has no such name
  };

  bool refuse(unsigned line, std::string text);
  bool add(Value value);
  bool remember(std::string_view anchor, const Value& value);
  bool add_merge(Frame& frame, Value source);
  bool check_names(const Value& map);

  std::vector<Frame> stack_;
  std::unordered_map<std::string, Value> anchors_;
  Value root_;
  std::size_t values_ = 0;
  std::size_t copied_ = 0;
  std::string error_;
  unsigned error_line_ = 0;
};

}  // namespace weir::manifests
