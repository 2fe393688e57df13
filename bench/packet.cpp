// SPDX-License-Identifier: Apache-2.0
//
// Nanoseconds a run of a loaded program, on packets that are fresh each time. Takes commands from
// standard input, one a line, and answers each with one line (bench/packet.py is who asks):
//   target NETNS PINS DEVICE MAC     the node that the next commands are about
//   aim 4|6 CLIENT FRONTEND PORT     clients are CLIENT + i / 16384, ports 20000 + i % 16384
//   establish PROGRAM FLOWS          a request and a reply each, by test runs
//   list established|reply|new N     the packets of the next runs, in random order
//   run xdp|tc PROGRAM COUNT         {"ns": of one run, "changed": packets that came back changed}
//   stages                           loads the programs stage_*, over this node's tables
//   forget                           empties the half-open tables
#include <fmt/format.h>
#include <net/if.h>

#include <cstdio>
#include <iostream>
#include <sstream>

#include "packet_bench.hpp"

namespace {

using weir::bench::Bench;

void answer(Bench& bench, const std::string& line) {
  std::istringstream words{line};
  std::string command, a, b, c, d;
  words >> command >> a >> b >> c >> d;
  const auto number = [](const std::string& text) {
    return static_cast<std::uint32_t>(std::stoul(text));
  };
  if (command == "target")
    bench.target(a, b, c, d);
  else if (command == "aim")
    bench.aim(a == "4", b, c, static_cast<std::uint16_t>(number(d)));
  else if (command == "establish")
    bench.establish(a, number(b));
  else if (command == "list")
    bench.list(a, number(b));
  else if (command == "stages")
    bench.load_stages();
  else if (command == "forget")
    bench.forget();
  else if (command == "run") {
    const auto ran = bench.run(a == "xdp", b, number(c));
    fmt::print("{{\"ns\": {}, \"changed\": {}}}\n", ran.ns, ran.changed);
    return;
  } else
    throw std::runtime_error("no such command: " + line);
  fmt::print("{{}}\n");
}

}  // namespace

int main() {
  try {
    Bench bench;
    for (std::string line; std::getline(std::cin, line);) {
      answer(bench, line);
      std::fflush(stdout);
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "weir_bench_packet: {}\n", error.what());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
