// SPDX-License-Identifier: Apache-2.0
#pragma once

// Debian 12 ships Catch2 v2, Debian 13 v3. The macros that the tests use are in both.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
