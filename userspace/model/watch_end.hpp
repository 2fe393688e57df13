// SPDX-License-Identifier: Apache-2.0
// What the follower of the API says of a watch, and the metrics count.
#pragma once

#include <cstdint>

namespace weir {

// Why a watch had to begin anew.
enum class WatchEnd : std::uint8_t {
  ended,       // by the server, in its time: no fault
  expired,     // 410: everything is listed anew
  throttled,   // 429
  status,      // any other answer than 200
  connection,  // none, or cut
  silent,      // nothing came for too long
  content,     // what came could not be understood
};

}  // namespace weir
