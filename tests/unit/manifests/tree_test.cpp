// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "source/manifests/tree_builder.hpp"
#include "source/manifests/value.hpp"
#include "support/catch.hpp"

using weir::manifests::parse_json;
using weir::manifests::parse_yaml;
using weir::manifests::Value;
using weir::manifests::ValueKind;

namespace {

// "{a@1: [1@2 \"x\"@2]@2}@1": the whole tree on one line, each value with its line.
std::string show(const Value& value) {
  std::string inside = weir::manifests::describe(value);
  if (value.kind == ValueKind::list || value.kind == ValueKind::map) {
    inside.clear();
    for (const Value& item : value.items())
      inside += (inside.empty() ? "" : " ") +
                (item.name.empty() ? "" : std::string{item.name} + ": ") + show(item);
    inside = value.kind == ValueKind::list ? "[" + inside + "]" : "{" + inside + "}";
  }
  return fmt::format("{}@{}", inside, value.line);
}

template <class Parse>
std::string parsed(Parse parse, std::string_view text) {
  std::string all;
  const auto document = [&](unsigned number, const Value& root) {
    all += fmt::format("{}{}#{}", all.empty() ? "" : " ", show(root), number);
  };
  const auto error = parse(text, document, {});
  if (error) all += fmt::format("!{}:{}: {}", error->document, error->line, error->text);
  return all;
}
// The items of Lists are shown where they come: "0:{a: 1@1}#1".
template <class Parse>
std::string streamed(Parse parse, std::string_view text) {
  std::string all;
  const auto add = [&](const std::string& one) { all += (all.empty() ? "" : " ") + one; };
  const auto error = parse(
      text,
      [&](unsigned number, const Value& root) { add(fmt::format("{}#{}", show(root), number)); },
      [&](unsigned number, std::size_t index, const Value& item) {
        add(fmt::format("{}:{}#{}", index, show(item), number));
      });
  if (error) add(error->text);
  return all;
}
std::string yaml(std::string_view text) {
  return parsed(parse_yaml, text);
}
std::string json(std::string_view text) {
  return parsed(parse_json, text);
}

}  // namespace

TEST_CASE("YAML: values, kinds, lines and documents") {
  CHECK(yaml("a: 1\nb:\n  - x\n  - 'y'\n") == "{a: 1@1 b: [\"x\"@3 \"y\"@4]@3}@1#1");
  CHECK(yaml("a: 1\n---\n\nb: 2\n---\n") == "{a: 1@1}@1#1 {b: 2@4}@4#2 nothing@6#3");
  CHECK(yaml("---\n# only a comment\n---\na: 1\n") == "nothing@3#1 {a: 1@4}@4#2");
  CHECK(yaml("").empty());
  CHECK(yaml("# nothing\n").empty());
  CHECK(yaml("[~, null, true, no, 80, -1, 8e3, 1.5, 0x10, .inf, 010]") ==
        "[nothing@1 nothing@1 true@1 no@1 80@1 -1@1 8e3@1 1.5@1 0x10@1 .inf@1 010@1]@1#1");
  CHECK(yaml("[10.0.0.1, '80', \"true\", 1.2.3, 80/tcp, e3, '', -, 0xg]") ==
        "[\"10.0.0.1\"@1 \"80\"@1 \"true\"@1 \"1.2.3\"@1 \"80/tcp\"@1 \"e3\"@1 \"\"@1 \"-\"@1 "
        "\"0xg\"@1]@1#1");
  CHECK(yaml("a: !!str 80\nb: |\n  text\n") == "{a: \"80\"@1 b: \"text\\x0a\"@2}@1#1");
}

TEST_CASE("YAML: anchors, aliases and merge keys") {
  CHECK(yaml("a: &x {b: 1}\nc: *x\n") == "{a: {b: 1@1}@1 c: {b: 1@1}@2}@1#1");
  CHECK(yaml("- &x {b: 1, c: 2}\n- {<<: *x, c: 3}\n") ==
        "[{b: 1@1 c: 2@1}@1 {c: 3@2 b: 1@1}@2]@1#1");
  CHECK(yaml("a: *x\n") == "!1:1: not valid YAML: unknown anchor \"x\"");
  // An anchor ends with its document.
  CHECK(yaml("a: &x 1\n---\nb: *x\n") == "{a: 1@1}@1#1!2:3: not valid YAML: unknown anchor \"x\"");
}

TEST_CASE("YAML: aliases of aliases are cut off") {
  std::string laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol]\n";
  for (int i = 1; i < 20; ++i)
    laughs += fmt::format("a{0}: &a{0} [*a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}]\n",
                          i, i - 1);
  const std::string error = yaml(laughs);
  CHECK(error.find("grow too large") != std::string::npos);
  // One large text many times is the same attack.
  std::string large = "a: &x " + std::string(1'000'000, 'x') + "\nb: [*x";
  for (int i = 0; i < 100; ++i) large += ", *x";
  CHECK(yaml(large + "]\n") == "!1:2: not valid YAML: aliases that grow too large");
}

TEST_CASE("YAML: errors say where") {
  CHECK(yaml("a: 1\nb: [1, 2\nc: 3\n").starts_with("!1:3: not valid YAML: "));
  CHECK(yaml("a: 1\n---\nb: 'x\n").starts_with("{a: 1@1}@1#1!2:"));
  CHECK(yaml("a: 1\n\tb: 2\n").starts_with("!1:2: not valid YAML: "));
  CHECK(yaml("a: 1\nb: 2\na: 3\n") == "!1:3: not valid YAML: field \"a\" is there twice");
  CHECK(yaml("a: 1\nb: \xff\n") == "!1:2: not valid YAML: invalid leading UTF-8 octet");
  CHECK(yaml("a: 1\n---\nb: 1\nc: \xff\n") == "!2:4: not valid YAML: invalid leading UTF-8 octet");
  CHECK(yaml(std::string_view{"a: 1\nb: \0\n", 10}) ==
        "!1:2: not valid YAML: control characters are not allowed");
  CHECK(yaml("a: 1\n...\n%YAML 9.9\n---\n").starts_with("{a: 1@1}@1#1!2:3: not valid YAML: "));
  CHECK(yaml("a: 1\n---\n@\n").starts_with("{a: 1@1}@1#1!2:3: not valid YAML: "));
  CHECK(yaml("? [a]\n: 1\n") == "!1:1: not valid YAML: expected a scalar as the name of a field");
}

TEST_CASE("depth is bounded") {
  const auto nested = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  constexpr auto kMax = weir::manifests::TreeBuilder::kMaxDepth;
  CHECK(yaml(nested(kMax)).find('!') == std::string::npos);
  CHECK(json(nested(kMax)).find('!') == std::string::npos);
  CHECK(yaml(nested(kMax + 1)) == "!1:1: not valid YAML: nested deeper than 64 levels");
  CHECK(json(nested(kMax + 1)) == "!1:1: not valid JSON: nested deeper than 64 levels");
  CHECK(json(std::string(3'000'000, '[')) == "!1:1: not valid JSON: nested deeper than 64 levels");
  CHECK(yaml(std::string(3'000'000, '[')) == "!1:1: not valid YAML: nested deeper than 64 levels");
  CHECK(yaml(std::string(300'000, '{')).find("not valid YAML") != std::string::npos);
}

TEST_CASE("JSON: values, lines, several documents and errors") {
  CHECK(json("{\"a\": 1,\n \"b\": [true, null,\n \"x\\ny\"]}\n") ==
        "{a: 1@1 b: [true@2 nothing@2 \"x\\x0ay\"@3]@2}@1#1");
  CHECK(json("{\"a\": 1}\n\n{\"b\": 2}\n") == "{a: 1@1}@1#1 {b: 2@3}@3#2");
  CHECK(json("  \n ").empty());
  CHECK(json("\xef\xbb\xbf{}") == "{}@1#1");
  CHECK(json("[1e40, 99999999999999999999999999, -0.5]") ==
        "[1e40@1 99999999999999999999999999@1 -0.5@1]@1#1");
  CHECK(json("{\"a\": 1,\n\n \"b\" 2}").starts_with("!1:3: not valid JSON: "));
  CHECK(json("{\"a\": 1}\n{").starts_with("{a: 1@1}@1#1!2:2: not valid JSON: "));
  CHECK(json("{\"a\": \"\xff\"}").starts_with("!1:1: not valid JSON: "));
  CHECK(json(std::string_view{"{}\0{}", 5}).starts_with("{}@1#1!2:1: not valid JSON: "));
  CHECK(json("{\"a\": 1, \"a\": 2}") == "!1:1: not valid JSON: field \"a\" is there twice");
}

TEST_CASE("items of a document come one by one, and then the document without them") {
  CHECK(streamed(parse_json, "{\"a\": 1, \"items\": [{\"b\": [2]}, null,\n \"x\"], \"c\": 3}") ==
        "0:{b: [2@1]@1}@1#1 1:nothing@1#1 2:\"x\"@2#1 {a: 1@1 items: []@1 c: 3@2}@1#1");
  CHECK(streamed(parse_yaml, "items:\n- a: {items: [1, 2]}\n---\nitems: [3]\n") ==
        "0:{a: {items: [1@2 2@2]@2}@2}@2#1 {items: []@2}@1#1 0:3@4#2 {items: []@4}@4#2");
  // Of no map, or no list.
  CHECK(streamed(parse_yaml, "[[1]]\n---\nitems: {a: [1]}\n") ==
        "[[1@1]@1]@1#1 {items: {a: [1@3]@3}@3}@3#2");
  CHECK(streamed(parse_json, "{\"items\": [1], \"items\": [2]}") ==
        "0:1@1#1 1:2@1#1 not valid JSON: field \"items\" is there twice");
}

TEST_CASE("anchors reach from one item into the next") {
  CHECK(
      streamed(parse_yaml, "a: &o {x: 1}\nitems:\n- &i {b: [1]}\n- *i\n- *o\n- {<<: *i, c: 2}\n") ==
      "0:{b: [1@3]@3}@3#1 1:{b: [1@3]@3}@4#1 2:{x: 1@1}@5#1 3:{c: 2@6 b: [1@3]@3}@6#1 "
      "{a: {x: 1@1}@1 items: []@3}@1#1");
  // A list that has a name stays where others may look for it.
  CHECK(streamed(parse_yaml, "items: &l [1]\nb: *l\n") == "{items: [1@1]@1 b: [1@1]@2}@1#1");
}

TEST_CASE("what is shown of a value is one short printable line") {
  using weir::manifests::printable;
  CHECK(printable("a\nb\x1b[31m") == "a\\x0ab\\x1b[31m");
  CHECK(printable("gr\xc3\xbc\xc3\x9f") == "gr\xc3\xbc\xc3\x9f");
  CHECK(printable("\xc2\x9b") == "\\xc2\\x9b");  // a control character of its own
  CHECK(printable("\xc3") == "\\xc3");
  CHECK(printable("\xe2\x82") == "\\xe2\\x82");
  CHECK(printable(std::string(1'000, 'x'), 10) == "xxxxxxxxxx...");
}
