// SPDX-License-Identifier: Apache-2.0
#include "base/log.hpp"

#include <fmt/chrono.h>

#include <chrono>
#include <cstdio>

namespace weir::log {
namespace {

Level threshold = Level::info;
Sink sink;

std::string_view name(Level level) {
  switch (level) {
    case Level::debug:
      return "debug";
    case Level::info:
      return "info";
    case Level::warning:
      return "warning";
    case Level::error:
      return "error";
  }
  return "?";
}

}  // namespace

void set_level(Level level) {
  threshold = level;
}
bool enabled(Level level) {
  return level >= threshold;
}
void set_sink(Sink to) {
  sink = std::move(to);
}

void write(Level level, std::string_view text) {
  if (sink) return sink(level, text);
  const auto now = std::chrono::system_clock::now();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now - seconds).count();
  // One write for one line, so that lines of two processes on one terminal do not mix.
  const std::string line = fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z {} {}\n",
                                       fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                                       ms, name(level), text);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace weir::log
