// SPDX-License-Identifier: Apache-2.0
// JSON text on its way into the parser, with strings cut that are longer than any that weir reads:
// a parser keeps a string until its end has come, however large the sender makes it.
#pragma once

#include <cstddef>
#include <string_view>

namespace weir::kubernetes {

class TextLimit {
 public:
  // Bytes of a string between its quotes, as written. A name has at most 253, a token that
  // continues a list a few hundred.
  static constexpr std::size_t kMostText = std::size_t{1} << 16;
  // Characters of a number.
  static constexpr std::size_t kMostNumber = 64;

  // What of the front of `text` is to be parsed, and how many bytes that and what is left out
  // after it are. `parsed` may be empty while `taken` is not; for a text that is not empty,
  // `taken` never is 0.
  struct Step {
    std::string_view parsed;
    std::size_t taken = 0;
    bool refused = false;  // a number that is none
  };
  Step step(std::string_view text);

 private:
  std::size_t leave_out(std::string_view text);
  void within(char c);

  bool in_text_ = false;
  bool leaving_out_ = false;
  unsigned escape_ = 0;     // characters of an escape sequence that are still to come
  std::size_t length_ = 0;  // of the string or number so far
};

}  // namespace weir::kubernetes
