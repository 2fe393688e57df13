// SPDX-License-Identifier: Apache-2.0
#include "plan/allocate.hpp"

#include "support/catch.hpp"

namespace weir::test {

TEST_CASE("free indexes") {
  SECTION("lowest first, never 0, none in use") {
    FreeIndexes free{7, {4, 1, 4, 0, 99}};
    CHECK(free.left() == 4);
    CHECK(free.take() == 2);
    CHECK(free.take() == 3);
    CHECK(free.take() == 5);
    CHECK(free.take() == 6);
    CHECK(free.left() == 0);
  }
  SECTION("nothing left") {
    CHECK(FreeIndexes{3, {1, 2}}.left() == 0);
    CHECK(FreeIndexes{1, {}}.left() == 0);
    CHECK(FreeIndexes{0, {}}.left() == 0);
  }
}

TEST_CASE("free ranges") {
  SECTION("the smallest hole that fits") {
    FreeRanges free{30, {{.first = 10, .count = 10}, {.first = 4, .count = 3}}};
    CHECK(free.take(3) == 7U);  // hole [7, 10)
    CHECK(free.take(10) == 20U);
    CHECK(free.take(5) == std::nullopt);
    CHECK(free.take(4) == 0U);
    CHECK(free.take(1) == std::nullopt);
  }
  SECTION("ranges in use may be one, may overlap, may be empty") {
    FreeRanges free{9,
                    {{.first = 0, .count = 6},
                     {.first = 0, .count = 6},
                     {.first = 2, .count = 1},
                     {.first = 5, .count = 2},
                     {.first = 8, .count = 0}}};
    CHECK(free.take(2) == 7U);
    CHECK(free.take(1) == std::nullopt);
  }
  SECTION("what is given back joins its neighbours") {
    FreeRanges free{9, {}};
    CHECK(free.take(3) == 0U);
    CHECK(free.take(3) == 3U);
    CHECK(free.take(3) == 6U);
    free.give_back(0, 3);
    free.give_back(6, 3);
    CHECK(free.take(4) == std::nullopt);
    free.give_back(3, 3);
    CHECK(free.take(9) == 0U);
  }
  SECTION("no range of nothing") {
    CHECK(FreeRanges{9, {}}.take(0) == std::nullopt);
  }
}

}  // namespace weir::test
