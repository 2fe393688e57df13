// SPDX-License-Identifier: Apache-2.0
// Answers of a real API server, kept in tests/data/kubernetes.
#pragma once

#include <fstream>
#include <iterator>
#include <string>

namespace weir::test {

struct Recorded {
  int status = 0;
  std::string body;
};

// "06-watch-services"
inline Recorded recorded(const std::string& name) {
  std::ifstream file{std::string{WEIR_TEST_DATA} + "/kubernetes/recorded-1.36/" + name +
                     ".response"};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  auto end = text.find("\r\n\r\n");
  std::size_t gap = 4;
  if (end == std::string::npos) {
    end = text.find("\n\n");
    gap = 2;
  }
  Recorded answer;
  if (end == std::string::npos) return answer;
  answer.status = std::stoi(text.substr(text.find(' ') + 1));
  answer.body = text.substr(end + gap);
  return answer;
}

}  // namespace weir::test
