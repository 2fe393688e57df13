// SPDX-License-Identifier: Apache-2.0
// Builds the tree of one document from a parser's events, within fixed bounds of depth and size.
#pragma once

#include <array>
#include <cstddef>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "source/manifests/value.hpp"

namespace weir::manifests {

// Every function returns false once the document is refused; error() and error_line() say why.
// Texts are copied, into arenas: one for what is around the items that go to a sink, one for the
// item that is being read, which is empty again after each.
class TreeBuilder {
 public:
  // Kubernetes objects nest about twelve deep. Readers of a tree recurse.
  static constexpr std::size_t kMaxDepth = 64;
  // A value is about 60 bytes: this bounds a tree to some hundred megabytes.
  static constexpr std::size_t kMaxValues = 4'000'000;
  // What anchors and aliases may copy, in bytes: far more than people write by hand, far less than
  // aliases of aliases of aliases need.
  static constexpr std::size_t kMaxCopied = std::size_t{16} << 20;

  explicit TreeBuilder(const ItemSink& items) : items_{items} {}

  void begin_document(unsigned number) { document_ = number; }
  bool scalar(ValueKind kind, std::string_view text, unsigned line, std::string_view anchor = {});
  bool begin(ValueKind kind, unsigned line, std::string_view anchor = {});
  bool end();
  bool alias(std::string_view anchor, unsigned line);

  // True if the next scalar is the name of a map's member.
  [[nodiscard]] bool wants_name() const {
    return !stack_.empty() && stack_.back().kind == ValueKind::map && !stack_.back().name;
  }
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] unsigned error_line() const { return error_line_; }
  // The finished document, until end_document(), which makes the builder ready for the next one.
  [[nodiscard]] const Value& root() const { return root_; }
  void end_document();

 private:
  struct Frame {
    ValueKind kind;
    unsigned line;
    std::size_t first;  // of its children in children_
    std::string_view anchor;
    std::optional<std::string_view> name;  // of the member whose value comes next
    std::vector<Value> merged;  // maps after <<, to be added where the map has no such name
  };

  bool refuse(unsigned line, std::string text);
  bool add(Value value);
  void deliver(const Value& item);
  bool remember(std::string_view anchor, const Value& value);
  bool add_merge(Frame& frame, const Value& source);
  bool check_names(std::size_t first);
  void merge(std::size_t first, const std::vector<Value>& sources);
  [[nodiscard]] bool in_items() const {
    return items_ && stack_.size() >= 2 && stack_[0].name == "items" &&
           stack_[1].kind == ValueKind::list && stack_[1].anchor.empty();
  }
  std::pmr::monotonic_buffer_resource& arena() { return in_items() ? item_arena_ : arena_; }
  std::string_view keep(std::string_view text);
  Value keep_container(const Frame& frame);

  const ItemSink& items_;
  std::array<std::byte, std::size_t{1} << 14> first_buffer_{};
  std::pmr::monotonic_buffer_resource arena_;
  std::pmr::monotonic_buffer_resource item_arena_{first_buffer_.data(), first_buffer_.size()};
  std::vector<Frame> stack_;
  std::vector<Value> children_;  // of all that is on the stack
  std::unordered_map<std::string, Value> anchors_;
  Value root_;
  unsigned document_ = 0;
  std::size_t item_ = 0;  // index of the next one for the sink
  std::size_t values_ = 0;
  std::size_t copied_ = 0;
  std::string error_;
  unsigned error_line_ = 0;
};

}  // namespace weir::manifests
