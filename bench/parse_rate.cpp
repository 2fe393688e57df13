// SPDX-License-Identifier: Apache-2.0
// How fast a manifest is read: weir's reader, from text to objects, and beside it the bare parser
// over the same bytes, turn by turn. Prints JSON: nanoseconds of each round.
#include <fmt/format.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
#include <yaml.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "source/manifests/file.hpp"

namespace {

using Clock = std::chrono::steady_clock;

struct Nothing : rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Nothing> {};

// As json.cpp asks for it.
bool bare_json(std::string_view text) {
  constexpr unsigned kFlags = rapidjson::kParseIterativeFlag | rapidjson::kParseStopWhenDoneFlag |
                              rapidjson::kParseValidateEncodingFlag |
                              rapidjson::kParseNumbersAsStringsFlag;
  rapidjson::MemoryStream stream{text.data(), text.size()};
  Nothing nothing;
  rapidjson::Reader reader;
  return !reader.Parse<kFlags>(stream, nothing).IsError();
}

bool bare_yaml(std::string_view text) {
  yaml_parser_t parser{};
  yaml_parser_initialize(&parser);
  yaml_parser_set_input_string(&parser, reinterpret_cast<const unsigned char*>(text.data()),
                               text.size());
  bool good = true;
  for (bool last = false; good && !last;) {
    yaml_event_t event{};
    good = yaml_parser_parse(&parser, &event) != 0;
    last = event.type == YAML_STREAM_END_EVENT;
    yaml_event_delete(&event);
  }
  yaml_parser_delete(&parser);
  return good;
}

bool read_by_weir(const std::string& path, std::string_view text) {
  weir::manifests::File file{path};
  file.update(text, weir::manifests::Options{});
  return !file.objects().empty() && file.lines().empty();
}

template <class Work>
std::string timed(Work work) {
  const auto begin = Clock::now();
  const bool good = work();
  const auto taken = std::chrono::nanoseconds{Clock::now() - begin}.count();
  return good ? std::to_string(taken) : "null";
}

}  // namespace

int main(int count, char** words) {
  const std::vector<std::string> arguments{words, words + count};
  if (arguments.size() != 3) return 2;
  const std::string& path = arguments[1];
  std::ifstream in{path, std::ios::binary};
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  std::string bare;
  std::string full;
  for (int round = std::stoi(arguments[2]); round > 0; --round) {
    const auto join = [](std::string& list, const std::string& value) {
      list += (list.empty() ? "" : ", ") + value;
    };
    join(bare, timed([&] { return path.ends_with(".json") ? bare_json(text) : bare_yaml(text); }));
    join(full, timed([&] { return read_by_weir(path, text); }));
  }
  fmt::print("{{\"bytes\": {}, \"bare\": [{}], \"weir\": [{}]}}\n", text.size(), bare, full);
  return 0;
}
