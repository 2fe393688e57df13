// SPDX-License-Identifier: Apache-2.0
// Bodies as documents: cut anywhere, of any size, and of any rubbish.
#include <rapidjson/document.h>

#include <fstream>
#include <sstream>

#include "source/kubernetes/object_stream.hpp"
#include "support/catch.hpp"
#include "unit/kubernetes/recorded.hpp"

namespace weir::test {
namespace {

using kubernetes::ObjectStream;
using manifests::Value;

std::string text_at(const Value& root, const std::vector<std::string>& path) {
  const Value* at = &root;
  for (const auto& name : path) {
    at = at->kind == manifests::ValueKind::map ? at->find(name) : nullptr;
    if (at == nullptr) return "-";
  }
  return std::string{at->scalar};
}

struct Read {
  std::vector<std::string> documents;  // what text_at() says of each
  std::vector<std::string> items;
  Result<> how;
};

Read read(std::string_view text, std::size_t piece, const std::vector<std::string>& path) {
  Read all;
  ObjectStream stream{{.item = [&](const Value& v) { all.items.push_back(text_at(v, path)); },
                       .document =
                           [&](const Value& v) {
                             all.documents.push_back(text_at(v, path));
                             return true;
                           }}};
  while (!text.empty() && all.how) {
    all.how = stream.feed(text.substr(0, piece));
    text.remove_prefix(std::min(piece, text.size()));
  }
  if (all.how) all.how = stream.finish();
  return all;
}

std::size_t resident_kilobytes() {
  std::ifstream file{"/proc/self/statm"};
  std::size_t whole = 0;
  std::size_t resident = 0;
  file >> whole >> resident;
  return resident * 4;
}

// A text in pieces of its own, never there as a whole.
class Endless {
 public:
  explicit Endless(ObjectStream& stream) : stream_{stream} {}
  Result<> put(std::string_view text) {
    kept_ += text;
    if (kept_.size() < 60'000) return {};
    return flush();
  }
  Result<> flush() {
    auto done = stream_.feed(kept_);
    kept_.clear();
    return done;
  }

 private:
  ObjectStream& stream_;
  std::string kept_;
};

TEST_CASE("Recorded watches read the same wherever they are cut", "[kubernetes]") {
  for (const auto* const name : {"06-watch-services", "07-watch-endpointslices", "08-watch-node"}) {
    const auto text = recorded(name).body;
    std::vector<std::string> expected;
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
      rapidjson::Document event;
      event.Parse(line.c_str());
      REQUIRE_FALSE(event.HasParseError());
      expected.emplace_back(event["object"]["metadata"]["resourceVersion"].GetString());
    }
    REQUIRE(expected.size() > 3);
    for (const std::size_t piece : {1U, 2U, 7U, 1000U, 100'000U}) {
      INFO(name << " in pieces of " << piece);
      const auto got = read(text, piece, {"object", "metadata", "resourceVersion"});
      CHECK(got.how.has_value());
      CHECK(got.documents == expected);
    }
  }
}

TEST_CASE("A list gives its items one by one, and itself without them", "[kubernetes]") {
  for (const std::size_t piece : {1U, 13U, 100'000U}) {
    const auto got = read(recorded("01-services-page-1").body, piece, {"metadata", "name"});
    CHECK(got.how.has_value());
    CHECK(got.items == std::vector<std::string>{"kubernetes", "svc-1"});
    CHECK(got.documents == std::vector<std::string>{"-"});
  }
  // Custom resources have their members in the order of the alphabet.
  const auto got = read(R"({"apiVersion":"v1","items":[{"metadata":{"name":"a"}}],"kind":"L",)"
                        R"("metadata":{"resourceVersion":"7","name":"the list"}})",
                        5, {"metadata", "name"});
  CHECK(got.items == std::vector<std::string>{"a"});
  CHECK(got.documents == std::vector<std::string>{"the list"});
}

TEST_CASE("What weir does not read is not kept", "[kubernetes]") {
  const std::string_view text =
      R"({"type":"ADDED","object":{"metadata":{"name":"a","managedFields":[{"name":"x"}],)"
      R"("labels":{"app":"y","kubernetes.io/service-name":"z"},)"
      R"("annotations":{"other":"1","service.weir/any":"2"}},"spec":{"selector":{"a":"b"},)"
      R"("ports":[{"port":1,"targetPort":2}]}}})";
  CHECK(read(text, 9, {"object", "metadata", "managedFields"}).documents.front() == "-");
  CHECK(read(text, 9, {"object", "metadata", "labels", "app"}).documents.front() == "-");
  CHECK(read(text, 9, {"object", "spec", "selector"}).documents.front() == "-");
  CHECK(read(text, 9, {"object", "metadata", "labels", "kubernetes.io/service-name"})
            .documents.front() == "z");
  CHECK(
      read(text, 9, {"object", "metadata", "annotations", "service.weir/any"}).documents.front() ==
      "2");
  CHECK(read(text, 9, {"object", "metadata", "annotations", "other"}).documents.front() == "-");
}

TEST_CASE("A string of 100 MB and a million fields take no memory", "[kubernetes]") {
  std::vector<std::string> names;
  ObjectStream stream{{.item = {}, .document = [&](const Value& root) {
                         names.push_back(text_at(root, {"object", "metadata", "name"}));
                         return true;
                       }}};
  Endless endless{stream};
  const auto before = resident_kilobytes();
  const std::string block(100'000, 'x');
  Result<> how = endless.put(R"({"type":"ADDED","object":{"metadata":{"annotations":{"big":")");
  for (int i = 0; i < 1000 && how; ++i) how = endless.put(block);
  if (how) how = endless.put(R"("},"labels":{)");
  for (int i = 0; i < 1'000'000 && how; ++i)
    how = endless.put((i == 0 ? "\"l" : ",\"l") + std::to_string(i) + R"(":"v")");
  if (how) how = endless.put(R"(},"name":"after"}}})");
  if (how) how = endless.flush();
  REQUIRE(how.has_value());
  CHECK(names == std::vector<std::string>{"after"});
  CHECK(resident_kilobytes() - before < 20'000);
}

TEST_CASE("An object of more values than the API stores is refused", "[kubernetes]") {
  ObjectStream stream{{}};
  Endless endless{stream};
  Result<> how = endless.put(R"({"type":"ADDED","object":{"metadata":{"name":"a"},"endpoints":[)");
  for (int i = 0; i < 1'000'000 && how; ++i) how = endless.put(R"({"addresses":["10.0.0.1"]},)");
  REQUIRE_FALSE(how.has_value());
  CHECK(how.error().message() ==
        "not the JSON of the API: an object of more values than any that the API stores");
}

TEST_CASE("Strings are cut between characters", "[kubernetes]") {
  const std::string_view before = R"({"type":"ADDED","object":{"metadata":{"uid":")";
  const std::string_view after = R"(","name":"b"}}})";
  for (const std::string_view unit :
       {"\xc3\xa4", R"(\u00e4)", R"(\")", R"(\\)", "\xf0\x9f\x98\x80"})
    for (std::size_t shift = 0; shift < 6; ++shift) {
      std::string text{before};
      text += std::string(shift, 'x');
      for (std::size_t i = 0; i < 80'000 / unit.size() * 3; ++i) text += unit;
      text += after;
      INFO(unit << " after " << shift);
      const auto got = read(text, 777, {"object", "metadata", "name"});
      CHECK(got.how.has_value());
      CHECK(got.documents == std::vector<std::string>{"b"});
    }
}

TEST_CASE("Rubbish is an error, and half an object is one", "[kubernetes]") {
  const auto why = [](std::string_view text) {
    const auto got = read(text, 3, {"type"});
    return got.how ? std::string{} : got.how.error().message();
  };
  CHECK_THAT(why("<html>502 Bad Gateway</html>"), Catch::Contains("not the JSON of the API"));
  CHECK_THAT(why(R"({"type":"ADDED"]})"), Catch::Contains("not the JSON of the API"));
  CHECK_THAT(why(R"([{"type":"ADDED"}])"), Catch::Contains("expected a map"));
  CHECK_THAT(why(R"({"type":"a","type":"b"})"), Catch::Contains("twice"));
  CHECK_THAT(why(R"({"a":)" + std::string(100, '9') + "}"), Catch::Contains("too long"));
  CHECK_THAT(why(R"({"a":)" + std::string(1000, '[')), Catch::Contains("too deep"));
  CHECK_THAT(why("{\"type\":\"\xff\"}"), Catch::Contains("not the JSON of the API"));
  CHECK(why(R"({"type":"ADDED","object":{"met)") == "the answer ends in the middle of an object");
  CHECK(why(R"({"a":[1,2,{"b")") == "the answer ends in the middle of an object");
  CHECK(why("").empty());
  CHECK(why(" \n").empty());
}

}  // namespace
}  // namespace weir::test
