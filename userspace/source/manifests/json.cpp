// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <utility>

#include "source/manifests/tree_builder.hpp"
#include "source/manifests/value.hpp"

namespace weir::manifests {
namespace {

// The line at an offset that only grows.
class LineCounter {
 public:
  explicit LineCounter(std::string_view text) : text_{text} {}
  unsigned at(std::size_t offset) {
    const auto to = std::min(offset, text_.size());
    if (to > offset_) {
      const auto begin = text_.begin();
      line_ += static_cast<unsigned>(std::count(begin + static_cast<std::ptrdiff_t>(offset_),
                                                begin + static_cast<std::ptrdiff_t>(to), '\n'));
      offset_ = to;
    }
    return line_;
  }

 private:
  std::string_view text_;
  std::size_t offset_ = 0;
  unsigned line_ = 1;
};

// RapidJSON's handler, with its names. NOLINTBEGIN(readability-identifier-naming)
// A token ends on the line where the stream stands.
class Handler {
 public:
  Handler(TreeBuilder& builder, const rapidjson::MemoryStream& stream, LineCounter& lines)
      : builder_{builder}, stream_{stream}, lines_{lines} {}

  bool Null() { return scalar(ValueKind::null, "null"); }
  bool Bool(bool value) { return scalar(ValueKind::boolean, value ? "true" : "false"); }
  bool RawNumber(const char* text, rapidjson::SizeType length, bool /*copy*/) {
    return scalar(ValueKind::number, {text, length});
  }
  bool String(const char* text, rapidjson::SizeType length, bool /*copy*/) {
    return scalar(ValueKind::text, {text, length});
  }
  bool Key(const char* text, rapidjson::SizeType length, bool copy) {
    return String(text, length, copy);
  }
  bool StartObject() { return builder_.begin(ValueKind::map, line()); }
  bool StartArray() { return builder_.begin(ValueKind::list, line()); }
  bool EndObject(rapidjson::SizeType /*members*/) { return builder_.end(); }
  bool EndArray(rapidjson::SizeType /*elements*/) { return builder_.end(); }

  // Never called: kParseNumbersAsStringsFlag. The reader's template needs them.
  bool Int(int /*value*/) { return false; }
  bool Uint(unsigned /*value*/) { return false; }
  bool Int64(std::int64_t /*value*/) { return false; }
  bool Uint64(std::uint64_t /*value*/) { return false; }
  bool Double(double /*value*/) { return false; }
  // NOLINTEND(readability-identifier-naming)

 private:
  unsigned line() { return lines_.at(stream_.Tell()); }
  bool scalar(ValueKind kind, std::string_view text) { return builder_.scalar(kind, text, line()); }

  TreeBuilder& builder_;
  const rapidjson::MemoryStream& stream_;
  LineCounter& lines_;
};

bool skip_blanks(rapidjson::MemoryStream& stream, std::size_t size) {
  while (stream.Tell() < size) {
    const char c = stream.Peek();
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return true;
    stream.Take();
  }
  return false;
}

}  // namespace

std::optional<SyntaxError> parse_json(std::string_view text, const DocumentSink& sink,
                                      const ItemSink& items) {
  // Iterative: the depth is the builder's business, not the machine stack's.
  constexpr unsigned kFlags = rapidjson::kParseIterativeFlag | rapidjson::kParseStopWhenDoneFlag |
                              rapidjson::kParseValidateEncodingFlag |
                              rapidjson::kParseNumbersAsStringsFlag;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // byte order mark
  rapidjson::MemoryStream stream{text.data(), text.size()};
  LineCounter lines{text};
  TreeBuilder builder{items};
  Handler handler{builder, stream, lines};
  unsigned document = 0;
  while (skip_blanks(stream, text.size())) {
    builder.begin_document(++document);
    rapidjson::Reader reader;
    const auto result = reader.Parse<kFlags>(stream, handler);
    if (result.Code() == rapidjson::kParseErrorTermination)
      return SyntaxError{document, builder.error_line(),
                         fmt::format("not valid JSON: {}", builder.error())};
    if (result.IsError())
      return SyntaxError{
          document, lines.at(result.Offset()),
          fmt::format("not valid JSON: {}", rapidjson::GetParseError_En(result.Code()))};
    sink(document, builder.root());
    builder.end_document();
  }
  return std::nullopt;
}

}  // namespace weir::manifests
