// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/text_limit.hpp"

namespace weir::kubernetes {
namespace {

bool is_of_number(char c) {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0U) == 0x80;  // UTF-8
}

}  // namespace

void TextLimit::within(char c) {
  ++length_;
  if (escape_ > 0)
    escape_ = c == 'u' && escape_ == 5 ? 4 : escape_ == 5 ? 0 : escape_ - 1;
  else if (c == '\\')
    escape_ = 5;  // one character, or u and four
}

// Up to the quote that ends the string, which is not left out.
std::size_t TextLimit::leave_out(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (escape_ == 0 && text[i] == '"') {
      leaving_out_ = false;
      return i;
    }
    within(text[i]);
  }
  return text.size();
}

TextLimit::Step TextLimit::step(std::string_view text) {
  if (leaving_out_) {
    const std::size_t out = leave_out(text);
    if (out > 0) return {.parsed = {}, .taken = out};
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (!in_text_) {
      length_ = is_of_number(c) ? length_ + 1 : 0;
      if (length_ > kMostNumber) return {.parsed = {}, .taken = i + 1, .refused = true};
      if (c == '"') in_text_ = true;
      continue;
    }
    if (escape_ == 0 && c == '"') {
      in_text_ = false;
      length_ = 0;
      continue;
    }
    // Not within a character, nor within an escape sequence.
    if (length_ >= kMostText && escape_ == 0 && !continues_character(c)) {
      leaving_out_ = true;
      return {.parsed = text.substr(0, i), .taken = i + leave_out(text.substr(i))};
    }
    within(c);
  }
  return {.parsed = text, .taken = text.size()};
}

}  // namespace weir::kubernetes
