// SPDX-License-Identifier: Apache-2.0
// Manifest files as a source of the cluster's state: read, checked, completed and watched.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "model/cluster.hpp"
#include "source/source.hpp"

namespace weir::manifests {

struct Options {
  std::vector<std::string> paths;   // files or directories (*.yaml, *.yml, *.json; not recursive)
  std::vector<Cidr> service_cidrs;  // at most one of each family
  std::vector<Cidr> load_balancer_pools;  // at most one of each family
  std::uint16_t node_port_first = 30'000;
  std::uint16_t node_port_last = 32'767;
};

// How long the last refresh() took.
struct Timing {
  std::chrono::nanoseconds read{0};      // files, and from text to objects
  std::chrono::nanoseconds assemble{0};  // from objects to the cluster's state
};

class Source : public weir::Source {
 public:
  // Opens the watches and reads everything once. An unreadable path is an error; a bad object in a
  // readable file is one log line and no error.
  static Result<std::unique_ptr<Source>> open(Options options);
  // Readable when something may have changed.
  [[nodiscard]] virtual int fd() const = 0;
  // Reads what changed. True if state() is different now.
  virtual Result<bool> refresh() = 0;
  [[nodiscard]] bool complete() const override { return true; }
  [[nodiscard]] virtual Timing timing() const = 0;
};

}  // namespace weir::manifests
