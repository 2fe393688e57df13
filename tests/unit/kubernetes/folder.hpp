// SPDX-License-Identifier: Apache-2.0
// A directory of one test's own, and the log lines of that test.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "support/catch.hpp"

namespace weir::test {

class Folder {
 public:
  Folder() {
    std::string pattern = std::filesystem::temp_directory_path() / "weir-kubernetes-XXXXXX";
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
  // Returns the path.
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream{file(name), std::ios::binary | std::ios::trunc} << text;
    return file(name);
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in{file(name), std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }

 private:
  std::string path_;
};

// Collects log lines as long as it lives.
class Lines {
 public:
  Lines() {
    log::set_level(log::Level::debug);
    log::set_sink([this](log::Level level, std::string_view text) {
      (level >= log::Level::warning ? warnings : others).emplace_back(text);
    });
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  ~Lines() {
    log::set_sink({});
    log::set_level(log::Level::info);
  }
  // Of those that are no warnings.
  [[nodiscard]] std::size_t count(std::string_view part) const {
    std::size_t n = 0;
    for (const auto& line : others) n += line.find(part) != std::string::npos ? 1 : 0;
    return n;
  }

  std::vector<std::string> warnings;
  std::vector<std::string> others;
};

}  // namespace weir::test
