// SPDX-License-Identifier: Apache-2.0
#include "source/manifests/tree_builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace weir::manifests {
namespace {

std::size_t bytes_in(const Value& value) {
  std::size_t bytes = sizeof(Value) + value.scalar.size();
  for (const auto& name : value.names) bytes += sizeof(std::string) + name.size();
  for (const auto& item : value.items) bytes += bytes_in(item);
  return bytes;
}

// A member that the map names itself wins over a merged one, wherever it stands; then the first.
void merge(Value& map, std::vector<Value> sources) {
  std::unordered_set<std::string> names{map.names.begin(), map.names.end()};
  for (auto& source : sources)
    for (std::size_t i = 0; i < source.names.size(); ++i)
      if (names.insert(source.names[i]).second) {
        map.names.push_back(std::move(source.names[i]));
        map.items.push_back(std::move(source.items[i]));
      }
}

}  // namespace

bool TreeBuilder::refuse(unsigned line, std::string text) {
  error_ = std::move(text);
  error_line_ = line;
  return false;
}

bool TreeBuilder::add(Value value) {
  if (++values_ > kMaxValues) return refuse(value.line, "more values than weir reads");
  if (stack_.empty()) {
    root_ = std::move(value);
    return true;
  }
  Frame& top = stack_.back();
  if (top.value.kind == ValueKind::list) {
    top.value.items.push_back(std::move(value));
    return true;
  }
  const std::string name = std::move(*top.name);
  top.name.reset();
  // YAML 1.1's merge key, which Kubernetes' own tools honour.
  if (name == "<<" && value.kind != ValueKind::text) return add_merge(top, std::move(value));
  top.value.names.push_back(name);
  top.value.items.push_back(std::move(value));
  return true;
}

bool TreeBuilder::scalar(Value value, std::string_view anchor) {
  if (!remember(anchor, value)) return false;
  if (wants_name()) {
    stack_.back().name = std::move(value.scalar);
    return true;
  }
  return add(std::move(value));
}

bool TreeBuilder::begin(ValueKind kind, unsigned line, std::string_view anchor) {
  if (wants_name()) return refuse(line, "expected a scalar as the name of a field");
  if (stack_.size() >= kMaxDepth)
    return refuse(line, fmt::format("nested deeper than {} levels", kMaxDepth));
  stack_.push_back({.value = {.kind = kind, .line = line, .scalar = {}, .names = {}, .items = {}},
                    .anchor = std::string{anchor},
                    .name = {},
                    .merged = {}});
  return true;
}

bool TreeBuilder::end() {
  Frame frame = std::move(stack_.back());
  stack_.pop_back();
  if (!check_names(frame.value)) return false;
  if (!frame.merged.empty()) merge(frame.value, std::move(frame.merged));
  if (!remember(frame.anchor, frame.value)) return false;
  return add(std::move(frame.value));
}

bool TreeBuilder::alias(std::string_view anchor, unsigned line) {
  const auto found = anchors_.find(std::string{anchor});
  if (found == anchors_.end())
    return refuse(line, fmt::format("unknown anchor \"{}\"", printable(anchor, 40)));
  copied_ += bytes_in(found->second);
  if (copied_ > kMaxCopied) return refuse(line, "aliases that grow too large");
  Value copy = found->second;
  copy.line = line;
  if (!wants_name()) return add(std::move(copy));
  if (!copy.items.empty()) return refuse(line, "expected a scalar as the name of a field");
  stack_.back().name = std::move(copy.scalar);
  return true;
}

bool TreeBuilder::remember(std::string_view anchor, const Value& value) {
  if (anchor.empty()) return true;
  copied_ += bytes_in(value);
  if (copied_ > kMaxCopied) return refuse(value.line, "anchors that grow too large");
  anchors_.insert_or_assign(std::string{anchor}, value);
  return true;
}

bool TreeBuilder::add_merge(Frame& frame, Value source) {
  if (source.kind == ValueKind::list) {
    for (auto& item : source.items) {
      if (item.kind != ValueKind::map) return refuse(item.line, "expected maps after <<");
      frame.merged.push_back(std::move(item));
    }
    return true;
  }
  if (source.kind != ValueKind::map) return refuse(source.line, "expected a map after <<");
  frame.merged.push_back(std::move(source));
  return true;
}

bool TreeBuilder::check_names(const Value& map) {
  std::vector<std::string_view> sorted{map.names.begin(), map.names.end()};
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice == sorted.end()) return true;
  const auto last = std::find(map.names.rbegin(), map.names.rend(), *twice);
  const auto index = static_cast<std::size_t>(map.names.rend() - last) - 1;
  return refuse(map.items[index].line,
                fmt::format("field \"{}\" is there twice", printable(*twice, 40)));
}

Value TreeBuilder::take() {
  stack_.clear();
  anchors_.clear();
  values_ = 0;
  copied_ = 0;
  return std::exchange(root_, Value{});
}

}  // namespace weir::manifests
