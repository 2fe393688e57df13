// SPDX-License-Identifier: Apache-2.0
#include "cli/output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "cli/json.hpp"

namespace weir::cli {
namespace {

// What a terminal would obey is shown as '?': names of devices may hold any byte.
std::string printable(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return text;
}

struct Plain {
  std::string operator()(std::monostate) const { return "-"; }
  std::string operator()(const std::string& text) const {
    return text.empty() ? "-" : printable(text);
  }
  std::string operator()(std::uint64_t number) const { return fmt::format("{}", number); }
  std::string operator()(bool yes) const { return yes ? "yes" : "no"; }
  std::string operator()(const std::vector<std::string>& texts) const {
    return texts.empty() ? "-" : printable(fmt::format("{}", fmt::join(texts, ", ")));
  }
  std::string operator()(const Record& record) const {
    std::string out;
    for (const auto& [name, cell] : record.fields)
      out += fmt::format("{}{}={}", out.empty() ? "" : " ", name, std::visit(*this, cell));
    return out;
  }
};

std::string plain(const Cell& cell) {
  return std::visit(Plain{}, cell);
}

// "cluster_endpoints" is headed CLUSTER-ENDPOINTS.
std::string heading(std::string_view column) {
  std::string out;
  for (const char c : column) out += c == '_' ? '-' : c >= 'a' && c <= 'z' ? char(c - 32) : c;
  return out;
}

struct Column {
  std::size_t width = 0;
  bool number = false;
};

bool is_number(const Listing& listing, std::size_t column) {
  bool found = false;
  for (const auto& row : listing.rows) {
    const bool number = std::holds_alternative<std::uint64_t>(row[column]);
    if (!number && !std::holds_alternative<std::monostate>(row[column])) return false;
    found = found || number;
  }
  return found;
}

void append_line(std::string& out, const std::vector<Column>& columns,
                 const std::vector<std::string>& texts) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const bool last = i + 1 == texts.size();
    if (columns[i].number)
      out += fmt::format("{:>{}}", texts[i], columns[i].width);
    else
      out += fmt::format("{:<{}}", texts[i], last ? 0 : columns[i].width);
    out += last ? "\n" : "  ";
  }
}

std::string table(const Listing& listing) {
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> lines(1);
  for (std::size_t i = 0; i < listing.columns.size(); ++i) {
    lines[0].push_back(heading(listing.columns[i]));
    columns.push_back({lines[0].back().size(), is_number(listing, i)});
  }
  for (const auto& row : listing.rows) {
    auto& line = lines.emplace_back();
    for (std::size_t i = 0; i < row.size(); ++i) {
      line.push_back(plain(row[i]));
      columns[i].width = std::max(columns[i].width, line.back().size());
    }
  }
  std::string out;
  for (const auto& line : lines) append_line(out, columns, line);
  return out;
}

std::string indented(std::string_view text, std::size_t by) {
  std::string out;
  for (const auto line : std::views::split(text, '\n')) {
    const std::string_view content{line.begin(), line.end()};
    if (!content.empty()) out += fmt::format("{:{}}{}\n", "", by, content);
  }
  return out;
}

struct AsText {
  std::string operator()(const Cell& cell) const { return plain(cell) + "\n"; }
  std::string operator()(const Listing& listing) const { return table(listing); }

  // "name: value" lines with the values in one column; what is larger follows under its name.
  std::string operator()(const Object& object) const {
    std::size_t width = 0;
    for (const auto& [name, value] : object.fields)
      if (std::holds_alternative<Cell>(value)) width = std::max(width, name.size() + 2);
    std::string out;
    for (const auto& [name, value] : object.fields) {
      std::string title = name;
      std::ranges::replace(title, '_', ' ');
      if (const auto* cell = std::get_if<Cell>(&value))
        out += fmt::format("{:<{}}{}\n", title + ":", width, plain(*cell));
      else
        out += fmt::format("{}:\n{}", title, indented(std::visit(*this, value), 2));
    }
    return out;
  }

  std::string operator()(const Objects& objects) const {
    std::string out;
    for (const auto& object : objects) out += (out.empty() ? "" : "\n") + (*this)(object);
    return out;
  }
};

}  // namespace

std::string render(const Value& value, Format format) {
  return format == Format::json ? to_json(value) : std::visit(AsText{}, value);
}

}  // namespace weir::cli
