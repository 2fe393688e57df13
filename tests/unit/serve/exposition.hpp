// SPDX-License-Identifier: Apache-2.0
// Reads Prometheus' text format, version 0.0.4, as its documentation has it, and takes nothing
// else.
#pragma once

#include <cctype>
#include <charconv>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace weir::test {

using LabelSet = std::map<std::string, std::string>;

struct ExposedFamily {
  std::string type;
  std::string help;
  std::map<std::pair<std::string, LabelSet>, double> samples;  // by name ("..._bucket") and labels
};

class Exposition {
 public:
  explicit Exposition(const std::string& text) {
    if (text.empty() || text.back() != '\n') bad("no end of line at the end", {});
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) read(line);
  }

  [[nodiscard]] const std::map<std::string, ExposedFamily>& families() const { return families_; }
  [[nodiscard]] bool has(const std::string& name, const LabelSet& labels = {}) const {
    return find(name, labels) != nullptr;
  }
  // Of the sample with exactly these labels; it is there.
  [[nodiscard]] double value(const std::string& name, const LabelSet& labels = {}) const {
    const double* found = find(name, labels);
    if (found == nullptr) bad("no such sample", name);
    return *found;
  }

 private:
  [[noreturn]] static void bad(const char* why, std::string_view line) {
    throw std::runtime_error{std::string{why} + ": " + std::string{line}};
  }

  static bool name_character(char c, bool first) {
    return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || c == ':' ||
           (!first && std::isdigit(static_cast<unsigned char>(c)) != 0);
  }

  static std::string take_name(std::string_view& rest) {
    std::size_t end = 0;
    while (end < rest.size() && name_character(rest[end], end == 0)) ++end;
    if (end == 0) bad("no name", rest);
    std::string name{rest.substr(0, end)};
    rest.remove_prefix(end);
    return name;
  }

  static void take(std::string_view& rest, char c) {
    if (rest.empty() || rest.front() != c) bad("something else expected", rest);
    rest.remove_prefix(1);
  }

  static std::string take_quoted(std::string_view& rest) {
    take(rest, '"');
    std::string text;
    while (!rest.empty() && rest.front() != '"') {
      char c = rest.front();
      rest.remove_prefix(1);
      if (c == '\\') {
        if (rest.empty()) bad("cut escape", text);
        c = rest.front();
        rest.remove_prefix(1);
        if (c == 'n')
          c = '\n';
        else if (c != '\\' && c != '"')
          bad("unknown escape", text);
      }
      text += c;
    }
    take(rest, '"');
    return text;
  }

  static LabelSet take_labels(std::string_view& rest) {
    LabelSet labels;
    if (rest.empty() || rest.front() != '{') return labels;
    take(rest, '{');
    while (!rest.starts_with('}')) {
      const auto name = take_name(rest);
      take(rest, '=');
      if (!labels.emplace(name, take_quoted(rest)).second) bad("label twice", name);
      if (!rest.starts_with('}')) take(rest, ',');
    }
    take(rest, '}');
    return labels;
  }

  void read(std::string_view line) {
    if (line.starts_with("# HELP "))
      header(line.substr(7), &ExposedFamily::help);
    else if (line.starts_with("# TYPE "))
      header(line.substr(7), &ExposedFamily::type);
    else
      sample(line);
  }

  // Both in front of the family's samples, and each family in one piece.
  void header(std::string_view rest, std::string ExposedFamily::* field) {
    const auto name = take_name(rest);
    take(rest, ' ');
    if (current_ != name && families_.contains(name)) bad("family twice", name);
    current_ = name;
    auto& family = families_[name];
    if (!(family.*field).empty() || !family.samples.empty()) bad("header twice or late", name);
    family.*field = rest;
  }

  void sample(std::string_view line) {
    auto rest = line;
    const auto name = take_name(rest);
    auto& family = families_[current_];
    const bool parts = family.type == "histogram";
    if (parts ? name != current_ + "_bucket" && name != current_ + "_sum" &&
                    name != current_ + "_count"
              : name != current_)
      bad("sample outside of its family", line);
    auto labels = take_labels(rest);
    take(rest, ' ');
    double value = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (error != std::errc{} || end != rest.data() + rest.size()) bad("no number", line);
    if (!family.samples.emplace(std::pair{name, std::move(labels)}, value).second)
      bad("series twice", line);
  }

  [[nodiscard]] const double* find(const std::string& name, const LabelSet& labels) const {
    for (const auto& [family, content] : families_) {
      const auto found = content.samples.find({name, labels});
      if (found != content.samples.end()) return &found->second;
    }
    return nullptr;
  }

  std::map<std::string, ExposedFamily> families_;
  std::string current_;
};

}  // namespace weir::test
