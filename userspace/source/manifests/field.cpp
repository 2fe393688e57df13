// SPDX-License-Identifier: Apache-2.0
#include "source/manifests/field.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace weir::manifests {
namespace {

std::optional<std::int64_t> integer(const Value& value) {
  if (value.kind != ValueKind::number) return std::nullopt;
  const std::string_view text = value.scalar;
  // A leading zero is octal in YAML 1.1 and decimal for most people: refused rather than guessed.
  const std::size_t first = text.starts_with('-') ? 1 : 0;
  if (text.size() > first + 1 && text[first] == '0') return std::nullopt;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

void Report::add(unsigned line, std::string text) {
  problems_.push_back({line, std::move(text)});
}

std::vector<Problem> Report::take() {
  if (dropped_ > 0)
    problems_.back().text += fmt::format(" (and {} more problems in this object)", dropped_);
  dropped_ = 0;
  return std::exchange(problems_, {});
}

Field Field::child(const Value* value) const {
  Field field;
  field.parent_ = this;
  field.report_ = report_;
  field.value_ = value != nullptr && value->kind != ValueKind::null ? value : nullptr;
  field.line_ = value != nullptr ? value->line : line_;
  return field;
}

Field Field::operator[](std::string_view name) const& {
  Field field = child(value_ == nullptr ? nullptr : value_->find(name));
  field.name_ = name;
  return field;
}

Field Field::item(std::size_t index) const& {
  return item(index, value_->items()[index]);
}

Field Field::item(std::size_t index, const Value& value) const& {
  Field field = child(&value);
  field.index_ = index;
  return field;
}

std::string Field::path() const {
  if (parent_ == nullptr) return {};
  std::string path = parent_->path();
  if (name_.empty()) return fmt::format("{}[{}]", path, index_);
  if (!path.empty()) path += '.';
  return path += printable(name_, 80);
}

void Field::expected(std::string_view what) const {
  if (report_->full()) return report_->drop();  // without the work of writing it
  const std::string where = path();
  const std::string got = value_ == nullptr ? "nothing" : describe(*value_);
  report_->add(line_,
               fmt::format("{}{}expected {}, got {}", where, where.empty() ? "" : ": ", what, got));
}

Field Field::absent() const {
  Field field = *this;
  field.value_ = nullptr;
  return field;
}

Field Field::map() const {
  if (!present() || value_->kind == ValueKind::map) return *this;
  expected("a map");
  return absent();
}

Field Field::list() const {
  if (!present() || value_->kind == ValueKind::list) return *this;
  expected("a list");
  return absent();
}

std::string Field::text(std::string_view fallback) const {
  if (!present()) return std::string{fallback};
  if (value_->kind == ValueKind::text) return std::string{value_->scalar};
  const bool scalar = value_->kind == ValueKind::number || value_->kind == ValueKind::boolean;
  expected(scalar ? "text (in quotes)" : "text");
  return std::string{fallback};
}

std::optional<bool> Field::optional_boolean() const {
  if (!present()) return std::nullopt;
  if (value_->kind != ValueKind::boolean) {
    expected("true or false");
    return std::nullopt;
  }
  const char first = value_->scalar[0];
  if (first == 'o' || first == 'O') return value_->scalar.size() == 2;  // on, off
  return first == 't' || first == 'T' || first == 'y' || first == 'Y';
}

bool Field::boolean(bool fallback) const {
  return optional_boolean().value_or(fallback);
}

std::optional<std::int64_t> Field::number(std::int64_t lowest, std::int64_t highest) const {
  const auto number = value_ == nullptr ? std::nullopt : integer(*value_);
  if (number && *number >= lowest && *number <= highest) return number;
  expected(fmt::format("a number from {} to {}", lowest, highest));
  return std::nullopt;
}

std::optional<Address> Field::address() const {
  const bool text = present() && value_->kind == ValueKind::text;
  const auto address = text ? Address::parse(value_->scalar) : std::nullopt;
  if (!address) {
    expected("an IP address");
    return std::nullopt;
  }
  // Traffic to these is never a service's: taking them over would cut the node off from itself.
  if (address->is_unspecified() || address->is_loopback() || address->is_link_local() ||
      address->is_multicast()) {
    expected("a unicast IP address, neither loopback nor link-local");
    return std::nullopt;
  }
  return address;
}

std::optional<Address> Field::address(Family family) const {
  const auto found = address();
  if (!found || found->family() == family) return found;
  expected(fmt::format("an {} address", to_string(family)));
  return std::nullopt;
}

std::optional<Cidr> Field::range() const {
  std::optional<Cidr> range;
  if (present() && value_->kind == ValueKind::text) {
    std::string_view text = value_->scalar;
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    range = Cidr::parse_within(text);
  }
  if (!range) expected("a block of addresses like 203.0.113.0/24");
  return range;
}

std::map<std::string, std::string> Field::labels() const {
  std::map<std::string, std::string> labels;
  const Field self = map();
  if (!self.present()) return labels;
  for (const Value& value : value_->items()) {
    Field label = self.child(&value);
    label.name_ = value.name;
    labels.emplace(value.name, label.text());
  }
  return labels;
}

}  // namespace weir::manifests
