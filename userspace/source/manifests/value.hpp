// SPDX-License-Identifier: Apache-2.0
// A YAML or JSON document as a tree of values that know their line.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::manifests {

enum class ValueKind : std::uint8_t { null, boolean, number, text, list, map };

struct Value {
  ValueKind kind = ValueKind::null;
  unsigned line = 0;               // 1 is the first line of the file
  std::string scalar;              // as written: "true", "8e3"; of text, its content
  std::vector<std::string> names;  // of a map, in the order of the file; none twice
  std::vector<Value> items;        // of a list, or of a map beside names

  [[nodiscard]] const Value* find(std::string_view name) const;
};

// What a problem calls a value: "http" in quotes, 70000 and true bare, "a list", "nothing".
// One line, printable, and short, whatever the file holds.
std::string describe(const Value& value);
// The text with everything that is not printable ASCII or valid UTF-8 escaped, cut at `limit`
// bytes.
std::string printable(std::string_view text, std::size_t limit = 256);

struct SyntaxError {
  unsigned document = 0;  // 1 is the first
  unsigned line = 0;
  std::string text;  // "not valid YAML: ..."
};

// Called with each document in order, numbered from 1. Documents before an error are delivered.
using DocumentSink = std::function<void(unsigned document, const Value& root)>;

std::optional<SyntaxError> parse_yaml(std::string_view text, const DocumentSink& sink);
std::optional<SyntaxError> parse_json(std::string_view text, const DocumentSink& sink);

}  // namespace weir::manifests
