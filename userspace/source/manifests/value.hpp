// SPDX-License-Identifier: Apache-2.0
// A YAML or JSON document as a tree of values that know their line.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace weir::manifests {

enum class ValueKind : std::uint8_t { null, boolean, number, text, list, map };

// A view: texts and items belong to whoever made the tree.
struct Value {
  std::string_view name;    // of a map's member
  std::string_view scalar;  // as written: "true", "8e3"; of text, its content
  const Value* first = nullptr;
  unsigned count = 0;
  unsigned line = 0;  // 1 is the first line of the file
  ValueKind kind = ValueKind::null;

  // Of a list, or the members of a map in the order of the file; no name twice.
  [[nodiscard]] std::span<const Value> items() const { return {first, count}; }
  [[nodiscard]] const Value* find(std::string_view member) const;
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

// Called with each document in order, numbered from 1, as it is complete: the tree lasts no longer
// than the call. Documents before an error are delivered.
using DocumentSink = std::function<void(unsigned document, const Value& root)>;
// Called with what is in the list "items" of a document that is a map, each before the next is
// read and before the document itself, which then has none of them: a List of a whole cluster is
// never in memory as a tree. Without a sink they stay in the document.
using ItemSink = std::function<void(unsigned document, std::size_t index, const Value& item)>;

std::optional<SyntaxError> parse_yaml(std::string_view text, const DocumentSink& sink,
                                      const ItemSink& items = {});
std::optional<SyntaxError> parse_json(std::string_view text, const DocumentSink& sink,
                                      const ItemSink& items = {});

}  // namespace weir::manifests
