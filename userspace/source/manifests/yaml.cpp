// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <yaml.h>

#include <algorithm>
#include <array>
#include <utility>

#include "source/manifests/tree_builder.hpp"
#include "source/manifests/value.hpp"

namespace weir::manifests {
namespace {

std::string_view view(const yaml_char_t* text, std::size_t length) {
  return {reinterpret_cast<const char*>(text), length};
}
std::string_view view(const yaml_char_t* text) {
  return text == nullptr ? std::string_view{}
                         : std::string_view{reinterpret_cast<const char*>(text)};
}

unsigned line_of(const yaml_mark_t& mark) {
  return static_cast<unsigned>(mark.line) + 1;
}

template <std::size_t N>
bool any_of(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Integers and floats of YAML 1.1 as far as they can stand in a manifest; "10.0.0.1" is none.
bool looks_like_number(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (text == ".inf" || text == ".Inf" || text == ".nan" || text == ".NaN") return true;
  if (text.starts_with("0x") || text.starts_with("0o") || text.starts_with("0b"))
    return text.size() > 2 && std::all_of(text.begin() + 2, text.end(), [](char c) {
             return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '_';
           });
  const auto digits = [&text] {
    std::size_t n = 0;
    while (n < text.size() && (is_digit(text[n]) || (n > 0 && text[n] == '_'))) ++n;
    text.remove_prefix(n);
    return n;
  };
  std::size_t mantissa = digits();
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    mantissa += digits();
  }
  if (mantissa == 0) return false;
  if (!text.starts_with('e') && !text.starts_with('E')) return text.empty();
  text.remove_prefix(1);
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return digits() > 0 && text.empty();
}

// The words of YAML 1.1 as Kubernetes' own tools read them: yes and on are booleans too.
ValueKind kind_of_plain(std::string_view text) {
  static constexpr std::array<std::string_view, 5> kNull{"", "~", "null", "Null", "NULL"};
  static constexpr std::array<std::string_view, 18> kBoolean{
      "true", "True", "TRUE", "false", "False", "FALSE", "yes", "Yes", "YES",
      "no",   "No",   "NO",   "on",    "On",    "ON",    "off", "Off", "OFF"};
  if (any_of(text, kNull)) return ValueKind::null;
  if (any_of(text, kBoolean)) return ValueKind::boolean;
  return looks_like_number(text) ? ValueKind::number : ValueKind::text;
}

ValueKind kind_of(const yaml_event_t& event) {
  const auto& scalar = event.data.scalar;
  const bool plain = scalar.style == YAML_PLAIN_SCALAR_STYLE && scalar.tag == nullptr;
  // A tagged scalar is what its tag says; of the tags, only !!str is of use in a manifest.
  const bool text = !plain && (scalar.tag == nullptr || view(scalar.tag) == YAML_STR_TAG);
  return text ? ValueKind::text : kind_of_plain(view(scalar.value, scalar.length));
}

// One parser and the event it stands at: libyaml frees neither by itself.
class Reader {
 public:
  Reader(std::string_view text, const DocumentSink& sink, const ItemSink& items)
      : text_{text}, sink_{sink}, builder_{items} {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { yaml_parser_delete(&parser_); }

  std::optional<SyntaxError> run() {
    while (true) {
      yaml_event_t event;
      if (yaml_parser_parse(&parser_, &event) == 0) return parser_error();
      const bool last = event.type == YAML_STREAM_END_EVENT || event.type == YAML_NO_EVENT;
      const bool taken = take(event);
      yaml_event_delete(&event);
      if (!taken) return error(builder_.error_line(), builder_.error());
      if (last) return std::nullopt;
    }
  }

 private:
  bool take(const yaml_event_t& event) {
    const unsigned line = line_of(event.start_mark);
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        builder_.begin_document(++document_);
        in_document_ = true;
        return true;
      case YAML_DOCUMENT_END_EVENT:
        sink_(document_, builder_.root());
        builder_.end_document();
        in_document_ = false;
        return true;
      case YAML_ALIAS_EVENT:
        return builder_.alias(view(event.data.alias.anchor), line);
      case YAML_SCALAR_EVENT:
        return builder_.scalar(kind_of(event),
                               view(event.data.scalar.value, event.data.scalar.length), line,
                               view(event.data.scalar.anchor));
      case YAML_SEQUENCE_START_EVENT:
        return builder_.begin(ValueKind::list, line, view(event.data.sequence_start.anchor));
      case YAML_MAPPING_START_EVENT:
        return builder_.begin(ValueKind::map, line, view(event.data.mapping_start.anchor));
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT:
        return builder_.end();
      case YAML_NO_EVENT:
      case YAML_STREAM_START_EVENT:
      case YAML_STREAM_END_EVENT:
        return true;
    }
    return true;
  }

  SyntaxError error(unsigned line, std::string_view why) const {
    return {document_, line, fmt::format("not valid YAML: {}", why)};
  }

  SyntaxError parser_error() {
    const std::string_view problem =
        parser_.problem == nullptr ? "cannot be read" : parser_.problem;
    if (parser_.error == YAML_READER_ERROR) return encoding_error(problem);
    // The error may be in the very first token of a document.
    if (!in_document_) ++document_;
    const unsigned line = line_of(parser_.problem_mark);
    if (parser_.context == nullptr) return error(line, problem);
    return error(line, fmt::format("{} {}", problem, parser_.context));
  }

  // These come when a block is read, long before the parser is there, and know their offset only.
  SyntaxError encoding_error(std::string_view problem) {
    const auto before = text_.substr(0, parser_.problem_offset);
    const auto line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    document_ = 1;
    const DocumentSink count = [this](unsigned document, const Value&) { document_ = document; };
    if (const auto earlier = Reader{before.substr(0, line_start), count, {}}.run())
      document_ = earlier->document;
    const auto newlines = std::count(before.begin(), before.end(), '\n');
    return error(static_cast<unsigned>(newlines) + 1, problem);
  }

  std::string_view text_;
  const DocumentSink& sink_;
  TreeBuilder builder_;
  yaml_parser_t parser_{};
  unsigned document_ = 0;
  bool in_document_ = false;
};

}  // namespace

std::optional<SyntaxError> parse_yaml(std::string_view text, const DocumentSink& sink,
                                      const ItemSink& items) {
  return Reader{text, sink, items}.run();
}

}  // namespace weir::manifests
