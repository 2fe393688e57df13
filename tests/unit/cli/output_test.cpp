// SPDX-License-Identifier: Apache-2.0
#include "cli/output.hpp"

#include "support/catch.hpp"

using namespace weir::cli;
using Texts = std::vector<std::string>;

namespace {

Listing sample() {
  return {.columns = {"name", "live_flows", "up", "bits"},
          .rows = {{"eth0", std::uint64_t{7}, true, Texts{"a", "b"}},
                   {"a-longer-name", std::uint64_t{12'345}, false, Texts{}},
                   {Cell{}, Cell{}, Cell{}, Cell{}}}};
}

}  // namespace

TEST_CASE("a listing as a table: aligned, numbers to the right, no blanks at the end") {
  CHECK(render(sample(), Format::table) ==
        "NAME           LIVE-FLOWS  UP   BITS\n"
        "eth0                    7  yes  a, b\n"
        "a-longer-name       12345  no   -\n"
        "-                       -  -    -\n");
}

TEST_CASE("the same listing as JSON: numbers, booleans, lists and nothing keep their kind") {
  CHECK(render(sample(), Format::json) == R"([
  {
    "name": "eth0",
    "live_flows": 7,
    "up": true,
    "bits": [
      "a",
      "b"
    ]
  },
  {
    "name": "a-longer-name",
    "live_flows": 12345,
    "up": false,
    "bits": []
  },
  {
    "name": null,
    "live_flows": null,
    "up": null,
    "bits": null
  }
]
)");
}

TEST_CASE("a listing without rows is its header, and an empty array") {
  const Listing empty{.columns = {"client", "idle_seconds"}, .rows = {}};
  CHECK(render(empty, Format::table) == "CLIENT  IDLE-SECONDS\n");
  CHECK(render(empty, Format::json) == "[]\n");
}

TEST_CASE("a column with one text in it is no column of numbers") {
  const Listing mixed{.columns = {"n", "z"}, .rows = {{std::uint64_t{1}, "x"}, {"three", "y"}}};
  CHECK(render(mixed, Format::table) ==
        "N      Z\n"
        "1      x\n"
        "three  y\n");
}

TEST_CASE("64 bits survive") {
  const Listing large{.columns = {"n"}, .rows = {{~std::uint64_t{0}}}};
  CHECK(render(large, Format::table) == "                   N\n18446744073709551615\n");
  CHECK(render(large, Format::json).find(": 18446744073709551615\n") != std::string::npos);
}

TEST_CASE("control characters reach neither the terminal nor the JSON as they are") {
  const Listing nasty{.columns = {"n"}, .rows = {{"a\x1b[2J\n\"b\\"}}};
  CHECK(render(nasty, Format::table) == "N\na?[2J?\"b\\\n");
  CHECK(render(nasty, Format::json).find(R"("a\u001B[2J\n\"b\\")") != std::string::npos);
}

TEST_CASE("an object: values in one column, what is larger indented below its name") {
  Object inner;
  inner.add("last_run", Cell{std::uint64_t{3}});
  Object object;
  object.add("id", Cell{std::uint64_t{1}});
  object.add("pin_path", Cell{"/sys"});
  object.add("flows", Listing{.columns = {"a", "b"}, .rows = {{"x", "y"}}});
  object.add("expiry", inner);
  CHECK(render(object, Format::table) ==
        "id:       1\n"
        "pin path: /sys\n"
        "flows:\n"
        "  A  B\n"
        "  x  y\n"
        "expiry:\n"
        "  last run: 3\n");
  CHECK(render(object, Format::json) == R"({
  "id": 1,
  "pin_path": "/sys",
  "flows": [
    {
      "a": "x",
      "b": "y"
    }
  ],
  "expiry": {
    "last_run": 3
  }
}
)");
}

TEST_CASE("several objects: blank lines between, an array in JSON") {
  Object one;
  one.add("a", Cell{"x"});
  CHECK(render(Objects{one, one}, Format::table) == "a: x\n\na: x\n");
  CHECK(render(Objects{one}, Format::json) == "[\n  {\n    \"a\": \"x\"\n  }\n]\n");
}
