// SPDX-License-Identifier: Apache-2.0
// What a command prints, as data: filled once, rendered as a table or as JSON, so that the two
// forms cannot disagree.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace weir::cli {

enum class Format : std::uint8_t { table, json };

struct Record;

// Nothing ("-" and null), a text, a number (stays one in JSON, right-aligned in a table), yes or
// no, several texts (joined by commas in a table), or a few named cells.
using Cell = std::variant<std::monostate, std::string, std::uint64_t, bool,
                          std::vector<std::string>, Record>;

// An object in JSON, "name=value name=value" in a table.
struct Record {
  std::vector<std::pair<std::string, Cell>> fields;
};

// Columns are the field names of the JSON form: snake_case, and never renamed.
struct Listing {
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows;  // each as long as columns
};

struct Object;
using Objects = std::vector<Object>;
using Value = std::variant<Cell, Listing, Object, Objects>;

struct Object {
  std::vector<std::pair<std::string, Value>> fields;

  void add(std::string name, Value value) {
    fields.emplace_back(std::move(name), std::move(value));
  }
};

// Ends with a newline.
std::string render(const Value& value, Format format);

}  // namespace weir::cli
