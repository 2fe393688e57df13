// SPDX-License-Identifier: Apache-2.0
// Reading fields of a document: each reader returns the value or reports what was expected, once,
// with line and path ("spec.ports[0].port"), and returns its fallback.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/address.hpp"
#include "source/manifests/value.hpp"

namespace weir::manifests {

// Where something stands in the manifests.
struct Place {
  std::shared_ptr<const std::string> file;  // its path, never null
  unsigned document = 0;
  unsigned line = 0;
};

struct Problem {
  unsigned line = 0;
  std::string text;  // "spec.ports[0].port: expected ..., got ..."
};

// The problems of one object. An object with any is not used.
class Report {
 public:
  void add(unsigned line, std::string text);
  [[nodiscard]] bool empty() const { return problems_.empty(); }
  [[nodiscard]] bool full() const { return problems_.size() >= kMax; }
  void drop() { ++dropped_; }
  // At most kMax; the last one then says how many more there are.
  [[nodiscard]] std::vector<Problem> take();

  static constexpr std::size_t kMax = 20;

 private:
  std::vector<Problem> problems_;
  std::size_t dropped_ = 0;
};

// One name of a closed set: {"TCP", Protocol::tcp}.
template <class T>
using Choice = std::pair<std::string_view, T>;

// A view of one value and the way to it. The parent must outlive it, hence no calls of [] or
// item() on temporaries.
class Field {
 public:
  Field(const Value& root, Report& report) : value_{&root}, report_{&report}, line_{root.line} {}

  // The member: absent if this is no map, has no such member or has null there. "metadata" alone
  // may name a member.
  Field operator[](std::string_view name) const&;
  Field operator[](std::string_view name) const&& = delete;
  Field item(std::size_t index) const&;
  Field item(std::size_t index) const&& = delete;
  // The same of an item that is not in the tree.
  Field item(std::size_t index, const Value& value) const&;

  [[nodiscard]] bool present() const { return value_ != nullptr; }
  [[nodiscard]] unsigned line() const { return line_; }  // of the parent, if absent
  [[nodiscard]] const Value* value() const { return value_; }
  [[nodiscard]] std::string path() const;

  // The same field if it is absent or of that kind; else a report and an absent field.
  [[nodiscard]] Field map() const;
  [[nodiscard]] Field list() const;
  [[nodiscard]] std::size_t size() const { return value_ == nullptr ? 0 : value_->count; }

  [[nodiscard]] std::string text(std::string_view fallback = {}) const;
  [[nodiscard]] bool boolean(bool fallback) const;
  [[nodiscard]] std::optional<bool> optional_boolean() const;
  // A number from lowest to highest, or a report and nothing. Absent is a report too.
  [[nodiscard]] std::optional<std::int64_t> number(std::int64_t lowest, std::int64_t highest) const;
  [[nodiscard]] std::optional<Address> address() const;
  [[nodiscard]] std::optional<Address> address(Family family) const;
  // A block of addresses, or a report and nothing. Blanks around it and host bits are ignored.
  [[nodiscard]] std::optional<Cidr> range() const;
  [[nodiscard]] std::map<std::string, std::string> labels() const;

  template <class T, std::size_t N>
  [[nodiscard]] T choice(const std::array<Choice<T>, N>& choices, T fallback) const {
    if (!present()) return fallback;
    std::string names;
    for (const auto& [name, result] : choices) {
      if (value_->kind == ValueKind::text && value_->scalar == name) return result;
      names += (names.empty() ? "" : ", ") + std::string{name};
    }
    expected((N > 1 ? "one of " : "") + names);
    return fallback;
  }

  // Reports "PATH: expected WHAT, got VALUE".
  void expected(std::string_view what) const;

 private:
  Field() = default;
  [[nodiscard]] Field absent() const;
  [[nodiscard]] Field child(const Value* value) const;

  const Value* value_ = nullptr;
  const Field* parent_ = nullptr;
  Report* report_ = nullptr;
  std::string_view name_;  // empty: an item
  std::size_t index_ = 0;
  unsigned line_ = 0;
};

}  // namespace weir::manifests
