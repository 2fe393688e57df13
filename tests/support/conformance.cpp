// SPDX-License-Identifier: Apache-2.0
// Writes which rows of what a Service means a test is about, and how it ended: a test names them by
// tags like [1.2/affinity-shared]. One file a process, in the directory that WEIR_CONFORMANCE_DIR
// names; without it nothing is written. tests/conformance/report.py reads them.
#define CATCH_CONFIG_EXTERNAL_INTERFACES  // v2 only; v3 has listeners in its headers
#include <errno.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"

namespace {

#if __has_include(<catch2/catch_all.hpp>)
using ListenerBase = Catch::EventListenerBase;
const Catch::TestCaseInfo& get(const Catch::TestCaseInfo* info) {
  return *info;
}
#else
using ListenerBase = Catch::TestEventListenerBase;
const Catch::TestCaseInfo& get(const Catch::TestCaseInfo& info) {
  return info;
}
#endif

// The tags of "[plan][1.2/affinity]" that have a slash: those are rows.
std::vector<std::string_view> rows(std::string_view tags) {
  std::vector<std::string_view> found;
  for (auto begin = tags.find('['); begin != tags.npos; begin = tags.find('[', begin + 1)) {
    const auto tag = tags.substr(begin + 1, tags.find(']', begin) - begin - 1);
    if (tag.find('/') != tag.npos) found.push_back(tag);
  }
  return found;
}

// "bpf/affinity_test: a client keeps its backend": the same wherever the sources lie.
std::string name(const Catch::TestCaseInfo& info) {
  constexpr std::string_view kTests = "/tests/";
  std::string_view file = info.lineInfo.file;
  if (const auto at = file.rfind(kTests); at != file.npos) file.remove_prefix(at + kTests.size());
  return std::string(file.substr(0, file.rfind('.'))) + ": " + std::string(info.name);
}

template <class Counts>
bool skipped(const Counts& counts) {
  if constexpr (requires { counts.skipped; }) {  // since v3.3
    return counts.skipped > 0;
  } else {
    return false;
  }
}

const char* outcome(const Catch::Counts& counts) {
  if (counts.failed > 0) return "failed";
  return skipped(counts) ? "skipped" : "passed";
}

class Conformance : public ListenerBase {
 public:
  using ListenerBase::ListenerBase;

  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    const auto& info = get(stats.testInfo);
    const std::string tags = info.tagsAsString();
    const auto named = rows(tags);
    const char* directory = std::getenv("WEIR_CONFORMANCE_DIR");
    if (named.empty() || directory == nullptr) return;
    // Opened anew each time: what a process that crashes later has written stays.
    std::ofstream file(std::string(directory) + "/" + program_invocation_short_name + "-" +
                           std::to_string(::getpid()) + ".tsv",
                       std::ios::app);
    for (const auto row : named) {
      file << row << '\t' << name(info) << '\t' << outcome(stats.totals.testCases) << '\n';
    }
  }
};

CATCH_REGISTER_LISTENER(Conformance)

}  // namespace
