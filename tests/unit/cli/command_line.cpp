// SPDX-License-Identifier: Apache-2.0
#include "unit/cli/command_line.hpp"

#include <cstdio>
#include <cstdlib>

#include "cli/app.hpp"
#include "support/catch.hpp"

namespace weir::test {
namespace {

// A stream into memory, whole once it is closed.
class Capture {
 public:
  Capture() : file_{open_memstream(&data_, &size_)} {}
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  ~Capture() {
    std::fclose(file_);
    std::free(data_);
  }
  [[nodiscard]] std::FILE* file() const { return file_; }
  [[nodiscard]] std::string text() const {
    std::fflush(file_);
    return {data_, size_};
  }

 private:
  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* file_;
};

}  // namespace

Ran run(const std::vector<std::string>& arguments, const std::string& agent_error) {
  Ran ran;
  const Capture out;
  const Capture err;
  const auto agent = [&](const agent::Options& options) -> Result<> {
    ran.agent = options;
    if (!agent_error.empty()) return fail("{}", agent_error);
    return {};
  };
  ran.status = cli::execute(arguments, agent, out.file(), err.file());
  ran.out = out.text();
  ran.err = err.text();
  return ran;
}

rapidjson::Document run_json(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"-o", "json"});
  const auto ran = run(arguments);
  INFO(ran.err);
  REQUIRE(ran.status == 0);
  REQUIRE(ran.err.empty());
  rapidjson::Document document;
  document.Parse(ran.out.c_str());
  INFO(ran.out);
  REQUIRE_FALSE(document.HasParseError());
  return document;
}

}  // namespace weir::test
