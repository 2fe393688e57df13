// SPDX-License-Identifier: Apache-2.0
#define CATCH_CONFIG_MAIN  // v2 only; v3 links Catch2WithMain
#include "support/catch.hpp"
