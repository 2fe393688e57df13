// SPDX-License-Identifier: Apache-2.0
#include "source/manifests/tree_builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>
#include <utility>

namespace weir::manifests {
namespace {

std::size_t bytes_in(const Value& value) {
  std::size_t bytes = sizeof(Value) + value.name.size() + value.scalar.size();
  for (const auto& item : value.items()) bytes += bytes_in(item);
  return bytes;
}

// The member that has the name of an earlier one, if there is any.
const Value* repeated(std::span<const Value> members) {
  constexpr std::size_t kFew = 16;  // then comparing all with all is faster than a table
  if (members.size() <= kFew) {
    for (std::size_t i = 1; i < members.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (members[i].name == members[j].name) return &members[i];
    return nullptr;
  }
  std::unordered_set<std::string_view> names;
  names.reserve(members.size());
  const auto twice = std::ranges::find_if(
      members, [&](const Value& member) { return !names.insert(member.name).second; });
  return twice == members.end() ? nullptr : &*twice;
}

}  // namespace

bool TreeBuilder::refuse(unsigned line, std::string text) {
  error_ = std::move(text);
  error_line_ = line;
  return false;
}

std::string_view TreeBuilder::keep(std::string_view text) {
  if (text.empty()) return {};
  auto* const at = static_cast<char*>(arena().allocate(text.size(), 1));
  std::memcpy(at, text.data(), text.size());
  return {at, text.size()};
}

bool TreeBuilder::add(Value value) {
  if (++values_ > kMaxValues) return refuse(value.line, "more values than weir reads");
  if (stack_.empty()) {
    root_ = value;
    return true;
  }
  if (stack_.size() == 2 && in_items()) {
    deliver(value);
    return true;
  }
  Frame& top = stack_.back();
  if (top.kind == ValueKind::map) {
    value.name = *std::exchange(top.name, std::nullopt);
    // YAML 1.1's merge key, which Kubernetes' own tools honour.
    if (value.name == "<<" && value.kind != ValueKind::text) return add_merge(top, value);
  } else {
    value.name = {};
  }
  children_.push_back(value);
  return true;
}

void TreeBuilder::deliver(const Value& item) {
  items_(document_, item_++, item);
  // What an anchor names may be in any arena.
  if (!anchors_.empty()) return;
  item_arena_.release();
  values_ = 0;
}

bool TreeBuilder::scalar(ValueKind kind, std::string_view text, unsigned line,
                         std::string_view anchor) {
  Value value;
  value.kind = kind;
  value.line = line;
  value.scalar = keep(text);
  if (!remember(anchor, value)) return false;
  if (wants_name()) {
    stack_.back().name = value.scalar;
    return true;
  }
  return add(value);
}

bool TreeBuilder::begin(ValueKind kind, unsigned line, std::string_view anchor) {
  if (wants_name()) return refuse(line, "expected a scalar as the name of a field");
  if (stack_.size() >= kMaxDepth)
    return refuse(line, fmt::format("nested deeper than {} levels", kMaxDepth));
  stack_.push_back({.kind = kind,
                    .line = line,
                    .first = children_.size(),
                    .anchor = keep(anchor),
                    .name = {},
                    .merged = {}});
  return true;
}

Value TreeBuilder::keep_container(const Frame& frame) {
  Value value;
  value.kind = frame.kind;
  value.line = frame.line;
  const std::size_t count = children_.size() - frame.first;
  if (count > 0) {
    auto* const at = static_cast<Value*>(arena().allocate(count * sizeof(Value), alignof(Value)));
    std::uninitialized_copy_n(children_.begin() + static_cast<std::ptrdiff_t>(frame.first), count,
                              at);
    value.first = at;
    value.count = static_cast<unsigned>(count);
    children_.resize(frame.first);
  }
  return value;
}

bool TreeBuilder::end() {
  Frame& top = stack_.back();
  if (top.kind == ValueKind::map && !check_names(top.first)) return false;
  if (!top.merged.empty()) merge(top.first, top.merged);
  const Value value = keep_container(top);
  const std::string_view anchor = top.anchor;
  stack_.pop_back();
  return remember(anchor, value) && add(value);
}

bool TreeBuilder::alias(std::string_view anchor, unsigned line) {
  const auto found = anchors_.find(std::string{anchor});
  if (found == anchors_.end())
    return refuse(line, fmt::format("unknown anchor \"{}\"", printable(anchor, 40)));
  copied_ += bytes_in(found->second);
  if (copied_ > kMaxCopied) return refuse(line, "aliases that grow too large");
  Value copy = found->second;
  copy.line = line;
  if (!wants_name()) return add(copy);
  if (copy.count > 0) return refuse(line, "expected a scalar as the name of a field");
  stack_.back().name = copy.scalar;
  return true;
}

bool TreeBuilder::remember(std::string_view anchor, const Value& value) {
  if (anchor.empty()) return true;
  copied_ += bytes_in(value);
  if (copied_ > kMaxCopied) return refuse(value.line, "anchors that grow too large");
  anchors_.insert_or_assign(std::string{anchor}, value);
  return true;
}

bool TreeBuilder::add_merge(Frame& frame, const Value& source) {
  if (source.kind == ValueKind::list) {
    for (const auto& item : source.items()) {
      if (item.kind != ValueKind::map) return refuse(item.line, "expected maps after <<");
      frame.merged.push_back(item);
    }
    return true;
  }
  if (source.kind != ValueKind::map) return refuse(source.line, "expected a map after <<");
  frame.merged.push_back(source);
  return true;
}

// A member that the map names itself wins over a merged one, wherever it stands; then the first.
void TreeBuilder::merge(std::size_t first, const std::vector<Value>& sources) {
  std::unordered_set<std::string_view> names;
  for (std::size_t i = first; i < children_.size(); ++i) names.insert(children_[i].name);
  for (const auto& source : sources)
    for (const auto& member : source.items())
      if (names.insert(member.name).second) children_.push_back(member);
}

bool TreeBuilder::check_names(std::size_t first) {
  const auto* const twice = repeated(std::span{children_}.subspan(first));
  if (twice == nullptr) return true;
  return refuse(twice->line,
                fmt::format("field \"{}\" is there twice", printable(twice->name, 40)));
}

void TreeBuilder::end_document() {
  stack_.clear();
  children_.clear();
  anchors_.clear();
  root_ = {};
  arena_.release();
  item_arena_.release();
  item_ = 0;
  values_ = 0;
  copied_ = 0;
}

}  // namespace weir::manifests
