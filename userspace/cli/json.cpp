// SPDX-License-Identifier: Apache-2.0
#include "cli/json.hpp"

#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

namespace weir::cli {
namespace {

using Writer = rapidjson::PrettyWriter<rapidjson::StringBuffer>;

void write(Writer& out, const std::string& text) {
  out.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
}

struct WriteCell {
  Writer& out;

  void operator()(std::monostate) const { out.Null(); }
  void operator()(const std::string& text) const { write(out, text); }
  void operator()(std::uint64_t number) const { out.Uint64(number); }
  void operator()(bool yes) const { out.Bool(yes); }
  void operator()(const std::vector<std::string>& texts) const {
    out.StartArray();
    for (const auto& text : texts) write(out, text);
    out.EndArray();
  }
  void operator()(const Record& record) const {
    out.StartObject();
    for (const auto& [name, cell] : record.fields) {
      write(out, name);
      std::visit(*this, cell);
    }
    out.EndObject();
  }
};

struct WriteValue {
  Writer& out;

  void operator()(const Cell& cell) const { std::visit(WriteCell{out}, cell); }

  void operator()(const Listing& listing) const {
    out.StartArray();
    for (const auto& row : listing.rows) {
      out.StartObject();
      for (std::size_t i = 0; i < row.size(); ++i) {
        write(out, listing.columns[i]);
        (*this)(row[i]);
      }
      out.EndObject();
    }
    out.EndArray();
  }

  void operator()(const Object& object) const {
    out.StartObject();
    for (const auto& [name, value] : object.fields) {
      write(out, name);
      std::visit(*this, value);
    }
    out.EndObject();
  }

  void operator()(const Objects& objects) const {
    out.StartArray();
    for (const auto& object : objects) (*this)(object);
    out.EndArray();
  }
};

}  // namespace

std::string to_json(const Value& value) {
  rapidjson::StringBuffer buffer;
  Writer out{buffer};
  out.SetIndent(' ', 2);
  std::visit(WriteValue{out}, value);
  return std::string{buffer.GetString(), buffer.GetSize()} + "\n";
}

}  // namespace weir::cli
