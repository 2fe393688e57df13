// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "cli/app.hpp"
#include "support/catch.hpp"
#include "unit/cli/command_line.hpp"

using weir::test::run;
using Arguments = std::vector<std::string>;

namespace {

const std::vector<Arguments> kCommands{{"run"},
                                       {"status"},
                                       {"service"},
                                       {"service", "list"},
                                       {"service", "show"},
                                       {"backend"},
                                       {"backend", "list"},
                                       {"flow"},
                                       {"flow", "list"},
                                       {"flow", "count"},
                                       {"flow", "delete"},
                                       {"map"},
                                       {"map", "list"},
                                       {"map", "dump"},
                                       {"drops"},
                                       {"check"},
                                       {"cleanup"}};

std::string joined(const Arguments& words) {
  std::string text = "weir";
  for (const auto& word : words) text += " " + word;
  return text;
}

// A path on which nothing can be.
const std::string kNowhere = "/sys/fs/bpf/weir-test-nowhere";

}  // namespace

TEST_CASE("help of every command ends with an example of it") {
  for (auto words : kCommands) {
    const auto command = joined(words);
    INFO(command);
    words.emplace_back("--help");
    const auto ran = run(words);
    CHECK(ran.status == 0);
    CHECK(ran.err.empty());
    const auto example = ran.out.rfind("Example:\n  " + command);
    REQUIRE(example != std::string::npos);
    // The last paragraph: only indented lines follow.
    const auto rest = ran.out.substr(ran.out.find('\n', example) + 1);
    std::size_t lines = 0;
    for (std::size_t at = 0; at < rest.size(); at = rest.find('\n', at) + 1) {
      if (rest[at] == '\n') continue;
      CHECK(rest.compare(at, 7, "  weir ") == 0);
      ++lines;
    }
    CHECK(lines > 0);
  }
  CHECK(run({"--help"}).out.find("Example:\n  weir run") != std::string::npos);
}

TEST_CASE("help of run names every option") {
  const auto help = run({"run", "--help"}).out;
  for (const auto* name : {"--manifests",
                           "--node-name",
                           "--uplink",
                           "--pod-interface",
                           "--node-port-address",
                           "--xdp",
                           "--node-port-range",
                           "--service-cidr",
                           "--load-balancer-pool",
                           "--config",
                           "--max-services",
                           "--max-backends",
                           "--max-slots",
                           "--max-flows",
                           "--max-half-open",
                           "--tcp-timeout",
                           "--tcp-half-closed-timeout",
                           "--tcp-closing-timeout",
                           "--udp-timeout",
                           "--half-open-timeout",
                           "--source-port-range",
                           "--log-level"}) {
    INFO(name);
    CHECK(help.find(std::string{"  "} + name + " ") != std::string::npos);
  }
}

TEST_CASE("version") {
  const auto ran = run({"--version"});
  CHECK(ran.status == 0);
  CHECK(ran.out == "weir 0.1.0 (tables v1)\n");
  CHECK(ran.err.empty());
}

TEST_CASE("usage errors: one line on stderr, status 2, nothing on stdout") {
  const std::vector<std::pair<Arguments, std::string>> cases{
      {{}, "weir: "},
      {{"nonsense"}, "weir: nonsense: no such command (see weir --help)"},
      {{"service", "lst"}, "weir: service: lst: no such command (see weir service --help)"},
      {{"status", "--nonsense"}, "weir: status: "},
      {{"service"}, "weir: service: "},
      {{"service", "show"}, "weir: service show: "},
      {{"service", "show", "web"}, "weir: service show: service: web: expected NAMESPACE/NAME"},
      {{"service", "list", "-o", "xml"}, "weir: service list: "},
      {{"flow", "list", "--client", "x"}, "weir: flow list: --client: x: expected IP"},
      {{"flow", "list", "--protocol", "icmp"}, "weir: flow list: --protocol: icmp: expected tcp"},
      {{"flow", "count", "--state", "dead"}, "weir: flow count: --state: dead: expected half or"},
      {{"flow", "delete"}, "weir: flow delete: give at least one filter, or --all"},
      {{"flow", "delete", "--all", "--client", "10.0.0.1"}, "weir: flow delete: give"},
      {{"map", "dump"}, "weir: map dump: "},
      {{"check", "--source-port-range", "x"}, "weir: check: --source-port-range: x: expected"},
  };
  for (const auto& [arguments, start] : cases) {
    const auto ran = run(arguments);
    INFO(joined(arguments));
    INFO(ran.err);
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
    CHECK(ran.err.starts_with(start));
    CHECK(ran.err.find('\n') + 1 == ran.err.size());
    CHECK(ran.err.find(" --help)\n") != std::string::npos);
  }
}

TEST_CASE("errors at run time: one line that says what was attempted, status 1") {
  const std::vector<std::pair<Arguments, std::string>> cases{
      {{"service", "list"}, "list services"},
      {{"service", "show", "a/b"}, "show service"},
      {{"backend", "list"}, "list backends"},
      {{"flow", "list"}, "list flows"},
      {{"flow", "count"}, "count flows"},
      {{"flow", "delete", "--all"}, "delete flows"},
      {{"map", "list"}, "list maps"},
      {{"map", "dump", "weir_slot"}, "dump map"},
      {{"drops"}, "show drops"},
  };
  for (auto [arguments, step] : cases) {
    arguments.insert(arguments.end(), {"--pin-path", kNowhere});
    const auto ran = run(arguments);
    INFO(joined(arguments));
    CHECK(ran.status == 1);
    CHECK(ran.out.empty());
    CHECK(ran.err == "weir: " + step + ": weir has not run on pin path " + kNowhere +
                         ": No such file or directory\n");
  }
}

TEST_CASE("--pin-path may stand before the command too") {
  CHECK(run({"--pin-path", kNowhere, "drops"}).err.find(kNowhere) != std::string::npos);
}

TEST_CASE("output that cannot be written is an error") {
  std::FILE* full = std::fopen("/dev/full", "w");
  REQUIRE(full);
  std::FILE* err = std::tmpfile();
  const int status = weir::cli::execute({"status", "--pin-path", kNowhere}, {}, full, err);
  CHECK(status == 1);
  std::rewind(err);
  char line[200] = {};
  REQUIRE(std::fgets(line, sizeof line, err));
  CHECK(std::string{line} == "weir: write the output: No space left on device\n");
  std::fclose(err);
  std::fclose(full);
}
